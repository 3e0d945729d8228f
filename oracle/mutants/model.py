"""All mutants of the model: its parts' bugs, in the order in which a model uses the parts."""

from oracle.mutants import (
    activation,
    attention,
    block,
    embedding,
    layer_norm,
    padding,
    precision,
    scale,
    weights,
)
from oracle.mutants.mutant import Mutant

MUTANTS: tuple[Mutant, ...] = (
    *embedding.MUTANTS,
    *layer_norm.MUTANTS,
    *scale.MUTANTS,
    *attention.MUTANTS,
    *activation.MUTANTS,
    *block.MUTANTS,
    *weights.MUTANTS,
    *padding.MUTANTS,
    *precision.MUTANTS,
)
