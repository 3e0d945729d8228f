from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from oracle.conformance._check import MATCH, MISMATCH, TIE
from oracle.conformance._checks.processors import CHECKS, judge, known, reference, settled
from oracle.strategies._scores import PROCESSED, ScoreProblem
from tests.helpers.decoding_subject import GARBAGE, ORACLE, examples_of, in_float32, verdicts

every_check = pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.name)
NAMED = {check.name.partition("/")[2]: check for check in CHECKS}


def problem(settings, *rows, tokens=((0,),)):
    return ScoreProblem(settings, np.array(tokens), 1, np.array(rows, float))


def test_one_check_for_each_setting_and_one_for_their_order():
    assert list(NAMED) == [*PROCESSED, "order"]
    assert {check.needs for check in CHECKS} == {"process"}


@every_check
def test_the_oracle_agrees_with_itself(check):
    assert {finding.verdict for finding in verdicts(check, ORACLE, "float64")} == {MATCH}


@every_check
def test_float32_is_right_where_it_is_claimed(check):
    subject = replace(ORACLE, process=in_float32)
    count = Counter(finding.verdict for finding in verdicts(check, subject, "float32"))
    assert not count[MISMATCH]
    assert not count[TIE]


def test_float32_is_wrong_where_float64_is_claimed():
    findings = verdicts(NAMED["temperature"], replace(ORACLE, process=in_float32), "float64")
    assert MISMATCH in {finding.verdict for finding in findings}


@every_check
def test_garbage_is_a_mismatch(check):
    for example in examples_of(check)[:3]:
        for garbage in [*GARBAGE, example.logits[:, :-1], np.full(example.logits.shape, np.nan)]:
            found = check.judge("float32", example, garbage)
            assert found.verdict == MISMATCH, garbage
            assert found.says
            assert "\n" not in found.says


@every_check
def test_an_answer_is_as_far_from_itself_as_nothing(check):
    for example in examples_of(check)[:20]:
        answer = check.answer(ORACLE, example)
        assert check.distance("float32", example, answer, answer) == 0
        small = check.answer(replace(ORACLE, process=in_float32), example)
        if judge("float32", example, small).verdict == MATCH:
            assert check.distance("float32", example, answer, small) <= 1
        assert check.distance("float32", example, answer, None) == np.inf


def test_says_which_tokens():
    given = problem({"top_k": 1}, [3.0, 2.0, 1.0])
    found = judge("float64", given, np.array([[-np.inf, 2.0, 1.0]]))
    assert found.says == "row 0 wrongly keeps 1, 2 and wrongly drops 0"
    found = judge("float64", given, np.array([[4.0, -np.inf, -np.inf]]))
    assert found.says == "token 0 of row 0 has score 4 in place of 3"


@pytest.mark.parametrize(("name", "value"), [("top_p", 0.5), ("top_p", 0.25), ("typical_p", 0.5)])
def test_a_sum_that_equals_p_leaves_nothing_to_rounding(name, value):
    given = problem({name: value}, [0.0, 0.0, 0.0, 0.0])
    number = int(4 * value)
    for kept in ([0, 1, 2, 3][:number], [3, 2, 1, 0][:number]):
        some = np.full((1, 4), -np.inf)
        some[0, kept] = 0.0
        assert judge("float64", given, some).verdict == MATCH
        some[0, kept[-1] - 2] = 0.0
        for dtype in ("float64", "float32", "bfloat16"):
            assert judge(dtype, given, some).verdict == MISMATCH


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("size", [2, 4, 16])
def test_equal_shares_are_exact_by_any_way(dtype, size):
    import torch

    z = torch.zeros(size, dtype=getattr(torch, np.dtype(dtype).name))
    for p in (z.softmax(0), z.log_softmax(0).exp(), (z - z.logsumexp(0)).exp()):
        assert p.tolist() == [1 / size] * size
    n = np.zeros(size, dtype)
    logs = n - n.max() - np.log(np.exp(n - n.max()).sum())
    assert np.exp(logs).tolist() == [1 / size] * size


def test_ties_at_top_k_stay():
    given = problem({"top_k": 1}, [1.0, 1.0, 0.0])
    assert judge("float32", given, np.array([[1.0, 1.0, -np.inf]])).verdict == MATCH
    assert judge("float32", given, np.array([[1.0, -np.inf, -np.inf]])).verdict == MISMATCH
    near = problem({"top_k": 1}, [1.0, 1.0 - 2.0**-40, 0.0])
    both = np.array([[1.0, 1.0, -np.inf]])
    assert judge("float32", near, both).verdict == TIE
    assert judge("float64", near, both).verdict == MISMATCH


def test_an_edge_within_rounding_is_a_tie():
    shares = np.log([[0.5, 0.3, 0.2]])
    given = problem({"top_p": 0.8 + 1e-12}, *shares)
    assert reference("float32", given).narrow.all()
    two = np.where([[True, True, False]], shares, -np.inf)
    for dtype in ("float32", "bfloat16", "float16"):
        assert judge(dtype, given, two).verdict == TIE
        assert not settled(dtype, given)
    assert judge("float64", given, two).verdict == MISMATCH
    assert settled("float64", given)


def test_only_what_is_known_is_asked():
    for check in CHECKS:
        assert check.examples(replace(ORACLE, settings=())) is None
    lengths = replace(ORACLE, settings=("min_length", "forced_eos_token_id"))
    assert known(lengths) == ["forced_eos_token_id"]
    assert NAMED["min_length"].examples(lengths) is None
    assert NAMED["order"].examples(lengths) is None
