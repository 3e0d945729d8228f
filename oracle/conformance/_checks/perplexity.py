"""Checks of perplexity: each token is scored once, given what its window holds before it."""

import functools
import math
import operator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from hypothesis import strategies as st

from oracle.adapters.guard import Misbehaviour
from oracle.adapters.subject import Subject
from oracle.bounds._noise import measure
from oracle.bounds._rounding import Array, format_of, gamma
from oracle.bounds._softmax import log_softmax as log_softmax_bound
from oracle.conformance._check import MATCH, MISMATCH, TIE, Check, Finding
from oracle.conformance._model_examples import exact_in
from oracle.ops._softmax import log_softmax
from oracle.perplexity import windows
from oracle.strategies._arrays import MAX_SEED
from oracle.strategies._configs import Config, configs
from oracle.strategies._weights import Weights, weights

KINDS = ("trained", "ordinary", "tiny_variance", "near_ties")


@dataclass(frozen=True)
class Reference:
    """The mean of −log p, and how far rounding in the claimed dtype may move it."""

    mean: float
    allowed: float


@dataclass(frozen=True, eq=False)
class TextScore:
    """A model and one row of ids to score. weights: float32, exact in the subject's dtype."""

    config: Config
    weights: Weights
    tokens: Array
    stride: int

    @functools.cached_property
    def _references(self) -> dict[str, Reference]:
        return {}

    def reference(self, dtype: str) -> Reference:
        """See `Reference`; measured once."""
        if dtype not in self._references:
            self._references[dtype] = _measured(self, dtype)
        return self._references[dtype]


def _measured(example: TextScore, dtype: str) -> Reference:
    """log p moves by twice what a logit may, and by the rounding of log-softmax; so does a mean.

    To that come the roundings of the sum and the mean, those of exp, and of its argument.
    """
    likely, allowed = [], []
    limit = example.config["n_positions"]
    for window in windows(len(example.tokens), limit, example.stride):
        row = example.tokens[window.start : window.stop]
        measured = measure(example.weights, example.config, row, dtype=dtype)
        targets = np.arange(len(row)), example.tokens[window.start + 1 : window.stop + 1]
        logs = log_softmax(torch.from_numpy(measured.logits)).numpy()[targets]
        rounding = log_softmax_bound(measured.logits, dtype=dtype)[targets]
        likely += list(logs[-window.scored :])
        allowed += list(2 * measured.allowed() + rounding[-window.scored :])
    size = float(np.mean(np.abs(likely)))
    roundings = gamma(len(likely) + 2, dtype) * size + format_of(dtype).library
    return Reference(-float(np.mean(likely)), float(np.mean(allowed)) + roundings)


def text_scores(subject: Subject, *, one_window: bool) -> "st.SearchStrategy[TextScore] | None":
    """Rows that fit the context, or of up to three contexts; shrinks to two tokens.

    None where no claimed context holds two.
    """
    if subject.claims.context(2) < 2:
        return None
    return _text_scores(subject, one_window=one_window)


@st.composite
def _text_scores(draw: st.DrawFn, subject: Subject, *, one_window: bool) -> TextScore:
    wanted = draw(configs(max_layer=2, max_positions=6).filter(lambda c: c["n_positions"] > 1))
    config, dtype = subject.claims.nearest(wanted), subject.dtype
    drawn = draw(weights(config, kinds=KINDS))
    if dtype not in ("float32", "float64"):
        drawn = exact_in(dtype, drawn)
    limit = config["n_positions"]
    # A context that is fixed may be far longer than a toy's text.
    short = min(limit, wanted["n_positions"])
    longest = short if one_window else limit + 2 * short + 2
    length = draw(st.integers(2 if one_window else limit + 2, longest))
    rng = np.random.default_rng(draw(st.integers(0, MAX_SEED)))
    tokens = rng.integers(0, config["vocab_size"], length)
    return TextScore(config, drawn, tokens, draw(st.integers(1, limit)))


def ask(subject: Subject, example: TextScore) -> Any:
    """What the subject's `perplexity` gives."""
    assert subject.perplexity is not None
    weights = {name: array.copy() for name, array in example.weights.items()}
    config = dict(example.config)
    assert subject.perplexity is not None  # what asks this needs it
    return subject.perplexity(config, weights, example.tokens.copy(), example.stride)


def not_a_perplexity(answer: Any) -> str:
    """Why the answer cannot be a perplexity, or nothing."""
    if isinstance(answer, Misbehaviour):
        return answer.says
    if isinstance(answer, BaseException):
        return f"perplexity raised {type(answer).__name__}: {answer}"
    try:
        number = float(operator.methodcaller("__float__")(answer))
    except Exception:
        return f"perplexity gave {repr(answer)[:80]}; expected a number"
    # Not 1, since rounding may bring a perplexity of 1 just under it.
    return "" if number > 0 else f"perplexity gave {number}; expected a number of 1 or more"


def judge(dtype: str, example: TextScore, answer: Any) -> Finding:
    """Its logarithm is within what rounding may do to the mean of −log p."""
    if wrong := not_a_perplexity(answer):
        return Finding(MISMATCH, math.inf, wrong)
    reference = example.reference(dtype)
    if not math.isfinite(reference.allowed):
        return Finding(TIE, 0.0, f"honest rounding overflows {dtype} here")
    found = math.log(float(answer))
    if math.isinf(found) and reference.mean + reference.allowed >= _longest_exponent(dtype):
        return Finding(TIE, 0.0, f"the perplexity, e^{reference.mean:.6g}, overflows {dtype}")
    error = abs(found - reference.mean) / reference.allowed
    if error <= 1:
        return Finding(MATCH, error)
    says = (
        f"the logarithm of the perplexity is {found:.9g}; it is {reference.mean:.9g}, "
        f"and rounding may move it by {reference.allowed:.2g}"
    )
    return Finding(MISMATCH, error, says)


def _longest_exponent(dtype: str) -> float:
    return math.log(format_of(dtype).largest)


def distance(dtype: str, example: TextScore, one: Any, other: Any) -> float:
    """How far the logarithms are apart, as a part of what rounding may do to the right one."""
    if isinstance(one, Misbehaviour) and isinstance(other, Misbehaviour):
        return 0.0 if one.kind == other.kind else math.inf
    if not_a_perplexity(one) or not_a_perplexity(other):
        return 0.0 if not_a_perplexity(one) == not_a_perplexity(other) else math.inf
    first, second = math.log(float(one)), math.log(float(other))
    apart = 0.0 if first == second else abs(first - second)
    return apart / example.reference(dtype).allowed if apart else 0.0


def _check(name: str, asks: str, *, one_window: bool) -> Check:
    return Check(
        f"perplexity/{name}",
        asks,
        "perplexity",
        lambda subject: text_scores(subject, one_window=one_window),
        ask,
        judge,
        distance,
        100,
    )


CHECKS = (
    _check("one window", "a text that fits the context", one_window=True),
    _check("windows", "a text that is read in overlapping windows", one_window=False),
)
