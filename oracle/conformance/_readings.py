"""What the part that goes wrong gives, in a few lines: its numbers beside the right ones."""

from collections.abc import Sequence

import numpy as np

from oracle.adapters.guard import Misbehaviour
from oracle.adapters.subject import Subject
from oracle.bounds._rounding import Array
from oracle.conformance._localise import Divergence
from oracle.conformance._parts import (
    ROW,
    Reading,
    activation,
    normed,
    pattern,
    small_row,
    solved_epsilon,
)
from oracle.strategies._configs import Config

LINES = 6
# What is put in.
XS = (-3.0, -1.0, -0.5, 0.5, 1.0, 3.0)
GAIN, SHIFT = (1.0, 0.5, 2.0, 1.0, -1.0), (0.0, 0.25, -0.5, 0.0, 1.0)
QUERY = ((1.0, 0.0), (0.0, 2.0), (1.0, 1.0), (-1.0, 2.0))
KEY = ((2.0, 0.0), (0.0, 1.0), (-1.0, 1.0), (1.0, 1.0))


def lines(subject: Subject, divergence: Divergence) -> list[str]:
    """What the part that is wrong gives, and what it should: at most LINES lines.

    None where no reading shows that part or shows it wrong, or the subject cannot be read.
    """
    component, config = divergence.component, divergence.example.config
    try:
        if component.startswith("activation"):
            return _activation_lines(subject, config)
        if component.startswith("final layer norm"):
            return _norm_lines(subject, config, "ln_f")
        if component == "layer norm before attention":
            return _norm_lines(subject, config, "ln_1")
        if component in ("attention to one key", "causal mask", "attention scores"):
            return _pattern_lines(subject, config)
    except Misbehaviour:
        pass
    return []


def _activation_lines(subject: Subject, config: Config) -> list[str]:
    found = activation(subject, config["activation_function"], XS, config=config)
    return [f"at x = {XS[i]:g} {says}" for (i,), says in _wrong(found)][:LINES]


def _norm_lines(subject: Subject, config: Config, name: str) -> list[str]:
    eps, row = config["layer_norm_epsilon"], np.array(ROW)
    plain = np.ones(len(row)), np.zeros(len(row))
    small = small_row(eps)
    for xs, gain, shift in ((row, *plain), (row, GAIN, SHIFT), (small, *plain)):
        reading = normed(subject, xs, gain, shift, eps, name=name, config=config)
        given = f"{name} of {_list(xs)}, weight {_list(gain)}, bias {_list(shift)}, eps {eps:g}:"
        if wrong := [f"  at {i} {says}" for (i,), says in _wrong(reading)]:
            solved = solved_epsilon(subject, small, eps, name=name, config=config)
            if solved is not None:
                wrong = [f"  so it computes with an epsilon of {solved:g}", *wrong]
            return [given, *wrong][:LINES]
    return []


def _pattern_lines(subject: Subject, config: Config) -> list[str]:
    found = pattern(subject, QUERY, KEY, config=config)
    rows = (", ".join(map(_list, rows)) for rows in (QUERY, KEY))
    given = "scores are the products of queries {} and keys {}:".format(*rows)
    wrong = [f"  position {i} looks at {j}: {says}" for (i, j), says in _wrong(found)]
    return [given, *wrong][:LINES] if wrong else []


def _wrong(found: Reading) -> list[tuple[tuple[int, ...], str]]:
    """Each place that is wrong, and what is said of it; none if the whole could not be read."""
    if not np.isfinite(found.values).all():
        return []
    return [
        (
            tuple(int(i) for i in place),
            _apart(found.values[tuple(place)], found.expected[tuple(place)]),
        )
        for place in np.argwhere(found.wrong)
    ]


def _apart(value: float, expected: float) -> str:
    """Both, with so many digits that they differ.

    >>> _apart(-0.15865525, -0.15880801)
    'it gives -0.15866; it is -0.15881'
    """
    digits = range(5, 18)
    pairs = ((f"{value:.{n}g}", f"{expected:.{n}g}") for n in digits)
    one, other = next((pair for pair in pairs if pair[0] != pair[1]), (str(value), str(expected)))
    return f"it gives {one}; it is {other}"


def _list(numbers: Sequence[float] | Array) -> str:
    return "[" + ", ".join(f"{float(number):g}" for number in numbers) + "]"
