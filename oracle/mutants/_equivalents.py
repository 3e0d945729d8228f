"""Honest other implementations of the same model: no check may find anything wrong with them."""

from oracle.mutants import _equivalent_attention as equivalent_attention
from oracle.mutants import _equivalent_models as equivalent_models
from oracle.mutants import _equivalent_ops as equivalent_ops
from oracle.mutants import _wide_equivalents as wide_equivalents
from oracle.mutants._mutant import Mutant

EQUIVALENTS: tuple[Mutant, ...] = (
    *equivalent_ops.EQUIVALENTS,
    *equivalent_attention.EQUIVALENTS,
    *equivalent_models.EQUIVALENTS,
    *wide_equivalents.EQUIVALENTS,
)
