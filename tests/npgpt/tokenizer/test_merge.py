import doctest
import itertools
import random
import sys
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from npgpt.tokenizer._merge import merge, merge_few, merge_many

Merges = dict[tuple[int, int], tuple[int, int]]

LETTERS = "abc"


@st.composite
def any_merges(draw: st.DrawFn) -> Merges:
    """Merges of tokens over three letters, in any order, also such as no training would give.

    Two pairs may spell the same token, and a merge may come before those that make its parts.
    """
    ids = {letter: index for index, letter in enumerate(LETTERS)}
    pairs: dict[tuple[int, int], int] = {}
    for _ in range(draw(st.integers(0, 25))):
        left, right = draw(st.tuples(*2 * [st.sampled_from(sorted(ids))]))
        merged = ids.setdefault(left + right, len(ids))
        pairs[ids[left], ids[right]] = merged
    ranks = draw(st.permutations(range(len(pairs))))
    return {pair: (rank, pairs[pair]) for pair, rank in zip(pairs, ranks, strict=True)}


def merge_by_definition(word: list[int], merges: Merges) -> list[int]:
    """Look at all pairs, merge the lowest rank's leftmost, look at all pairs again."""
    word = list(word)
    while True:
        pairs = list(itertools.pairwise(word))
        found = [(merges[pair][0], place) for place, pair in enumerate(pairs) if pair in merges]
        if not found:
            return word
        _, place = min(found)
        word[place : place + 2] = [merges[pairs[place]][1]]


def _plain_merge() -> Callable[[list[int], Merges], list[int]]:
    """The one that the module's docstring shows."""
    (shown, *_) = doctest.DocTestParser().get_examples(sys.modules[merge.__module__].__doc__ or "")
    names: dict[str, Any] = {}
    exec(shown.source, names)
    return names["plain_merge"]


plain_merge = _plain_merge()
words = st.lists(st.integers(0, len(LETTERS) - 1), max_size=40)


# After "b c" is merged, what "a b" was offered as is "a bc", whose turn is after "bc a".
OUT_OF_DATE = {(1, 2): (0, 3), (0, 1): (1, 4), (3, 0): (2, 5), (0, 3): (3, 6)}


@given(words, any_merges())
@example([0, 1, 2, 0], OUT_OF_DATE)
def test_merge_is_its_definition(word: list[int], merges: Merges) -> None:
    expected = merge_by_definition(word, merges)
    assert plain_merge(word, merges) == expected
    assert merge(word, merges) == expected
    assert merge_few(word, merges) == expected
    assert merge_many(word, merges) == expected


@given(st.integers(0, 70), any_merges())
def test_merge_is_its_definition_for_equal_letters(length: int, merges: Merges) -> None:
    word = [0] * length
    assert merge(word, merges) == merge_by_definition(word, merges)


def test_the_word_is_not_written_to() -> None:
    word = [0, 1]
    assert merge(word, {(0, 1): (0, 2)}) == [2]
    assert word == [0, 1]


class Counted(Merges):  # type: ignore[misc]
    """Merges that count how often they are asked."""

    asked = 0

    def get(self, *arguments: object) -> object:
        """As dict's."""
        self.asked += 1
        return super().get(*arguments)  # type: ignore[call-overload]


def doubling(levels: int) -> Counted:
    """Token k stands for 2ᵏ equal letters: every merge is of equal neighbours."""
    return Counted({(k, k): (k, k + 1) for k in range(levels)})


def random_words(length: int) -> list[list[int]]:
    generator = random.Random(length)
    return [[0] * length, [generator.randrange(2) for _ in range(length)], [0, 1] * (length // 2)]


@pytest.mark.parametrize("length", [2, 100, 10_000])
def test_work_grows_no_faster_than_n_log_n(length: int) -> None:
    # Each pair that enters the heap is looked up before and after, and the heap alone is not
    # linear. n − 1 pairs enter at first, and two at most for each of at most n − 1 merges.
    both = {(0, 1): (20, 21), (21, 21): (21, 22), (1, 0): (22, 23), (22, 22): (23, 24)}
    for word in random_words(length):
        merges = Counted(doubling(20) | both)
        merged = merge(word, merges)
        merges_done = len(word) - len(merged)
        offered = length - 1 + 2 * merges_done
        assert merges_done > 0
        assert merges.asked <= 2 * offered
        assert merges.asked <= 6 * (length - 1)
