"""Every processor written down plainly, for one row and one token at a time.

In the style of slow_decoding, whose fractions and `UndecidedError` these share.
"""

from collections.abc import Callable, Sequence
from decimal import Decimal, localcontext
from fractions import Fraction
from itertools import pairwise
from math import inf, isinf

import numpy as np

from npgpt.decoding._scoring import Row
from npgpt.decoding._settings import Settings
from tests.helpers import slow_decoding as slow
from tests.helpers.slow_decoding import UndecidedError, less, relative, rounding

Scores = list[float]


def banned(scores: Sequence[float], tokens: object) -> Scores:
    return [-inf if token in tokens else s for token, s in enumerate(scores)]


def ends_with(tokens: Sequence[int], ids: Sequence[int]) -> bool:
    pairs = zip(reversed(ids), reversed(tokens), strict=False)
    return len(ids) <= len(tokens) and all(a == b for a, b in pairs)


def sequence_bias(row: Row, scores: Scores, biases: Sequence) -> Scores:
    result = list(scores)
    for phrase, bias in biases:
        if ends_with(row.tokens, phrase[:-1]):
            s = result[phrase[-1]]
            result[phrase[-1]] = -inf if -inf in (s, bias) else s + bias
    return result


def counted(row: Row, scores: Scores, frequency: float, presence: float) -> Scores:
    new = list(row.tokens)[row.prompt_length :]
    lowered = [new.count(t) * frequency + (t in new) * presence for t in range(len(scores))]
    return [s if isinf(s) else s - by for s, by in zip(scores, lowered, strict=True)]


def no_repeat_ngram(row: Row, scores: Scores, size: int) -> Scores:
    tokens = list(row.tokens)
    said = [tokens[at : at + size] for at in range(len(tokens) - size + 1)]
    kept = tokens[len(tokens) - (size - 1) :] if size > 1 else []
    return [-inf if [*kept, token] in said else s for token, s in enumerate(scores)]


def bad_words(row: Row, scores: Scores, phrases: Sequence) -> Scores:
    return banned(scores, {p[-1] for p in phrases if ends_with(row.tokens, p[:-1])})


def exponential_decay(row: Row, scores: Scores, start: int, factor: float, eos: object) -> Scores:
    late = len(row.tokens) - row.prompt_length - start
    if late <= 0:
        return list(scores)
    try:
        power = factor**late
    except OverflowError:
        power = inf
    return [
        s + abs(s) * (power - 1) if t in eos and s != 0 and not isinf(s) else s
        for t, s in enumerate(scores)
    ]


def forced(scores: Scores, tokens: object) -> Scores:
    return [0.0 if token in tokens else -inf for token in range(len(scores))]


def keeping(scores: Scores, kept: set[int], least: int = 0) -> Scores:
    """Only `kept`, and the `least` likeliest, equals by id."""
    return [s if t in kept | set(ranked(scores)[:least]) else -inf for t, s in enumerate(scores)]


def ranked(scores: Scores) -> list[int]:
    return sorted(range(len(scores)), key=lambda token: (-scores[token], token))


def temperature(scores: Scores, value: float) -> Scores:
    return [s / value for s in scores]


def top_k(scores: Scores, k: int, least: int = 1) -> Scores:
    return slow.top_k(scores, max(k, least))


def top_p(scores: Scores, p: float, least: int = 1) -> Scores:
    kept = {t for t, s in enumerate(slow.top_p(scores, p)) if s > -inf}
    return keeping(scores, kept, least)


def min_p(scores: Scores, share: float, least: int = 1) -> Scores:
    error = rounding(scores)
    weights = [0 if s == -inf else w for s, w in zip(scores, relative(scores), strict=True)]
    kept = {t for t, w in enumerate(weights) if not less(w, Fraction(share), error)}
    return keeping(scores, kept, least)


def epsilon_cutoff(scores: Scores, epsilon: float, least: int = 1) -> Scores:
    p, error = probabilities(scores), rounding(scores)
    kept = {t for t, share in enumerate(p) if not less(share, Fraction(epsilon), error)}
    return keeping(scores, kept, least)


def probabilities(scores: Scores) -> list[Fraction]:
    weights = relative(scores)
    return [w / (sum(weights) or 1) for w in weights]


def logarithm(x: Fraction) -> Decimal:
    with localcontext() as context:
        context.prec = slow.DIGITS
        return (Decimal(x.numerator) / Decimal(x.denominator)).ln()


def entropy(p: Sequence[Fraction]) -> Fraction:
    return sum((-share * Fraction(logarithm(share)) for share in p if share), Fraction(0))


