"""Honest other implementations of the same model: no check may find anything wrong with them."""

from oracle.mutants import equivalent_attention, equivalent_models, equivalent_ops
from oracle.mutants.mutant import Mutant

EQUIVALENTS: tuple[Mutant, ...] = (
    *equivalent_ops.EQUIVALENTS,
    *equivalent_attention.EQUIVALENTS,
    *equivalent_models.EQUIVALENTS,
)
