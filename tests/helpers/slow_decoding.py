"""Decoding written down plainly, one row and one token at a time, with exact sums.

Probabilities are fractions: exp is taken to 60 digits. Where a comparison is closer than float64
can be expected to decide, but not exactly even, `UndecidedError` is raised.
"""

from collections.abc import Callable, Sequence
from decimal import Decimal, localcontext
from fractions import Fraction
from math import inf

DIGITS = 60
UNIT = 2.0**-53  # half a unit in the last place of 1.0, float64
FORGOTTEN = Decimal(-2000)  # exp of less is far below float64's smallest number


class UndecidedError(Exception):
    """Rounding decides this one."""


def exponential(exponent: Decimal) -> Fraction:
    with localcontext() as context:
        context.prec = DIGITS
        return Fraction(0) if exponent < FORGOTTEN else Fraction(exponent.exp())


def relative(scores: Sequence[float]) -> list[Fraction]:
    """exp(z - max z), with the limits that npgpt states."""
    top = max(scores)
    if top in (inf, -inf):
        return [Fraction(int(top == inf and z == top)) for z in scores]
    gaps = [Decimal(-inf) if z == -inf else Decimal(z) - Decimal(top) for z in scores]
    return [Fraction(0) if gap == Decimal(-inf) else exponential(gap) for gap in gaps]


def rounding(scores: Sequence[float]) -> Fraction:
    """How far off the truth float64 may decide `partial sum / whole sum < share`.

    A gap z - max of up to 2·max|z| is rounded by half a unit in its last place, which exp makes a
    relative error; exp itself adds at most two units (four halves); then come n - 1 additions.
    Both sums carry that much, and their quotient one rounding more. Where the gap is
    so large that exp underflows, what is lost is smaller than all of these.
    """
    finite = [abs(z) for z in scores if abs(z) != inf]
    widest = min(2 * max(finite, default=0.0), float(-FORGOTTEN))
    return Fraction((2 * (widest + 4 + len(scores)) + 1) * UNIT)


def less(left: Fraction, right: Fraction, error: Fraction) -> bool:
    """left < right, unless they differ, but by no more than `error`."""
    if 0 < abs(left - right) <= error:
        raise UndecidedError
    return left < right


def top_k(scores: Sequence[float], k: int) -> list[float]:
    least = sorted(scores, reverse=True)[min(k, len(scores)) - 1]
    return [z if z >= least else -inf for z in scores]


def top_p(scores: Sequence[float], p: float) -> list[float]:
    weights, total = relative(scores), sum(relative(scores))
    if p == 1 or total == 0:
        return list(scores)
    kept, reached = set(), Fraction(0)
    for token in sorted(range(len(scores)), key=lambda token: (-scores[token], token)):
        kept.add(token)
        reached += weights[token]
        if not less(reached / total, Fraction(p), rounding(scores)):
            break
    return [z if token in kept else -inf for token, z in enumerate(scores)]


def repetition_penalty(tokens: Sequence[int], scores: Sequence[float], theta: float) -> list[float]:
    result = list(scores)
    for token in set(tokens):
        s = scores[token]
        result[token] = s * theta if s < 0 else s / theta
    return result


def draw(scores: Sequence[float], uniform: float) -> int:
    weights = relative(scores)
    total, reached = sum(weights), Fraction(0)
    for token, weight in enumerate(weights):
        reached += weight
        if weight and less(Fraction(uniform), reached / total, rounding(scores)):
            return token
    raise UndecidedError


def processed(tokens: Sequence[int], prompt: int, logits: Sequence[float], s: dict) -> list[float]:
    """What the processors make of one row's logits; `s` holds settings by name."""
    z = repetition_penalty(tokens, logits, s.get("repetition_penalty", 1.0))
    held = len(tokens) < s.get("min_length", 0) or len(tokens) - prompt < s.get("min_new_tokens", 0)
    if held:
        z = [-inf if token in s.get("eos", ()) else score for token, score in enumerate(z)]
    if s.get("do_sample") and s.get("temperature", 1.0) > 0:
        z = [score / s.get("temperature", 1.0) for score in z]
        z = top_k(z, s["top_k"]) if s.get("top_k") else z
        z = top_p(z, s["top_p"]) if s.get("top_p") else z
    return z


def decide(
    logits_of: Callable[[tuple[int, ...]], Sequence[float]],
    tokens: Sequence[int],
    prompt: int,
    s: dict,
    uniforms: Sequence[float] | None,
) -> tuple[int | None, list[float]]:
    """The next token, None where there is none, and the scores it is chosen by."""
    z = processed(tokens, prompt, logits_of(tuple(tokens)), s)
    if max(z) == -inf:
        return None, z
    if s.get("do_sample") and s.get("temperature", 1.0) > 0:
        return draw(z, uniforms[len(tokens) - prompt]), z
    return z.index(max(z)), z


def ending(tokens: Sequence[int], prompt: int, s: dict, spell: Sequence[str]) -> str | None:
    """Why the row ends with its last token, None where it goes on."""
    if tokens[-1] in s.get("eos", ()):
        return "eos"
    text = "".join(spell[token] for token in tokens[prompt:]) if spell else ""
    if any(stop in text for stop in s.get("stop_strings", ())):
        return "stop_string"
    full = len(tokens) == s.get("max_length") or len(tokens) - prompt == s.get("max_new_tokens")
    return "length" if full else None


def decode_row(
    logits_of: Callable[[tuple[int, ...]], Sequence[float]],
    prompt: Sequence[int],
    s: dict,
    *,
    uniforms: Sequence[float] | None = None,
    spell: Sequence[str] = (),
) -> tuple[list[int], str, list[list[float]]]:
    """One row: its tokens, why it ended, and the scores of each choice."""
    tokens, scores = list(prompt), []
    while True:
        token, z = decide(logits_of, tokens, len(prompt), s, uniforms)
        if token is None:
            return tokens, "no_candidates", scores
        tokens.append(token)
        scores.append(z)
        reason = ending(tokens, len(prompt), s, spell)
        if reason:
            return tokens, reason, scores
