"""Mutants that models, rows and vocabularies of toy size do not show."""

from oracle.mutants import _long_attention as long_attention
from oracle.mutants import _long_cache as long_cache
from oracle.mutants import _wide_models as wide_models
from oracle.mutants._mutant import Mutant

MUTANTS: tuple[Mutant, ...] = (
    *long_attention.MUTANTS,
    *wide_models.MUTANTS,
    *long_cache.MUTANTS,
)
