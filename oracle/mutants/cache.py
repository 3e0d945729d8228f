"""All mutants of the cache: what a later call sees of an earlier one."""

from oracle.mutants import cache_contents, cache_positions
from oracle.mutants.mutant import Mutant

MUTANTS: tuple[Mutant, ...] = (*cache_positions.MUTANTS, *cache_contents.MUTANTS)
