"""Contrastive search written down from its definition: one row, nothing kept between steps."""

from collections.abc import Callable, Sequence
from decimal import Decimal, localcontext
from fractions import Fraction
from math import inf

from tests.helpers import slow_decoding as slow


def cosine(one: Sequence[float], other: Sequence[float]) -> Fraction:
    """To 60 digits; 0 with a zero vector."""
    dot = sum(Fraction(a) * Fraction(b) for a, b in zip(one, other, strict=True))
    square = sum(Fraction(a) ** 2 for a in one) * sum(Fraction(b) ** 2 for b in other)
    if not square:
        return Fraction(0)
    with localcontext() as context:
        context.prec = slow.DIGITS
        root = (Decimal(square.numerator) / Decimal(square.denominator)).sqrt()
    return dot / Fraction(root)


def rounding(scores: Sequence[float], size: int) -> Fraction:
    """How far off the truth float64 may be in `(1 − α) p − α max cos`, vectors of `size` numbers.

    p, at most 1, is off by `slow.rounding`. A component of a direction is off by size/2 + 3 units
    (the quotient by the largest, half of size + 2 for the sum of squares, the root, the quotient by
    it); two of them make size + 6, and a product of directions, whose terms' sizes add up to 1 at
    most, `size` more. 1 − α, the two products and the difference round once each.
    """
    return slow.rounding(scores) + Fraction((2 * size + 6 + 4) * slow.UNIT)


def choose(
    z: Sequence[float],
    looks: Callable[[int], Sequence[float]],
    text: Sequence[Sequence[float]],
    *,
    k: int,
    alpha: float,
) -> tuple[int, dict[int, Fraction]]:
    """The token, and the contrast of each candidate; z: processed scores, one above −inf."""
    order = sorted(range(len(z)), key=lambda token: (-z[token], token))
    candidates = [token for token in order[:k] if z[token] > -inf]
    weights, share = slow.relative(z), Fraction(alpha)
    contrasts = {
        token: (1 - share) * weights[token] / sum(weights)
        - share * max(cosine(looks(token), past) for past in text)
        for token in candidates
    }
    best = max(candidates, key=contrasts.__getitem__)  # the first of equals
    error = 2 * rounding(z, len(text[0]))
    for token in candidates:
        same = z[token] == z[best] and looks(token) == looks(best)
        if token != best and not same and contrasts[best] - contrasts[token] <= error:
            raise slow.UndecidedError
    return best, contrasts


def decode_row(
    logits_of: Callable[[tuple[int, ...]], Sequence[float]],
    hidden_of: Callable[[tuple[int, ...]], Sequence[float]],
    prompt: Sequence[int],
    s: dict,
    *,
    spell: Sequence[str] = (),
) -> tuple[list[int], str, list[dict[int, Fraction]]]:
    """One row: its tokens, why it ended, and the contrasts of each step."""
    tokens, contrasts = list(prompt), []
    while True:
        z = slow.processed(tokens, len(prompt), logits_of(tuple(tokens)), s)
        if max(z) == -inf:
            return tokens, "no_candidates", contrasts
        text = [hidden_of(tuple(tokens[: end + 1])) for end in range(len(tokens))]
        token, weighed = choose(
            z,
            lambda token: hidden_of((*tokens, token)),
            text,
            k=s["top_k"],
            alpha=s["penalty_alpha"],
        )
        tokens.append(token)
        contrasts.append(weighed)
        reason = slow.ending(tokens, len(prompt), s, spell)
        if reason:
            return tokens, reason, contrasts
