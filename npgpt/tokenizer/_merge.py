"""Byte-pair encoding (BPE) of one word: adjacent tokens merged, the most urgent pair first.

All of it, but for speed, a test holds `merge` to:

>>> def plain_merge(word, merges):
...     ids = list(word)
...     while True:
...         pairs = list(zip(ids, ids[1:]))
...         ranks = [(merges[pair][0], i) for i, pair in enumerate(pairs) if pair in merges]
...         if not ranks:
...             return ids
...         _, place = min(ranks)  # the lowest rank, and of equal ones the leftmost
...         ids[place : place + 2] = [merges[pairs[place]][1]]
>>> merges = {(0, 1): (0, 3), (2, 3): (1, 4)}  # a b c = 0 1 2; "a b" first, then "c ab"
>>> plain_merge([2, 0, 1, 0], merges), merge([2, 0, 1, 0], merges)
([4, 0], [4, 0])
"""

import heapq
import itertools
import sys
from array import array
from collections.abc import Iterable, Mapping, Sequence

# A pair of ids -> (rank, id of the merged token). No id may be negative.
Merges = Mapping[tuple[int, int], tuple[int, int]]

_GONE = -1
# Up to this many ids, looking at all ranks after each merge is faster than keeping a heap.
_FEW = 32
# The rank of a pair that is not to be merged: after all others.
_NEVER = (sys.maxsize, _GONE)


def merge(word: Sequence[int], merges: Merges) -> list[int]:
    """Merge adjacent ids, the pair of lowest rank first, until no pair is left to merge.

    Among pairs of equal rank the leftmost goes first. (OpenAI's encoder.py merges every
    occurrence of a pair before it looks at another; for merges in the order in which training
    found them, each after the merges that make its parts, that is the same.)

    Takes O(n log n) time and O(n) space for n ids. A million equal characters take a few seconds.

    >>> merges = {(0, 1): (0, 3), (2, 3): (1, 4)}  # a b c = 0 1 2; "a b" first, then "c ab"
    >>> merge([2, 0, 1, 0], merges)
    [4, 0]
    """
    return merge_few(word, merges) if len(word) <= _FEW else merge_many(word, merges)


def merge_few(word: Sequence[int], merges: Merges) -> list[int]:
    """`merge` in O(n²), quick for few ids."""
    ids = list(word)
    ranked = [merges.get(pair, _NEVER) for pair in itertools.pairwise(ids)]
    while ranked:
        best = min(ranked)
        if best is _NEVER:
            break
        place = ranked.index(best)
        ids[place] = merged = best[1]
        del ids[place + 1], ranked[place]
        if place:
            ranked[place - 1] = merges.get((ids[place - 1], merged), _NEVER)
        if place < len(ranked):
            ranked[place] = merges.get((merged, ids[place + 1]), _NEVER)
    return ids


def merge_many(word: Sequence[int], merges: Merges) -> list[int]:
    """`merge` in O(n log n).

    A merge removes one id and makes at most two new pairs, so at most 3(n − 1) pairs enter the
    heap, each is looked up on the way in and on the way out, and nothing is scanned.
    """
    size = len(word)
    # rank * size + position: in order of rank, then of position
    heap = [
        ranked[0] * size + position
        for position, pair in enumerate(itertools.pairwise(word))
        if (ranked := merges.get(pair)) is not None
    ]
    heapq.heapify(heap)
    # A linked list over positions. Both ends lead to the last item, which pairs with nothing:
    # it is position `size` from the left and position -1 from the right.
    ids = [*word, _GONE]
    after = array("q", range(1, size + 1))
    before = array("q", range(-1, size))

    def offer(position: int) -> None:
        ranked = merges.get((ids[position], ids[after[position]]))
        if ranked is not None:
            heapq.heappush(heap, ranked[0] * size + position)

    while heap:
        rank, position = divmod(heapq.heappop(heap), size)
        following = after[position]
        ranked = merges.get((ids[position], ids[following]))
        if ranked is None or ranked[0] != rank:
            continue  # one of the two has been merged since the pair was offered
        ids[position], ids[following] = ranked[1], _GONE
        after[position] = following = after[following]
        before[following] = position
        offer(position)
        offer(before[position])
    return [token for token in ids if token != _GONE]


def shared(merges: Iterable[tuple[str, str]], vocab: Iterable[str]) -> tuple[tuple[str, str], ...]:
    """The merges, written with the vocabulary's own strings: one for a token, not one a mention.

    GPT-2's merges, 100,000 mentions, take a third of the memory so.
    """
    own = {token: token for token in vocab}
    return tuple((own.get(left, left), own.get(right, right)) for left, right in merges)
