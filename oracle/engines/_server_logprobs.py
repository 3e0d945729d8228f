"""Log-probabilities as completions endpoints give them, beside the reference's.

`logprobs` has a list each of `tokens` (texts), `token_logprobs` (None for what has nothing before
it) and perhaps `top_logprobs` (dicts from texts to numbers).
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from oracle.bounds._noise import FACTOR
from oracle.bounds._rounding import Array
from oracle.conformance._check import MATCH, MISMATCH, Finding
from oracle.engines._endpoint import Choice
from oracle.engines._reference import Row
from oracle.engines._text_verdicts import REPLACED, Texts
from oracle.engines._verdicts import judge_numbers, noise_floors

WHAT = "log-probability"


def judge_logprobs(texts: Texts, prompt: Sequence[int], answer: Choice) -> Finding:
    """Of generated tokens: each is what the reference has for the token with that text."""
    lists = _lists(answer)
    if isinstance(lists, str):
        return Finding(MISMATCH, math.inf, lists)
    names, numbers, tops = lists
    generated = _tokens(texts, prompt, names)
    if not generated:
        return Finding(MATCH)  # no whole character: nothing says which token it is
    row = texts.reference.row([*prompt, *generated[:-1]])
    places = len(prompt) - 1 + np.arange(len(generated))
    wanted = row.log_probabilities[places, generated]
    given = np.array([math.nan if n is None else n for n in numbers[: len(generated)]], float)
    allowed = row.allowed_log_probability
    finding = judge_numbers(given, wanted, allowed, what=WHAT, first=len(prompt), floors=2 * FACTOR)
    if finding.verdict != MATCH or tops is None:
        return finding
    for place, top in zip(places, tops, strict=False):
        wrong = _judge_top(texts, row.log_probabilities[place], top, allowed)
        if wrong:
            return Finding(
                MISMATCH, math.inf, f"top_logprobs at position {int(place) + 1}: {wrong}"
            )
    return finding


def judge_echo(texts: Texts, prompt: Sequence[int], text: str, answer: Choice) -> Finding:
    """The prompt's text stands before what is generated, with its tokens' log-probabilities."""
    if not answer.text.startswith(text):
        says = (
            f"with echo, the text begins with {answer.text[:24]!r}; the prompt with {text[:24]!r}"
        )
        return Finding(MISMATCH, math.inf, says)
    if answer.logprobs is None:
        return Finding(MATCH)
    lists = _lists(answer)
    if isinstance(lists, str):
        return Finding(MISMATCH, math.inf, lists)
    names, numbers, _ = lists
    if len(names) not in (len(prompt), len(prompt) + 1):
        says = f"{len(names)} tokens have log-probabilities; the prompt has {len(prompt)}"
        return Finding(MISMATCH, math.inf, f"{says}, and one was asked for")
    row = texts.reference.row(prompt)
    if len(prompt) == 1:
        return Finding(MATCH)
    wanted = row.log_probabilities[np.arange(len(prompt) - 1), list(prompt[1:])]
    given = np.array([math.nan if n is None else n for n in numbers], float)
    here = given[1 : len(prompt)]
    allowed = row.allowed_log_probability
    finding = judge_numbers(here, wanted, allowed, what=WHAT, first=1, floors=2 * FACTOR)
    return finding if finding.verdict == MATCH else _misplaced(row, prompt, given, finding)


def _misplaced(row: Row, tokens: Sequence[int], given: Array, finding: Finding) -> Finding:
    """Whether the numbers are right, but stand at another token, or are read a place too late."""
    places, count = np.arange(len(tokens)), len(tokens) - 1
    wanted = row.log_probabilities[places[:-1], list(tokens[1:])]
    late = row.log_probabilities[places, list(tokens)]
    readings = {
        "it stands at the token before": (given[:count], wanted),
        "it stands at the token after": (given[2 : count + 1], wanted[:-1]),
        "it is what the token has after itself, not after those before it": (
            given[1 : count + 1],
            late[1:],
        ),
    }
    for says, (here, there) in readings.items():
        if len(here) < 2 or len(here) != len(there):
            continue
        off = np.nan_to_num(np.abs(here - there), nan=math.inf)
        if off.max() <= row.allowed_log_probability:
            return Finding(MISMATCH, finding.error, f"{finding.says}; {says}")
    return finding


def _lists(
    answer: Choice,
) -> tuple[list[str], list[float | None], list[Mapping[str, float]] | None] | str:
    """tokens, token_logprobs, top_logprobs; or what is wrong with them."""
    given: Mapping[str, Any] = answer.logprobs or {}
    names, numbers = given.get("tokens"), given.get("token_logprobs")
    tops = given.get("top_logprobs")
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        return "logprobs.tokens is no list of texts"
    if not isinstance(numbers, list) or not all(
        number is None or type(number) in (int, float) for number in numbers
    ):
        return "logprobs.token_logprobs is no list of numbers"
    if len(names) != len(numbers):
        return f"{len(names)} tokens have {len(numbers)} log-probabilities"
    if not isinstance(tops, list) or not all(_is_top(top) for top in tops):
        return names, numbers, None
    return names, numbers, tops


def _is_top(top: Any) -> bool:
    return isinstance(top, dict) and all(type(value) in (int, float) for value in top.values())


def _tokens(texts: Texts, prompt: Sequence[int], names: Sequence[str]) -> list[int]:
    """The tokens with these texts, as far as that is certain."""
    generated: list[int] = []
    for name in names:
        fitting = [] if REPLACED in name else texts.named(name)
        if len(fitting) != 1:
            break
        generated.append(fitting[0])
    return generated


def _judge_top(texts: Texts, wanted: Array, top: Mapping[str, float], allowed: float) -> str:
    """What is wrong with the likeliest tokens at a place, or nothing."""
    for name, number in top.items():
        fitting = [] if REPLACED in name else texts.named(name)
        if len(fitting) != 1:
            continue
        off = abs(number - float(wanted[fitting[0]]))
        if not off <= allowed:
            return (
                f"{name!r} has {number:.6g}; it is {wanted[fitting[0]]:.6g}, "
                f"{noise_floors(off / allowed, 2 * FACTOR)} off"
            )
    if top and max(top.values()) < float(wanted.max()) - allowed:
        return f"the largest is {max(top.values()):.6g}; the likeliest token has {wanted.max():.6g}"
    return ""
