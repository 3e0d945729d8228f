"""Bugs of perplexity that short rows do not show."""

from oracle import perplexity
from oracle.mutants._mutant import Mutant
from oracle.mutants._perplexity import perplexity_bug
from oracle.perplexity import Window

_windows = perplexity.windows


def _first_512(length: int, n_positions: int, stride: int) -> list[Window]:
    return _windows(min(length, 512), n_positions, stride)


MUTANTS: tuple[Mutant, ...] = (
    perplexity_bug(
        "perplexity-first-512",
        "no more than the first 512 tokens are scored",
        "",
        effect="that of the beginning alone",
        severity="long contexts",
        windows=_first_512,
    ),
)
