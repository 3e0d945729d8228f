"""Families of mutants: those of one module, under what its first line says of them."""

from importlib import import_module
from pkgutil import iter_modules

from oracle import mutants
from oracle.mutants._catalogue import MUTANTS
from oracle.mutants._mutant import Mutant


def families() -> dict[str, tuple[Mutant, ...]]:
    """From "Layer normalisation" to its mutants, all in the order of the catalogue.

    A mutant's family is the smallest module that holds it; what only collects others has none.

    >>> [mutant.id for mutant in families()["Layer normalisation"]][:2]
    ['layernorm-eps-outside', 'layernorm-eps-zero']
    """
    smallest: dict[str, tuple[int, str]] = {}
    for module in iter_modules(mutants.__path__):
        loaded = import_module(f"{mutants.__name__}.{module.name}")
        own: tuple[Mutant, ...] = getattr(loaded, "MUTANTS", ())
        for mutant in own:
            here = len(own), _heading(loaded.__doc__ or module.name)
            smallest[mutant.id] = min(here, smallest.get(mutant.id, here))
    grouped: dict[str, tuple[Mutant, ...]] = {}
    for mutant in MUTANTS:
        heading = smallest[mutant.id][1]
        grouped[heading] = (*grouped.get(heading, ()), mutant)
    return grouped


def _heading(docstring: str) -> str:
    """What a module's first line is about: "Bugs of beam search." is about "Beam search"."""
    first = docstring.splitlines()[0].removesuffix(".")
    about = first.removeprefix("Bugs of ").removeprefix("Bugs ")
    return about[:1].upper() + about[1:]
