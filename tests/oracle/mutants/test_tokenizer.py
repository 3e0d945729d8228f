"""Every bug of tokenizers is one, is found by the checks that are for it, and goes away again."""

import re

import pytest

from oracle import tokenizer
from oracle.adapters.guard import Misbehaviour, guarded
from oracle.adapters.subject import Subject
from oracle.conformance._check import MATCH, MISMATCH
from oracle.conformance._checks.tokenizer import CHECKS
from oracle.conformance._explore import collect
from oracle.mutants._tokenizer import MUTANTS

SUBJECT = guarded(
    Subject(
        "oracle",
        encode=lambda *given: tokenizer.encode(*given),
        decode=lambda *given: tokenizer.decode(*given),
    )
)
EXAMPLES = {check.name: collect(check.examples(SUBJECT), check.count) for check in CHECKS}
IN_CATALOGUE = {
    "merges-left-to-right": "ztxz16/fastllm#715",
    "decode-cleans-spaces": "huggingface/transformers#31884",
}


def findings(mutant):
    """Of each check and example, lazily."""
    for check in CHECKS:
        for example in EXAMPLES[check.name]:
            with mutant.applied():
                try:
                    answer = check.answer(SUBJECT, example)
                except Misbehaviour as misbehaviour:
                    answer = misbehaviour
            yield check.name, check.judge("float32", example, answer)


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.id)
def test_is_found(mutant):
    name, finding = next((n, f) for n, f in findings(mutant) if f.verdict == MISMATCH)
    assert finding.says
    decoding = mutant.id.startswith("decode-")
    assert name == ("tokenizer/decode" if decoding else "tokenizer/encode")


def test_after_them_all_the_oracle_is_as_it_was():
    for mutant in MUTANTS:
        with mutant.applied():
            pass
    for check in CHECKS:
        for example in EXAMPLES[check.name][:50]:
            answer = check.answer(SUBJECT, example)
            assert check.judge("float32", example, answer).verdict == MATCH


def test_ids_are_unique_and_rows_of_the_catalogue_are_here():
    ids = {mutant.id: mutant for mutant in MUTANTS}
    assert len(ids) == len(MUTANTS)
    assert {name: ids[name].source for name in IN_CATALOGUE} == IN_CATALOGUE


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.id)
def test_says_what_and_where(mutant):
    assert mutant.area == "tokenizer"
    assert mutant.bug
    assert "\n" not in mutant.bug
    assert re.fullmatch(r"([\w.-]+/[\w.-]+(#\d+|@[0-9a-f]{7,}|:[\w./-]+))?", mutant.source)
    for target in mutant.replaces:
        assert hasattr(tokenizer, target.removeprefix("oracle.tokenizer."))


def test_they_differ_from_one_another():
    """On the examples there are, no two bugs give the same answers everywhere."""
    seen = {}
    for mutant in MUTANTS:
        answers = tuple(finding.says for _, finding in findings(mutant))
        assert seen.setdefault(answers, mutant.id) == mutant.id
