from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from oracle.conformance._check import MATCH, MISMATCH, TIE
from oracle.conformance._checks.decoders import CHECKS
from oracle.conformance._decoder_verdicts import judge, reference, settled
from oracle.conformance._explore import collect
from oracle.strategies._decoding_problems import DECODERS, REQUIRED, DecodingProblem
from oracle.strategies._toy_language_models import ToyLanguageModel
from tests.helpers.decoding_subject import GARBAGE, ORACLE, examples_of, rounded, verdicts

every_check = pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.name)
EVEN = ToyLanguageModel(((1, 1, 1),), (0, 0), ((1,), (0,), (0,)))
STEEP = ToyLanguageModel(((1, 2, 4),), (0, 0), ((1,), (0,), (0,)))


def problem(toy, settings, *, decoder="greedy", uniforms=None):
    return DecodingProblem(decoder, toy, ((0,),), settings, uniforms, None, None)


@every_check
def test_the_oracle_agrees_with_itself(check):
    assert {finding.verdict for finding in verdicts(check, ORACLE, "float64")} == {MATCH}


@every_check
def test_rounded_logits_are_never_wrong_where_float32_is_claimed(check):
    subject = replace(ORACLE, generate=rounded)
    count = Counter(finding.verdict for finding in verdicts(check, subject, "float32"))
    assert not count[MISMATCH]
    assert not count[TIE]


@pytest.mark.parametrize("decoder", ["greedy", "beam search"])
def test_rounded_logits_are_wrong_where_float64_is_claimed(decoder):
    check = CHECKS[DECODERS.index(decoder)]
    subject = replace(ORACLE, dtype="float64", generate=rounded)
    found = [
        check.judge("float64", example, check.answer(subject, example)).verdict
        for example in collect(check.examples(subject), check.count)
    ]
    assert Counter(found)[MISMATCH] >= 3


def test_less_than_float32_is_judged_as_float32():
    near = ToyLanguageModel(((1000, 1001),), (0, 0), ((1,), (0,)))
    given = problem(near, {"max_new_tokens": 1})
    for dtype in ("float32", "bfloat16", "float16"):
        assert settled(dtype, given)
        assert judge(dtype, given, [[0, 0]]).verdict == MISMATCH


@every_check
def test_garbage_is_a_mismatch(check):
    for example in examples_of(check)[:5]:
        rows = [list(row) for row in reference(example).sequences]
        spoilt = [rows + rows, rows[:-1], [row[:0] for row in rows], [[*row, 0.0] for row in rows]]
        spoilt.append([[*row, example.toy.vocab_size] for row in rows])
        for garbage in [*GARBAGE, *spoilt]:
            found = check.judge("float32", example, garbage)
            assert found.verdict == MISMATCH, garbage
            assert found.says
            assert "\n" not in found.says


@every_check
def test_answers_are_copied(check):
    example = examples_of(check)[0]
    kept = []

    def generate(*args, **keywords):
        kept.extend(ORACLE.generate(*args, **keywords))
        return kept

    answer = check.answer(replace(ORACLE, generate=generate), example)
    before = check.judge("float64", example, answer)
    kept[0][:] = [-1]
    assert check.judge("float64", example, answer) == before
    assert check.distance("float64", example, answer, answer) == 0
    assert check.distance("float64", example, answer, kept) == np.inf


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ([0, 2, 2], "row 0 stops too early, after 3 tokens"),
        ([0, 2, 2, 2, 2], "row 0 stops too late: it was over at place 4, by length"),
        ([0, 2, 1, 2], "row 0 has token 1 at place 2 in place of 2"),
        ([1, 2, 2, 2], "row 0 does not start with its prompt [0]: [1, 2, 2, 2]"),
        ([0, 2, 3, 2], "row 0 has the id 3 at place 2, outside the vocabulary of 3"),
    ],
)
def test_says_what_differs(row, says):
    found = judge("float64", problem(STEEP, {"max_new_tokens": 3}), [row])
    assert (found.verdict, found.says) == (MISMATCH, says)
    found = judge("float64", problem(STEEP, {"max_new_tokens": 3}), [[0, 2, 2, 2]] * 2)
    assert found.says == "2 rows in place of 1"


def test_beams_are_told_with_their_scores():
    given = problem(STEEP, {"max_new_tokens": 1, "num_beams": 2}, decoder="beam search")
    found = judge("float64", given, [[0, 1]])
    assert found.verdict == MISMATCH
    wanted = f"score {np.log(2 / 7):.9g}, the reference's {np.log(4 / 7):.9g}"
    assert found.says == f"row 0 has token 1 at place 1 in place of 2; {wanted}"


def test_after_a_tie_the_subject_is_held_to_its_own_tokens():
    given = problem(EVEN, {"max_new_tokens": 3, "eos_token_id": 1})
    assert judge("float64", given, [[0, 0, 0, 0]]).verdict == MATCH
    assert judge("float64", given, [[0, 2, 0, 1]]).verdict == TIE
    assert judge("float64", given, [[0, 1]]).verdict == TIE
    assert judge("float64", given, [[0, 1, 0, 0]]).verdict == MISMATCH
    assert judge("float64", given, [[0, 2, 0]]).verdict == MISMATCH


def test_a_uniform_on_an_edge_is_a_tie():
    half = ToyLanguageModel(((1, 1),), (0, 0), ((1,), (0,)))
    for u, verdict in ((0.5, TIE), (0.6, MISMATCH), (0.5 + 2.0**-30, MISMATCH)):
        given = problem(half, {"max_new_tokens": 1, "do_sample": True}, decoder="sampling",
                        uniforms=np.array([[u]]))  # fmt: skip
        assert judge("float64", given, [[0, 0]]).verdict == verdict
    assert judge("float32", given, [[0, 0]]).verdict == TIE


def test_a_tied_beam_must_still_be_possible():
    given = problem(EVEN, {"max_new_tokens": 2, "num_beams": 2, "suppress_tokens": [1]},
                    decoder="beam search")  # fmt: skip
    assert judge("float64", given, [[0, 2, 2]]).verdict == TIE
    assert judge("float64", given, [[0, 1, 2]]).verdict == MISMATCH
    assert judge("float64", given, [[0, 2]]).verdict == MISMATCH


@pytest.mark.parametrize("decoder", DECODERS)
def test_only_what_is_known_is_asked(decoder):
    check = CHECKS[DECODERS.index(decoder)]
    assert check.examples(replace(ORACLE, decoders=())) is None
    few = replace(ORACLE, decoders=(decoder,), settings=("eos_token_id",))
    allowed = {"max_new_tokens", "max_length", "eos_token_id", *REQUIRED[decoder]}
    for example in collect(check.examples(few), 30):
        assert set(example.settings) <= allowed
        assert example.decoder == decoder
