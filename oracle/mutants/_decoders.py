"""Bugs of all decoders: of beams, of those that keep one text a row, and of both in engines."""

from oracle.mutants import _beams as beams
from oracle.mutants import _published_decoders as published
from oracle.mutants import _sampling as sampling
from oracle.mutants._mutant import Mutant

MUTANTS: tuple[Mutant, ...] = (*beams.MUTANTS, *sampling.MUTANTS, *published.MUTANTS)
