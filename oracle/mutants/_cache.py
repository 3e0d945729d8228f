"""All mutants of the cache: what a later call sees of an earlier one."""

from oracle.mutants import _cache_contents as cache_contents
from oracle.mutants import _cache_positions as cache_positions
from oracle.mutants._mutant import Mutant

MUTANTS: tuple[Mutant, ...] = (*cache_positions.MUTANTS, *cache_contents.MUTANTS)
