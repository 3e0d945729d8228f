"""Every bug of perplexity is one, and is found by the checks that are for it."""

import re

import pytest
import torch

from oracle import perplexity
from oracle.adapters.guard import Misbehaviour, guarded
from oracle.adapters.subject import Subject
from oracle.conformance._check import MISMATCH
from oracle.conformance._checks.perplexity import CHECKS
from oracle.conformance._explore import collect
from oracle.mutants import _perplexity as own
from oracle.mutants import _published_perplexity as published


def score(config, weights, tokens, stride):
    tensors = {name: torch.from_numpy(array) for name, array in weights.items()}
    return perplexity.perplexity(tensors, config, tokens, stride)


MUTANTS = (*own.MUTANTS, *published.MUTANTS)
SUBJECT = guarded(Subject("oracle", perplexity=score))
EXAMPLES = {check.name: collect(check.examples(SUBJECT), check.count) for check in CHECKS}
IN_CATALOGUE = {
    "perplexity-shift": "huggingface/transformers#30975",
    "perplexity-last-window": "huggingface/transformers#7938",
}
# They ask about windows, so a text that fits the context says nothing.
OF_WINDOWS = {
    "perplexity-last-window",
    "perplexity-mean-of-windows",
    "perplexity-overlap-twice",
    "perplexity-no-overlap",
    "perplexity-window-joints",
    "perplexity-target-inside",
    "perplexity-last-window-lost",
    "perplexity-truncated",
    "perplexity-window-weights",
}


def answer_of(mutant, check, example):
    with mutant.applied():
        try:
            return check.answer(SUBJECT, example)
        except Misbehaviour as misbehaviour:
            return misbehaviour


def found_by(mutant, check):
    """Whether within as many examples as the check has by default."""
    return any(
        check.judge("float32", example, answer_of(mutant, check, example)).verdict == MISMATCH
        for example in EXAMPLES[check.name]
    )


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.id)
def test_is_found_by_the_checks_that_are_for_it(mutant):
    one_window, windows = CHECKS
    assert found_by(mutant, windows)
    assert found_by(mutant, one_window) == (mutant.id not in OF_WINDOWS)


def test_each_is_known_by_its_numbers():
    """No two bugs give the same number everywhere, as far as rounding goes."""
    check = CHECKS[1]
    few = EXAMPLES[check.name][:20]
    answers = {m.id: [answer_of(m, check, example) for example in few] for m in MUTANTS}
    for one in answers:
        for other in answers:
            apart = (
                check.distance("float32", example, a, b)
                for example, a, b in zip(few, answers[one], answers[other], strict=True)
            )
            assert one == other or max(apart) > 1


def test_ids_are_unique_and_rows_of_the_catalogue_are_here():
    ids = {mutant.id: mutant for mutant in MUTANTS}
    assert len(ids) == len(MUTANTS)
    assert {name: ids[name].source for name in IN_CATALOGUE} == IN_CATALOGUE


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.id)
def test_says_what_and_where(mutant):
    assert mutant.area == "perplexity"
    assert mutant.bug
    assert "\n" not in mutant.bug
    assert re.fullmatch(r"([\w.-]+/[\w.-]+(#\d+|@[0-9a-f]{7,}|:[\w./-]+))?", mutant.source)
    for target in mutant.replaces:
        assert hasattr(perplexity, target.removeprefix("oracle.perplexity."))
