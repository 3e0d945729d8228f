"""The checks of perplexity: right ones pass in each dtype, and what is no number is named."""

import math

import numpy as np
import pytest
import torch

from oracle import perplexity
from oracle.adapters import npgpt
from oracle.adapters.guard import RAISED, Misbehaviour, guarded
from oracle.adapters.subject import Subject
from oracle.bounds._rounding import FORMATS
from oracle.conformance._check import MATCH, MISMATCH, TIE
from oracle.conformance._checks.perplexity import CHECKS, Reference, TextScore, distance, judge
from oracle.conformance._explore import collect

CHECK = {check.name: check for check in CHECKS}
by_name = pytest.mark.parametrize("name", CHECK)
DTYPES = pytest.mark.parametrize("dtype", FORMATS)
COUNT = 25  # each is judged against twenty runs of a model


def oracle(dtype):
    def score(config, weights, tokens, stride):
        kind = getattr(torch, dtype)
        tensors = {name: torch.from_numpy(array).to(kind) for name, array in weights.items()}
        return perplexity.perplexity(tensors, config, tokens, stride)

    return guarded(Subject("oracle", dtype, perplexity=score))


def examples(name, subject, count=COUNT):
    return collect(CHECK[name].examples(subject), count)


@by_name
@DTYPES
def test_the_oracle_passes_in_each_dtype(name, dtype):
    check, subject = CHECK[name], oracle(dtype)
    for example in examples(name, subject):
        finding = check.judge(dtype, example, check.answer(subject, example))
        assert (finding.verdict, finding.says) == (MATCH, "")
        assert finding.error <= 1


@by_name
def test_npgpt_passes(name):
    check, subject = CHECK[name], guarded(npgpt.subject())
    for example in examples(name, subject):
        finding = check.judge("float32", example, check.answer(subject, example))
        assert (finding.verdict, finding.says) == (MATCH, "")


@by_name
def test_a_relative_error_above_what_is_allowed_is_found(name):
    for example in examples(name, oracle("float32"), 10):
        reference = example.reference("float32")
        for factor, verdict in ((0.9, MATCH), (1.1, MISMATCH)):
            for sign in (-1, 1):
                answer = math.exp(reference.mean + sign * factor * reference.allowed)
                finding = judge("float32", example, answer)
                assert finding.verdict == verdict
                # The answer itself is rounded to float64.
                assert finding.error == pytest.approx(factor, rel=factor * reference.allowed)


@pytest.mark.parametrize(
    "garbage",
    [
        None,
        math.nan,
        0.0,
        -3.0,
        "4.2",
        [4.2],
        1j,
        np.zeros(3),
        {},
        ...,
        OverflowError("math range error"),
        Misbehaviour(RAISED, "KeyError: 'n_inner'"),
    ],
    ids=repr,
)
def test_garbage_is_a_mismatch_that_says_so(garbage):
    (example,) = examples("perplexity/windows", oracle("float32"), 1)
    finding = judge("float32", example, garbage)
    assert (finding.verdict, finding.error) == (MISMATCH, math.inf)
    assert finding.says
    assert distance("float32", example, garbage, garbage) == 0
    assert distance("float32", example, garbage, 2.0) == math.inf


@pytest.mark.parametrize("number", [np.float32, np.float64, np.array, torch.tensor])
def test_any_kind_of_number_will_do(number):
    (example,) = examples("perplexity/windows", oracle("float32"), 1)
    answer = number(math.exp(example.reference("float32").mean))
    assert judge("float32", example, answer).verdict == MATCH
    assert distance("float32", example, answer, answer) == 0


class Pretended(TextScore):
    """An example whose reference is given."""

    given = Reference(0.0, 0.0)

    def reference(self, dtype):
        return self.given


def pretended(mean, allowed):
    example = Pretended({}, {}, np.array([0, 1]), 1)
    object.__setattr__(example, "given", Reference(mean, allowed))
    return example


def test_what_overflows_the_dtype_is_undecidable():
    finding = judge("float32", pretended(100.0, 1e-4), math.inf)
    assert finding.verdict == TIE
    assert finding.says == "the perplexity, e^100, overflows float32"
    assert judge("float64", pretended(100.0, 1e-4), math.inf).verdict == MISMATCH
    assert judge("float32", pretended(10.0, math.inf), 1.0).verdict == TIE


def test_distance_is_a_part_of_what_is_allowed():
    example = pretended(1.0, 0.5)
    assert distance("float32", example, math.exp(2), math.exp(1)) == 2
    assert distance("float32", example, math.inf, math.inf) == 0


@by_name
def test_examples_reach_every_stride_and_several_windows(name):
    subject = oracle("float32")
    found = examples(name, subject, 200)
    limits = [example.config["n_positions"] for example in found]
    assert any(e.stride == n for e, n in zip(found, limits, strict=True))
    assert any(e.stride == 1 < n for e, n in zip(found, limits, strict=True))
    longer = [len(e.tokens) > n + 1 for e, n in zip(found, limits, strict=True)]
    assert all(longer) if name == "perplexity/windows" else not any(longer)
