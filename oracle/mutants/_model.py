"""All mutants of the model: its parts' bugs, in the order in which a model uses the parts."""

from oracle.mutants import (
    _activation as activation,
)
from oracle.mutants import (
    _attention as attention,
)
from oracle.mutants import (
    _block as block,
)
from oracle.mutants import (
    _embedding as embedding,
)
from oracle.mutants import (
    _layer_norm as layer_norm,
)
from oracle.mutants import (
    _padding as padding,
)
from oracle.mutants import (
    _precision as precision,
)
from oracle.mutants import (
    _published_models as published,
)
from oracle.mutants import (
    _scale as scale,
)
from oracle.mutants import (
    _weights as weights,
)
from oracle.mutants._mutant import Mutant

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
    *published.MUTANTS,
)
