"""Bugs that toys do not show, each seen at a border; and honest ways to tile, page and block."""

import pytest

from oracle.adapters import pytorch
from oracle.conformance._catalogue import checks_at
from oracle.conformance._check import MISMATCH
from oracle.conformance._explore import collect
from oracle.conformance._outcome import look
from oracle.conformance._power import mutated
from oracle.mutants._catalogue import LARGE, MUTANTS
from oracle.mutants._large import MUTANTS as LARGE_MUTANTS
from oracle.mutants._mutant import SEVERITIES
from oracle.mutants._wide_equivalents import EQUIVALENTS

CLEAN = pytorch.subject()
OF_MODELS = [m for m in LARGE_MUTANTS if m.area in ("model", "cache")]
TOYS = 8  # examples of each toy check
AT_TOY_SIZE = ("weights-by-shape",)  # two models of one shape show it, of any size


def examples(size, *patterns):
    checks = [check for check in checks_at("borders", patterns) if check.size == size]
    return [
        (check, example)
        for check in checks
        for example in collect(check.examples(CLEAN), TOYS if size == "toy" else check.count)
    ]


def seen(mutant, among):
    subject = mutated(mutant, "float32" if "float32" in mutant.dtypes else mutant.dtypes[0])
    return any(look(c, subject, e).finding.verdict == MISMATCH for c, e in among)


@pytest.fixture(scope="module")
def borders():
    among = examples("borders", "model/*", "cache/*")
    for check, example in among:  # references before any bug is in
        assert look(check, CLEAN, example).finding.verdict != MISMATCH
    return among


def test_there_are_many_and_each_says_what_it_does():
    assert len(OF_MODELS) >= 40
    assert {mutant.id for mutant in LARGE_MUTANTS} <= LARGE
    assert {mutant.id for mutant in MUTANTS} >= LARGE
    for mutant in OF_MODELS:
        assert mutant.effect
        assert mutant.severity in SEVERITIES


def test_each_is_seen_at_a_border(borders):
    assert [mutant.id for mutant in OF_MODELS if not seen(mutant, borders)] == []


def test_honest_tiles_splits_and_pads_raise_no_alarm(borders):
    assert [mutant.id for mutant in EQUIVALENTS if seen(mutant, borders)] == []


def test_toys_do_not_show_them():
    toys = examples("toy", "model/logits", "model/padding", "cache/in pieces", "cache/padding")
    shown = [mutant.id for mutant in OF_MODELS if seen(mutant, toys)]
    assert set(shown) <= set(AT_TOY_SIZE)
