"""Mutants: known bugs of GPT-2 implementations, each a few lines over the PyTorch reference.

`MUTANTS` is the catalogue, `EQUIVALENTS` are honest other ways to compute the same, which no check
may accuse. Each module has the bugs of one part.

>>> from oracle.mutants import named
>>> named("layernorm-bessel").bug
'the variance is divided by n - 1'
"""

from typing import TYPE_CHECKING

from oracle._lazy import lazy

if TYPE_CHECKING:
    from oracle.mutants._catalogue import MUTANTS, named
    from oracle.mutants._equivalents import EQUIVALENTS
    from oracle.mutants._mutant import Mutant

__all__ = ["EQUIVALENTS", "MUTANTS", "Mutant", "named"]

__getattr__ = lazy(
    __name__,
    {
        "EQUIVALENTS": "_equivalents",
        "MUTANTS": "_catalogue",
        "Mutant": "_mutant",
        "named": "_catalogue",
    },
)


def __dir__() -> list[str]:
    return sorted(__all__)
