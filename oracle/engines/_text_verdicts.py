"""Verdicts on texts: a server hands out text, so tokens are found again by what follows likeliest.

A text is read along the reference's own choices: at each place the likeliest token whose bytes the
text goes on with. Bytes that are no whole character end the reading, since a server replaces them.
"""

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from oracle.bounds._rounding import Array
from oracle.checkpoints import Tokenizer
from oracle.conformance._check import MATCH, MISMATCH, TIE, Finding
from oracle.engines._reference import Reference
from oracle.engines._verdicts import LEVEL, noise_floors

# What is done to logits (vocab,) before the likeliest is taken, given the tokens generated so far.
Change = Callable[[Array, Sequence[int]], Array]
REPLACED = "\ufffd"


def unchanged(logits: Array, generated: Sequence[int]) -> Array:
    """As they are."""
    return logits


@dataclass
class Texts:
    """The texts of single tokens, as a server would show them."""

    reference: Reference
    tokenizer: Tokenizer
    bytes_of: dict[int, bytes] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """All at once: they are asked for again and again."""
        for token in self.tokenizer.vocabulary.values():
            if token < self.reference.vocab_size:
                self.bytes_of[token] = self.tokenizer.bytes_of([token])

    @property
    def ends(self) -> tuple[int, ...]:
        """The tokens that end a text; they have no text of their own there."""
        end = self.reference.files.config.get("eos_token_id")
        return () if end is None else (int(end),)

    def shown(self, token: int) -> str:
        """A token alone; "" for one that ends the text, or is no whole character.

        Servers keep such back, or replace them; which, is not judged.
        """
        if token in self.ends or token not in self.bytes_of:
            return ""
        text = self.bytes_of[token].decode(errors="replace")
        return "" if REPLACED in text else text

    def named(self, text: str) -> list[int]:
        """The tokens that are shown so."""
        data = text.encode(errors="replace")
        return [token for token, own in self.bytes_of.items() if own == data]

    def greedy(self, prompt: Sequence[int], count: int, change: Change = unchanged) -> list[int]:
        """The likeliest tokens after a prompt, one by one, the end of the text included."""
        generated: list[int] = []
        while len(generated) < count and not (generated and generated[-1] in self.ends):
            logits = change(self.reference.after([*prompt, *generated]), generated)
            generated.append(int(np.argmax(logits)))
        return generated

    def text_of(self, tokens: Sequence[int]) -> str:
        """What a server gives for these tokens."""
        kept = [token for token in tokens if token not in self.ends]
        return b"".join(self.bytes_of.get(token, b"") for token in kept).decode(errors="replace")


def judge_text(
    texts: Texts,
    prompt: Sequence[int],
    text: str,
    count: int,
    *,
    change: Change = unchanged,
) -> Finding:
    """A text of `count` tokens, each the likeliest after the text's own before it."""
    if text == texts.text_of(texts.greedy(prompt, count, change)):
        return Finding(MATCH)
    data, generated = text.encode(), list[int]()
    ties, largest = 0, 0.0
    while len(generated) < count:
        logits = change(texts.reference.after([*prompt, *generated]), generated)
        likeliest = int(np.argmax(logits))
        if likeliest in texts.ends and not data:
            break
        if not data or data.startswith(REPLACED.encode()):
            if texts.shown(likeliest) == "":
                break  # no whole character: what a server shows of it is not judged
            position = len(prompt) + len(generated)
            if data:
                return _differs(position, REPLACED, texts.shown(likeliest))
            return _short(position, len(generated), count)
        token = _goes_on(texts, data, logits)
        if token is None:
            return Finding(
                MISMATCH, math.inf, f"no token has the text {data[:12].decode(errors='replace')!r}"
            )
        if token != likeliest:
            # Measured only here: the noise floor of a row costs more than its logits.
            allowed = texts.reference.row([*prompt, *generated]).allowed
            gap = float(logits[likeliest] - logits[token])
            error = gap / (2 * allowed)
            if error > 1:
                shown = texts.bytes_of.get(likeliest, b"").decode(errors="replace")
                says = _differs(len(prompt) + len(generated), texts.shown(token), shown).says
                more = f", whose logit is higher by {gap:.4g}, {noise_floors(2 * error)}"
                return Finding(MISMATCH, error, says + more)
            ties, largest = ties + 1, max(largest, error)
        generated.append(token)
        data = data[len(texts.bytes_of[token]) :]
    if data and not data.startswith(REPLACED.encode()):
        more = data.decode(errors="replace")
        says = f"{more!r} comes after the {len(generated)} tokens that were asked for"
        if likeliest_ends(texts, prompt, generated, change):
            says = f"{more!r} comes after the end of the text"
        return Finding(MISMATCH, math.inf, says)
    if ties:
        return Finding(TIE, largest, f"rounding may decide {ties} of its tokens")
    return Finding(MATCH)


def likeliest_ends(
    texts: Texts, prompt: Sequence[int], generated: Sequence[int], change: Change
) -> bool:
    """Whether the text ends there."""
    logits = change(texts.reference.after([*prompt, *generated]), generated)
    return int(np.argmax(logits)) in texts.ends


def _goes_on(texts: Texts, data: bytes, logits: Array) -> int | None:
    """The likeliest token that the text goes on with."""
    fitting = [
        token
        for token, own in texts.bytes_of.items()
        if own and data.startswith(own) and token not in texts.ends
    ]
    return max(fitting, key=lambda token: float(logits[token]), default=None)


def _differs(position: int, given: str, wanted: str) -> Finding:
    says = f"first differs at position {position}: {given!r} in place of {wanted!r}"
    return Finding(MISMATCH, math.inf, says)


def _short(position: int, given: int, count: int) -> Finding:
    says = f"it stops too early, after {given} of {count} tokens, at position {position}"
    return Finding(MISMATCH, math.inf, says)


def log_probability_of(texts: Texts, prompt: Sequence[int], text: str, count: int) -> float:
    """The logarithm of how likely a text is drawn, read as the likeliest token at each step.

    Used to say how unlikely it is that several draws are the same.
    """
    data, generated, total = text.encode(), list[int](), 0.0
    while data and len(generated) < count and not data.startswith(REPLACED.encode()):
        logits = texts.reference.after([*prompt, *generated])
        token = _goes_on(texts, data, logits)
        if token is None:
            break
        largest = float(logits.max())
        total += float(logits[token]) - largest - math.log(np.exp(logits - largest).sum())
        generated.append(token)
        data = data[len(texts.bytes_of[token]) :]
    return total


def judge_all_equal(
    texts: Texts, prompt: Sequence[int], drawn: Sequence[str], count: int, *, what: str
) -> Finding:
    """Whether texts that were drawn independently differ somewhere, unless chance explains it."""
    if len(set(drawn)) > 1:
        return Finding(MATCH)
    chance = log_probability_of(texts, prompt, drawn[0], count) * (len(drawn) - 1)
    if chance < math.log(LEVEL):
        says = f"{len(drawn)} {what} are all {drawn[0][:24]!r}"
        return Finding(MISMATCH, math.inf, f"{says}; chance does that once in {_times(-chance)}")
    return Finding(TIE, 0.0, f"{len(drawn)} {what} are the same, which chance may do")


def _times(logarithm: float) -> str:
    return f"1e{logarithm / math.log(10):.0f}"


def shares_of(texts: Texts, parts: Array) -> dict[str, float]:
    """The probability of each shown text of one token, of those of all tokens (vocab,)."""
    shares: Counter[str] = Counter()
    for token, part in enumerate(parts.tolist()):
        shares[texts.shown(token)] += part
    return dict(shares)
