"""What decoders should find, found by looking at everything: for tiny models only.

Nothing here is shared with the decoders, and no tensor is used. A model is a function from a row
to the exact probability of each next token, as fractions.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from fractions import Fraction
from typing import Any, NamedTuple, TypeAlias

Tokens: TypeAlias = tuple[int, ...]
Probabilities: TypeAlias = Callable[[Tokens], Sequence[Fraction]]


class Text(NamedTuple):
    """A text that may come about: what was generated, its probability, whether eos ended it."""

    generated: Tokens
    probability: Fraction
    ended: bool

    def score(self, length_penalty: float) -> float:
        """log p / length^penalty, as beam search ranks."""
        p = self.probability
        total = math.log(p.numerator) - math.log(p.denominator)
        return total / len(self.generated) ** length_penalty


def texts(
    model: Probabilities, prompt: Tokens, room: int, eos: Sequence[int] = ()
) -> Iterator[Text]:
    """Every text of positive probability after the prompt: up to eos, or `room` tokens long.

    >>> half = Fraction(1, 2)
    >>> [(t.generated, str(t.probability)) for t in texts(lambda row: (half, half), (0,), 2, [1])]
    [((1,), '1/2'), ((0, 1), '1/4'), ((0, 0), '1/4')]
    """
    open_ = [Text((), Fraction(1), False)]
    while open_:
        grown = [
            Text((*text.generated, token), text.probability * p, token in eos)
            for text in open_
            for token, p in enumerate(model((*prompt, *text.generated)))
            if p
        ]
        done = [text for text in grown if text.ended or len(text.generated) == room]
        yield from sorted(done, key=lambda text: not text.ended)
        open_ = [text for text in grown if not text.ended and len(text.generated) < room]


def best_texts(
    model: Probabilities,
    prompt: Tokens,
    room: int,
    *,
    eos: Sequence[int] = (),
    length_penalty: float = 1.0,
    fulfils: Callable[[Tokens], bool] = lambda generated: True,
) -> list[Text]:
    """All texts, best score first; texts that end with eos count only if they fulfil.

    Among those that the limit cut, the ones that fulfil come first.
    """
    found = [
        text
        for text in texts(model, prompt, room, eos)
        if not text.ended or fulfils(text.generated)
    ]
    return sorted(found, key=lambda t: (not fulfils(t.generated), -t.score(length_penalty)))


def filtered(probabilities: Sequence[Fraction], settings: Mapping[str, Any]) -> list[Fraction]:
    """The distribution that the sampler's filters leave, exactly: temperature, then each filter.

    temperature: 1/n only, n whole, as then p^n is a fraction. What compares logarithms or
    entropies does so in float64.

    >>> thirds = [Fraction(1, 6), Fraction(1, 2), Fraction(1, 3)]
    >>> [str(p) for p in filtered(thirds, {"top_k": 2})]
    ['0', '3/5', '2/5']
    """
    power = 1 / settings.get("temperature", 1.0)
    if power != int(power):
        raise ValueError(f"temperature {settings['temperature']!r} is not 1/n with a whole n")
    p = _normalised([q ** int(power) for q in probabilities])
    for name in _KEEPS:
        if name in settings:
            # A decimal fraction is meant, not the float nearest to it.
            kept = _KEEPS[name](p, Fraction(str(settings[name])))
            p = _normalised([q if i in kept else Fraction(0) for i, q in enumerate(p)])
    return p


def sampled(
    model: Probabilities,
    prompt: Tokens,
    room: int,
    *,
    eos: Sequence[int] = (),
    settings: Mapping[str, Any] | None = None,
) -> dict[Tokens, Fraction]:
    """The exact distribution of what the sampler generates."""
    drawn_from = texts(lambda row: filtered(model(row), settings or {}), prompt, room, eos)
    return {text.generated: text.probability for text in drawn_from}


def cells(p: Sequence[Fraction]) -> dict[int, tuple[Fraction, Fraction]]:
    """For each possible token the uniforms that draw it: from the first up to, without, the second.

    >>> [(v, str(a), str(b)) for v, (a, b) in cells([Fraction(1, 4), Fraction(3, 4)]).items()]
    [(0, '0', '1/4'), (1, '1/4', '1')]
    """
    sums = [sum(p[:i], Fraction(0)) for i in range(len(p) + 1)]
    return {i: (sums[i], sums[i + 1]) for i in range(len(p)) if p[i]}


def drawn_in_turn(weights: Sequence[Fraction], uniforms: Sequence[float]) -> list[int]:
    """Indices drawn without replacement, one a uniform, exactly; as many as have weight."""
    left, found = list(weights), []
    for u in uniforms:
        if not any(left):
            break
        shares = cells(_normalised(left))
        found.append(next(i for i, (_, end) in shares.items() if Fraction(u) < end))
        left[found[-1]] = Fraction(0)
    return found


def _normalised(p: Sequence[Fraction]) -> list[Fraction]:
    total = sum(p)
    return [q / total for q in p]


def _order(p: Sequence[Fraction]) -> list[int]:
    return sorted((i for i, q in enumerate(p) if q), key=lambda i: (-p[i], i))


def _entropy(p: Sequence[Fraction]) -> float:
    return -math.fsum(float(q) * math.log(q) for q in p if q)


def _until(p: Sequence[Fraction], order: Sequence[int], mass: Fraction) -> set[int]:
    """From the first in `order` to the one at which the sum reaches `mass`."""
    sums = [sum(p[j] for j in order[:i]) for i in range(len(order))]
    return {order[i] for i in range(len(order)) if sums[i] < mass}


def _top_h(p: Sequence[Fraction], alpha: Fraction) -> set[int]:
    order = _order(p)
    sizes = range(len(order), 1, -1)
    fits = (
        n
        for n in sizes
        if _entropy(_normalised([p[i] for i in order[:n]])) <= float(alpha) * _entropy(p)
    )
    return set(order[: next(fits, 1)])


def _top_k(p: Sequence[Fraction], k: Fraction) -> set[int]:
    edge = sorted(p, reverse=True)[min(int(k), len(p)) - 1]
    return {i for i, q in enumerate(p) if q >= edge}


def _typical(p: Sequence[Fraction], mass: Fraction) -> set[int]:
    entropy = _entropy(p)
    return _until(p, sorted(_order(p), key=lambda i: (abs(-math.log(p[i]) - entropy), i)), mass)


def _cut(p: Sequence[Fraction], edge: Fraction | float) -> set[int]:
    """The likeliest, and what is not below the edge."""
    return {_order(p)[0]} | {i for i, q in enumerate(p) if q >= edge}


_KEEPS: dict[str, Callable[[Sequence[Fraction], Fraction], set[int]]] = {
    "top_h": _top_h,
    "top_k": _top_k,
    "top_p": lambda p, mass: _until(p, _order(p), mass),
    "min_p": lambda p, share: _cut(p, share * max(p)),
    "typical_p": _typical,
    "epsilon_cutoff": _cut,
    "eta_cutoff": lambda p, e: _cut(p, min(float(e), math.sqrt(e) * math.exp(-_entropy(p)))),
}
