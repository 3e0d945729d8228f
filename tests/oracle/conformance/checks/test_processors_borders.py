"""Processors over GPT-2's vocabulary and over long rows: the issue's wrong samplers are told."""

from dataclasses import replace

import numpy as np
import pytest

from oracle.adapters import npgpt
from oracle.adapters.guard import guarded
from oracle.conformance._checks.processors import settled
from oracle.conformance._checks.processors_borders import BEFORE_TEMPERATURE, CHECKS
from oracle.conformance._outcome import NOT_OFFERED, RIGHT, UNDECIDED, WRONG, run
from oracle.strategies._border_scores import BORDER_CASES, RELEASED
from oracle.strategies._scores import PROCESSED
from tests.helpers.decoding_subject import ORACLE, in_float32

NAMED = {check.name.partition("/")[2]: check for check in CHECKS}
every_check = pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.name)


def wrong(process):
    return guarded(replace(ORACLE, dtype="float32", process=process))


def told(subject, name):
    return run(NAMED[name], subject)


def test_each_setting_has_its_cases():
    assert list(BORDER_CASES) == list(PROCESSED)
    assert list(NAMED) == ["before-temperature", *(f"{name}-wide" for name in PROCESSED)]
    assert {check.size for check in CHECKS[1:]} == {"borders"}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_nearly_every_case_can_be_decided(dtype):
    for name, cases in BORDER_CASES.items():
        for case in cases:
            assert any(settled(dtype, case.problem(seed)) for seed in range(40)), (name, case.label)


@every_check
def test_the_oracle_agrees_and_so_does_float32_where_it_is_claimed(check):
    assert run(check, replace(ORACLE, dtype="float64")).verdict == RIGHT
    assert run(check, wrong(in_float32)).verdict == RIGHT


def test_npgpt_is_right():
    subject = guarded(npgpt.subject())
    verdicts = {check.name: run(check, subject, count=1).verdict for check in CHECKS}
    assert verdicts == {check.name: RIGHT for check in CHECKS}


def test_what_is_refused_is_not_judged():
    def no_more_than_64(settings, tokens, prompt_length, logits):
        if settings.get("top_k", 0) > 64:
            raise NotImplementedError("top_k is 64 at most")
        return ORACLE.process(settings, tokens, prompt_length, logits)

    outcome = told(wrong(no_more_than_64), "top_k-wide")
    assert outcome.verdict == UNDECIDED
    assert "top_k is 64 at most" in outcome.says
    assert told(replace(ORACLE, settings=()), "top_p-wide").verdict == NOT_OFFERED


def last_64(settings, tokens, prompt_length, logits):
    if "repetition_penalty" in settings:
        tokens = tokens[:, -64:]
    return ORACLE.process(settings, tokens, min(prompt_length, tokens.shape[1]), logits)


def likeliest_50(settings, tokens, prompt_length, logits):
    return ORACLE.process({"top_k": 50, **settings}, tokens, prompt_length, logits)


def ascending(settings, tokens, prompt_length, logits):
    """top_p by a sum from the least likely on, in float32: above 1 - p it is kept."""
    scores = ORACLE.process(
        {k: v for k, v in settings.items() if k != "top_p"}, tokens, prompt_length, logits
    )
    if "top_p" not in settings:
        return scores
    order = np.argsort(scores, 1, kind="stable")
    share = np.take_along_axis(np.exp(scores - scores.max(1, keepdims=True)), order, 1)
    share = (share / share.sum(1, keepdims=True)).astype(np.float32)
    kept = np.cumsum(share, 1, dtype=np.float32) > np.float32(1) - np.float32(settings["top_p"])
    out = np.full_like(scores, -np.inf)
    np.put_along_axis(out, order, np.where(kept, np.take_along_axis(scores, order, 1), -np.inf), 1)
    return out


def greedy_at_1(settings, tokens, prompt_length, logits):
    plain = {"top_k": 1} if settings.get("top_p") == 1 else {}
    return ORACLE.process(settings | plain, tokens, prompt_length, logits)


def after_temperature(name):
    def process(settings, tokens, prompt_length, logits):
        late = {k: v for k, v in settings.items() if k == name}
        early = {k: v for k, v in settings.items() if k != name}
        scores = ORACLE.process(early, tokens, prompt_length, logits)
        return ORACLE.process(late, tokens, prompt_length, scores)

    return process


@pytest.mark.parametrize(
    ("process", "check", "says"),
    [
        (last_64, "repetition_penalty-wide", "row of 65"),
        (likeliest_50, "temperature-wide", "over 200"),
        (likeliest_50, "top_p-wide", "over 200"),
        (ascending, "top_p-wide", "top_p of 1e-08"),
        (greedy_at_1, "top_p-wide", "top_p of 1 over 6"),
        *(
            (after_temperature(name), "before-temperature", f"{name} at temperature")
            for name in BEFORE_TEMPERATURE
        ),
    ],
)
def test_a_bug_of_the_issue_is_wrong_and_its_size_is_said(process, check, says):
    outcome = told(wrong(process), check)
    assert outcome.verdict == WRONG
    assert says in outcome.says


def test_the_last_id_is_there_in_every_row_with_a_head():
    (case,) = [case for case in BORDER_CASES["min_p"] if case.kind == "headed"]
    logits = case.problem(0).logits
    assert logits.shape[1] == RELEASED
    assert (logits[:, -1] > np.sort(logits, 1)[:, -7]).all()
