"""Checks of the decoders over toy language models: the very rows that the reference finds.

Supplied uniforms make sampling exact. What a row that differs is worth says
`oracle.conformance._decoder_verdicts`. Logits are given in float64, whatever the model computes in,
and most programs decode in more than they store; so a subject is held to float32 where it claims
less. Nearly no example is tried in which rounding, or the order of equals, decides. Most of them
are each of one known difficulty (`oracle.strategies._hard_decoding`).
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from hypothesis import strategies as st

from oracle.adapters.subject import Subject
from oracle.conformance._boundaries import working
from oracle.conformance._check import Check
from oracle.conformance._checks.rows import copied
from oracle.conformance._decoder_verdicts import judge, logits_of, settled
from oracle.strategies._decoding_problems import (
    DECODERS,
    REQUIRED,
    SAMPLING,
    DecodingProblem,
    decoding_problems,
    settings_of,
)
from oracle.strategies._hard_decoding import NEAR_TIE_BITS, difficulties, hard_problems
from oracle.strategies._toy_language_models import KINDS, build_toy


def answer(subject: Subject, problem: DecodingProblem) -> Any:
    """What the subject's `generate` gives, copied."""
    more: dict[str, Any] = {}
    if problem.decoder == "contrastive search":
        more["hidden"] = lambda rows: [states.copy() for states in problem.toy.hidden_of(rows)]
    if problem.draft is not None:
        more["draft"] = lambda rows: logits_of(problem.draft, rows)
    if problem.negative_prompts is not None:
        more["negative_prompts"] = [list(row) for row in problem.negative_prompts]
    if "stop_strings" in problem.settings:
        more["text_of"] = problem.toy.text_of
    uniforms = None if problem.uniforms is None else problem.uniforms.copy()
    prompts = [list(prompt) for prompt in problem.prompts]
    settings = dict(problem.settings)
    return copied(
        subject.generate(
            lambda rows: logits_of(problem.toy, rows), prompts, settings, uniforms, **more
        )
    )


def distance(dtype: str, problem: DecodingProblem, one: Any, other: Any) -> float:
    """0 where the rows are the same, else infinite."""
    return 0.0 if _plain(one) == _plain(other) else np.inf


def _plain(answer: Any) -> Any:
    try:
        return [tuple(int(token) for token in row) for row in answer]
    except Exception:
        return repr(answer)[:200]


# In most toys few tokens are as likely as others: examples in which such decide are thrown away.
_KINDS = ["steep", "steep", "steep", "small", "certain"]
_DRAWING = [kind for kind in KINDS if kind != "near_ties"]
# How many examples: most for what has the most ways to go wrong.
COUNTS = {"beam search": 300, "greedy": 200, "sampling": 200}


def examples_of(decoder: str) -> Callable[[Subject], "st.SearchStrategy[Any] | None"]:
    """What the check of a decoder draws for a subject."""

    def examples(subject: Subject) -> "st.SearchStrategy[Any] | None":
        if decoder not in subject.decoders:
            return None
        known = {*subject.settings, "max_length", *REQUIRED[decoder]}
        if "sampling" in subject.decoders:
            known.add("do_sample")
        if "do_sample" not in known:
            known -= set(SAMPLING)
        without = [name for name in settings_of(decoder) if name not in known]
        toys = st.builds(
            build_toy,
            st.sampled_from(_DRAWING if "do_sample" in REQUIRED[decoder] else _KINDS),
            st.integers(0, 2**32 - 1),
            st.integers(2, 6),
            st.integers(1, 4),
        )
        problems = decoding_problems(decoder, toys=toys, without=without)
        if names := difficulties(decoder, known):
            bits = NEAR_TIE_BITS[working(subject.dtype)]
            hard = hard_problems(decoder, names, bits=bits)
            problems = st.one_of(problems, hard, hard)
        return problems.filter(lambda problem: settled(subject.dtype, problem))

    return examples


def _check(decoder: str) -> Check:
    return Check(
        f"decoders/{decoder.replace(' ', '-')}",
        f"Does {decoder} give the rows that its settings mean?",
        "generate",
        examples_of(decoder),
        answer,
        judge,
        distance,
        count=COUNTS.get(decoder, 150),
    )


CHECKS: tuple[Check, ...] = tuple(map(_check, DECODERS))
