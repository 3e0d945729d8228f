"""Bugs of all decoders: of beams, and of those that keep one text a row."""

from oracle.mutants import _beams as beams
from oracle.mutants import _sampling as sampling
from oracle.mutants._mutant import Mutant

MUTANTS: tuple[Mutant, ...] = (*beams.MUTANTS, *sampling.MUTANTS)
