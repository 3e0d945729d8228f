import random
import time

from hypothesis import strategies as st

from oracle.conformance.explore import collect, smallest

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


def test_shrinking_ends_in_time():
    began = time.monotonic()

    def slow(example):
        time.sleep(0.01)
        return sum(example) > 30

    assert smallest(LISTS, 1000, slow, seconds=0.3) is not None
    assert time.monotonic() - began < 30  # a hang is what this would see, not a slow machine
