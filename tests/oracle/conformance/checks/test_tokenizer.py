"""The checks of tokenizers: right ones pass, and whatever else is answered is named."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oracle import tokenizer
from oracle.adapters import npgpt
from oracle.adapters.guard import GARBLED, RAISED, Misbehaviour, guarded
from oracle.adapters.subject import Subject
from oracle.conformance._check import MATCH, MISMATCH
from oracle.conformance._checks.tokenizer import CHECKS, distance, judge_decode
from oracle.conformance._explore import collect
from oracle.strategies._texts import IdsExample, build_vocabulary

ORACLE = Subject("oracle", encode=tokenizer.encode, decode=tokenizer.decode)
RIGHT = (guarded(ORACLE), guarded(npgpt.subject()))
CHECK = {check.name: check for check in CHECKS}
by_name = pytest.mark.parametrize("name", CHECK)

GARBAGE = [
    None,
    math.nan,
    3.5,
    [1.5],
    [None],
    [[1], [2]],
    {"ids": [1]},
    b"bytes",
    [True, False],
    np.array([1.0]),
    np.array([[1]]),
    ...,
    ValueError("no"),
    Misbehaviour(GARBLED, "encode answered None; expected a list of ids"),
]


def examples(name, count=CHECKS[0].count):
    return collect(CHECK[name].examples(ORACLE), count)


@by_name
@pytest.mark.parametrize(
    "subject", [guarded(ORACLE), guarded(npgpt.subject())], ids=lambda s: s.name
)
def test_right_tokenizers_pass(name, subject):
    check = CHECK[name]
    for example in examples(name):
        finding = check.judge("float32", example, check.answer(subject, example))
        assert (finding.verdict, finding.error, finding.says) == (MATCH, 0.0, "")


@by_name
@pytest.mark.parametrize("garbage", GARBAGE, ids=repr)
def test_garbage_is_a_mismatch_that_says_so(name, garbage):
    check, example = CHECK[name], examples(name, 20)[-1]
    finding = check.judge("float32", example, garbage)
    assert (finding.verdict, finding.error) == (MISMATCH, math.inf)
    assert finding.says
    assert "\n" not in finding.says
    assert distance("float32", example, garbage, garbage) == 0
    assert distance("float32", example, garbage, [1, 2]) == math.inf


def test_arrays_and_tuples_of_ids_will_do():
    for example in examples("tokenizer/encode", 50):
        ids = tokenizer.encode(example.vocabulary.tokens, example.vocabulary.merges, example.text)
        for answer in (tuple(ids), np.array(ids, np.int32), [np.int64(n) for n in ids]):
            assert CHECK["tokenizer/encode"].judge("float32", example, answer).verdict == MATCH
            assert distance("float32", example, answer, ids) == 0


def test_a_wrong_id_is_shown():
    example = next(e for e in examples("tokenizer/encode") if "the" in e.text)
    finding = CHECK["tokenizer/encode"].judge("float32", example, [0, 999])
    assert finding.verdict == MISMATCH
    assert "['!', 999]" in finding.says or "999]" in finding.says


@given(st.lists(st.sampled_from("aÃ©"), max_size=6), st.integers(1, 4))
def test_how_many_replacements_is_free_but_not_whether(symbols, times):
    made = build_vocabulary("commonest", 0, "", 0)
    example = IdsExample(made, [made.tokens[symbol] for symbol in symbols])
    text = tokenizer.decode(made.tokens, made.merges, example.ids)
    more = judge_decode("float32", example, text.replace("\ufffd", "\ufffd" * times))
    assert more.verdict == MATCH
    if "\ufffd" in text:
        none = judge_decode("float32", example, text.replace("\ufffd", ""))
        assert none.verdict == MISMATCH


def test_equal_answers_are_no_distance_apart():
    assert distance("float32", None, [1, 2], (1, 2)) == 0
    assert distance("float32", None, [1, 2], [2, 1]) == math.inf
    assert distance("float32", None, "ab", "ab") == 0
    assert distance("float32", None, "ab", ["a", "b"]) == math.inf
    raised = [Misbehaviour(RAISED, says) for says in ("KeyError: 1", "KeyError: 2")]
    assert distance("float32", None, *raised) == 0


def test_a_round_trip_needs_both_ways():
    alone = Subject("one way", encode=tokenizer.encode)
    assert CHECK["tokenizer/round trip"].examples(alone) is None
    assert CHECK["tokenizer/encode"].examples(alone) is not None


def test_subjects_may_do_what_they_like_with_their_arguments():
    def greedy(vocabulary, merges, given):
        found = tokenizer.encode(vocabulary, merges, given)
        vocabulary.clear()
        merges.clear()
        return found

    (example,) = examples("tokenizer/encode", 1)
    CHECK["tokenizer/encode"].answer(Subject("greedy", encode=greedy), example)
    assert len(example.vocabulary.tokens) >= 256
