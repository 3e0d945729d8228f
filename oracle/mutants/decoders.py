"""Bugs of all decoders: of beams, and of those that keep one text a row."""

from oracle.mutants import beams, sampling
from oracle.mutants.mutant import Mutant

MUTANTS: tuple[Mutant, ...] = (*beams.MUTANTS, *sampling.MUTANTS)
