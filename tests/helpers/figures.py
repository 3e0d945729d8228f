"""Figures in prose that code knows: how a page says each of them, and what it is today.

`{n}` stands for the number in digits, `{w}` for it as a word. `tests/test_figures.py` holds every
place that says something of the kind to it; `python -m tests.helpers.update_docs` corrects them.
"""

import dataclasses
import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

from npgpt import Settings
from npgpt.checkpoints._torch.inert_pickle import _ACTIONS
from oracle.conformance._catalogue import CHECKS
from oracle.mutants._catalogue import MUTANTS
from oracle.mutants._equivalents import EQUIVALENTS
from oracle.strategies._decoding_problems import DECODERS
from tests.helpers.bad_files import bad_files

_WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")


FIGURES: dict[str, Callable[[], int]] = {
    "{n} (?:known bugs|mutants)": lambda: len(MUTANTS),
    "{n} of (?:them|which) (?:were |was )?taken from published": lambda: sum(
        bool(mutant.source) for mutant in MUTANTS
    ),
    "{n} (?:property-based )?checks": lambda: len(CHECKS),
    "{n} honest implementations": lambda: len(EQUIVALENTS),
    r"{w} \[?decoders": lambda: len(DECODERS),
    "{n} settings": lambda: len(dataclasses.fields(Settings)),
    "{n} distinct bad files": lambda: sum(map(len, bad_files().values())),
    # Beside the table: the one that begins a pickle, and the one that ends it.
    "{n} opcodes": lambda: len(_ACTIONS) + 2,
}


class Figure(NamedTuple):
    """A number that a text says: where it stands, and what it should be."""

    start: int
    end: int
    said: str
    right: str
    pattern: str


def figures(text: str) -> Iterator[Figure]:
    """Every such figure in a page's prose, which is all but its code blocks."""
    prose = re.sub(r"^```.*?^```$", lambda block: " " * len(block[0]), text, flags=re.M | re.S)
    for pattern, count in FIGURES.items():
        as_word = "{w}" in pattern
        number = rf"\b({'|'.join(_WORDS)})" if as_word else r"(?<![\w.,])(\d[\d,]*)"
        said = pattern.replace("{w}", number).replace("{n}", number).replace(" ", r"\s+")
        for match in re.finditer(said, prose):
            right = _WORDS[count()] if as_word else f"{count():,}"
            yield Figure(match.start(1), match.end(1), match[1], right, pattern)


def corrected(text: str) -> str:
    """The page with the numbers of today.

    >>> corrected("It has 3 settings.") == f"It has {len(dataclasses.fields(Settings))} settings."
    True
    """
    for figure in sorted(figures(text), reverse=True):
        text = text[: figure.start] + figure.right + text[figure.end :]
    return text
