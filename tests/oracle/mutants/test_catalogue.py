import re
from pkgutil import resolve_name

import pytest

from oracle.mutants import _cache as cache
from oracle.mutants import _model as model
from oracle.mutants._catalogue import MUTANTS, named
from oracle.mutants._equivalents import EQUIVALENTS
from oracle.mutants._mutant import SEVERITIES
from oracle.mutants._wrapping import EVERY

AREAS = ("model", "cache", "processors", "decoders", "tokenizer", "perplexity")


def found(target):
    """What stands under a full name such as "oracle.model.layer_norm" now."""
    place, _, name = target.rpartition(".")
    return getattr(resolve_name(place), name)


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.id)
def test_each_is_described_in_full(mutant):
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", mutant.id)
    assert re.fullmatch(r"([\w.-]+/[\w.-]+(#\d+|@[0-9a-f]{7,}|:[\w./-]+))?", mutant.source)
    assert 10 < len(mutant.bug) < 100
    assert "\n" not in mutant.bug
    assert not mutant.bug.endswith(".")
    assert mutant.area in AREAS
    assert mutant.severity in SEVERITIES
    assert 10 < len(mutant.effect) < 80
    assert not mutant.effect.endswith(".")
    assert mutant.dtypes
    assert set(mutant.dtypes) <= set(EVERY)


def test_no_two_have_the_same_name_or_say_the_same():
    for what in ("id", "bug"):
        said = [getattr(mutant, what) for mutant in (*MUTANTS, *EQUIVALENTS)]
        assert len(set(said)) == len(said)


def test_there_are_enough():
    assert len(MUTANTS) >= 90
    assert len(model.MUTANTS) + len(cache.MUTANTS) >= 60
    assert named("tf32") in model.MUTANTS


@pytest.mark.parametrize("mutant", [*MUTANTS, *EQUIVALENTS], ids=lambda mutant: mutant.id)
def test_each_replaces_something_and_puts_it_back(mutant):
    before = {target: found(target) for target in mutant.replaces}
    assert before
    with mutant.applied():
        for target, true in before.items():
            assert found(target) is mutant.replaces[target]
            assert found(target) is not true
    assert all(found(target) is true for target, true in before.items())


def test_what_was_replaced_is_put_back_after_an_error_too():
    mutant = named("no-causal-mask")
    true = found("oracle.model.causal_mask")

    def fail():
        raise LookupError

    with pytest.raises(LookupError):
        mutant.wraps(fail)()
    assert found("oracle.model.causal_mask") is true
