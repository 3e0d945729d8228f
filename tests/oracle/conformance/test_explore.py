import importlib
import random

from hypothesis import strategies as st

from oracle.conformance._explore import collect, fresh_seed, smallest

LISTS = st.lists(st.integers(0, 99))


def test_the_same_examples_each_time_and_as_many_as_asked_for():
    assert collect(LISTS, 50) == collect(LISTS, 50)
    assert len(collect(LISTS, 50)) == 50
    assert len(collect(st.booleans(), 50)) == 2


def test_smallest_meets_the_examples_that_collect_gives():
    met = []
    assert smallest(LISTS, 50, lambda example: met.append(example)) is None
    assert met == collect(LISTS, 50)


def test_what_fails_is_made_small():
    assert smallest(LISTS, 200, lambda example: sum(example) > 100) in ([2, 99], [99, 2])


def test_what_fails_only_now_and_then_is_still_found():
    calls = random.Random(0)
    found = smallest(LISTS, 200, lambda example: len(example) > 3 and calls.random() < 0.5)
    assert len(found) > 3


def test_shrinking_ends_after_so_many_tries():
    tried = []

    def fails(example):
        tried.append(example)
        return sum(example) > 30

    for tries in (1, 7, 40):
        tried.clear()
        first = next(i for i, e in enumerate(collect(LISTS, 1000), start=1) if sum(e) > 30)
        assert sum(smallest(LISTS, 1000, fails, tries=tries)) > 30
        assert len(tried) <= first + tries - 1


def test_what_is_known_of_the_first_examples_is_not_asked_again():
    asked = []
    known = [sum(example) > 100 for example in collect(LISTS, 50)]
    found = smallest(LISTS, 50, lambda e: asked.append(e) or sum(e) > 100, known=known)
    assert found == smallest(LISTS, 50, lambda example: sum(example) > 100)
    first = collect(LISTS, 50)[known.index(True)]
    assert asked[0] == first or sum(asked[0]) <= sum(first)
    assert len(asked) < 300


def test_another_seed_is_other_examples_and_the_same_seed_the_same():
    assert collect(LISTS, 50, 1) == collect(LISTS, 50, 1) != collect(LISTS, 50)
    assert collect(LISTS, 50, 2) not in (collect(LISTS, 50, 1), collect(LISTS, 50))
    met = []
    assert smallest(LISTS, 50, lambda example: met.append(example), seed=1) is None
    assert met == collect(LISTS, 50, 1)
    assert len({fresh_seed() for _ in range(20)}) > 15


def test_the_examples_are_the_same_whatever_modules_are_loaded(tmp_path, monkeypatch):
    wide = st.lists(st.one_of(st.integers(), st.floats(), st.text()))
    before = collect(wide, 300)
    (tmp_path / "full_of_constants.py").write_text(
        "NUMBERS = " + repr([987_654_000 + i for i in range(500)]) + "\nWORD = 'unheard-of'\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    importlib.import_module("full_of_constants")
    assert repr(collect(wide, 300)) == repr(before)