def eta_cutoff(scores: Scores, epsilon: float, least: int = 1) -> Scores:
    p, error = probabilities(scores), rounding(scores)
    with localcontext() as context:
        context.prec = slow.DIGITS
        h = entropy(p)
        exponent = -Decimal(h.numerator) / Decimal(h.denominator)
        root = Fraction(Decimal(epsilon).sqrt() * exponent.exp())
    cutoff = min(Fraction(epsilon), root)
    kept = {t for t, share in enumerate(p) if not less(share, cutoff, error)}
    return keeping(scores, kept, least)


def top_h(scores: Scores, alpha: float, least: int = 1) -> Scores:
    p, order = probabilities(scores), ranked(scores)
    if alpha == 1 or not sum(p):
        return list(scores)
    most = Fraction(alpha) * entropy(p)
    kept = {order[0]}
    for token in order[1:]:
        prefix = [p[t] for t in [*kept, token]]
        h = entropy([share / sum(prefix) for share in prefix])
        # Even ones too: a logarithm is rounded, in decimals as in float64.
        if abs(h - most) <= 4 * rounding(scores) * most and p[token]:
            raise UndecidedError
        if h > most or not p[token]:
            break
        if p[token] < Fraction(1, 2**1000):
            raise UndecidedError  # float64 has no such number
        kept.add(token)
    return keeping(scores, kept, least)


def typical_p(scores: Scores, mass: float, least: int = 1) -> Scores:
    p = probabilities(scores)
    if mass == 1 or not sum(p):
        return list(scores)
    h, error = entropy(p), 2 * rounding(scores)
    far = [abs(-Fraction(logarithm(q)) - h) if q else None for q in p]
    order = sorted((t for t in range(len(p)) if p[t]), key=lambda t: (far[t], t))
    for a, b in pairwise(order):
        apart = far[b] - far[a]
        if scores[a] != scores[b] and apart <= error * (1 + h + far[a] + far[b]):
            raise UndecidedError
    kept, reached = set(), Fraction(0)
    for token in order:
        if len(kept) >= least and not less(reached, Fraction(mass), rounding(scores)):
            break
        kept.add(token)
        reached += p[token]
    # Those of probability 0, or too small a one to tell, come last: the likelier first.
    rest = [t for t in ranked(scores) if not p[t]]
    return keeping(scores, kept | set(rest[: max(least - len(kept), 0)]))


def processed(
    row: Row, logits: Sequence[float], s: Settings, *, diversity: Callable | None = None, least=1
) -> Scores:
    """What all the processors that `s` asks for make of one row's logits, one after another."""
    new, eos = len(row.tokens) - row.prompt_length, s.eos_token_ids
    z = sequence_bias(row, [float(logit) for logit in logits], s.sequence_bias)
    z = sequence_bias(row, z, [((token,), bias) for token, bias in s.logit_bias])
    z = diversity(row, z) if diversity else z
    z = slow.repetition_penalty(row.tokens, z, s.repetition_penalty)
    z = counted(row, z, s.frequency_penalty, 0.0)
    z = counted(row, z, 0.0, s.presence_penalty)
    z = no_repeat_ngram(row, z, s.no_repeat_ngram_size) if s.no_repeat_ngram_size else z
    z = bad_words(row, z, s.bad_words_ids)
    held = len(row.tokens) < s.min_length or new < s.min_new_tokens
    z = banned(z, eos) if held else z
    if s.prefix_allowed_tokens_fn:
        allowed = set(s.prefix_allowed_tokens_fn(row.prompt, list(row.tokens)))
        z = banned(z, set(range(len(z))) - allowed)
    if s.forced_bos_token_id is not None and new == 0:
        z = forced(z, {s.forced_bos_token_id})
    if s.forced_eos_token_ids and len(row.tokens) + 1 == row.limit:
        z = forced(z, s.forced_eos_token_ids)
    z = exponential_decay(row, z, *(s.exponential_decay_length_penalty or (0, 1.0)), eos)
    z = banned(z, s.suppress_tokens)
    z = banned(z, s.begin_suppress_tokens) if new == 0 else z
    for function in s.logits_processor:
        z = function([row], np.array([z]))[0].tolist()
    return sampled(z, s, least) if s.do_sample and s.temperature > 0 else z


def sampled(z: Scores, s: Settings, least: int) -> Scores:
    z = temperature(z, s.temperature)
    z = top_h(z, s.top_h, least) if s.top_h else z
    z = top_k(z, s.top_k, least) if s.top_k else z
    z = top_p(z, s.top_p, least) if s.top_p else z
    z = min_p(z, s.min_p, least) if s.min_p else z
    z = typical_p(z, s.typical_p, least) if s.typical_p else z
    z = epsilon_cutoff(z, s.epsilon_cutoff, least) if s.epsilon_cutoff else z
    return eta_cutoff(z, s.eta_cutoff, least) if s.eta_cutoff else z
