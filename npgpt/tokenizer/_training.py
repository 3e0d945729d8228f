"""BPE training: a byte-pair vocabulary made of texts."""

import heapq
import itertools
from collections import Counter, defaultdict
from collections.abc import Iterable

from npgpt._quoting import brief
from npgpt.errors import TokenizerError
from npgpt.tokenizer._byte_alphabet import ALPHABET, to_printable
from npgpt.tokenizer._encoding import END_OF_TEXT, Tokenizer
from npgpt.tokenizer._special import check_text
from npgpt.tokenizer._words import words

Pair = tuple[int, int]

# A pair that occurs once would make a token of one use.
LEAST_COUNT = 2


def train(texts: Iterable[str], *, vocab_size: int) -> Tokenizer:
    """A tokenizer for texts like these, with `vocab_size` tokens, `<|endoftext|>` the last.

    Starts from the 256 bytes, with GPT-2's ids. Then, until the vocabulary is full, the pair of
    adjacent tokens that occurs most often within the words of the texts is merged into a new
    token; among equals the one of the lowest ids, first of the left token, then of the right.
    Overlapping occurrences all count (`aaa` holds the pair `a a` twice). If no pair is left that
    occurs twice, training stops there and the vocabulary is smaller than asked for.
    `<|endoftext|>` in a text is ordinary text.

    A merge takes time in proportion to the distinct words that hold its pair, with their lengths,
    so that texts of natural words train fast (10 MB and 4,096 tokens in about 10 seconds), and
    one word of a million random letters would take hours.

    Source: Sennrich, Haddow and Birch, 2016, Neural Machine Translation of Rare Words with
    Subword Units; over bytes as in Radford et al., 2019, Language Models are Unsupervised
    Multitask Learners.

    Raises TokenizerError for a `vocab_size` that is no whole number from 257 (256 bytes and
    `<|endoftext|>`), for one text in place of several, and for a text that `encode` refuses.

    >>> tokenizer = train(["low low low lower newest"], vocab_size=260)
    >>> tokenizer.merges
    (('l', 'o'), ('lo', 'w'), ('Ġ', 'low'))
    """
    least = len(ALPHABET) + 1
    if isinstance(vocab_size, bool) or not isinstance(vocab_size, int) or vocab_size < least:
        raise TokenizerError(
            f"vocab_size is {brief(vocab_size)}; give {least} or more: the bytes and {END_OF_TEXT}"
        )
    if isinstance(texts, (str, bytes)):
        raise TokenizerError(f"texts is {brief(texts)}; give several, such as a list of one")
    tokens = list(ALPHABET)
    merges = []
    corpus = _Corpus(_words(texts))
    # No two merges spell the same token: wherever a token stands, its letters were never merged
    # with those around them, and so with one another by the same steps.
    while len(tokens) < vocab_size - 1 and (best := corpus.most_frequent()):
        left, right = tokens[best[0]], tokens[best[1]]
        merges.append((left, right))
        corpus.merge(best, len(tokens))
        tokens.append(left + right)
    vocab = {token: index for index, token in enumerate(tokens)}
    return Tokenizer(vocab, tuple(merges), {END_OF_TEXT: len(vocab)})


def _words(texts: Iterable[str]) -> list[tuple[list[int], int]]:
    """The distinct words of the texts as ids of bytes, and how often each occurs."""
    counts: Counter[bytes] = Counter()
    for text in texts:
        check_text(text)
        for several in words(text):
            counts.update(several)
    ids = {letter: index for index, letter in enumerate(ALPHABET)}
    return [
        ([ids[letter] for letter in to_printable(word)], count) for word, count in counts.items()
    ]


class _Corpus:
    """Words, and how often each pair occurs in them, kept up to date as pairs are merged."""

    def __init__(self, words: list[tuple[list[int], int]]) -> None:
        self._words = words
        self._counts: Counter[Pair] = Counter()
        self._places: defaultdict[Pair, set[int]] = defaultdict(set)  # words that may hold it
        for place, (word, count) in enumerate(words):
            for pair in itertools.pairwise(word):
                self._counts[pair] += count
                self._places[pair].add(place)
        self._heap = [(-count, pair) for pair, count in self._counts.items()]
        heapq.heapify(self._heap)

    def most_frequent(self) -> Pair | None:
        """The pair to merge next, or None where none occurs often enough."""
        while self._heap:
            count, pair = self._heap[0]
            if -count < LEAST_COUNT:
                return None
            if -count == self._counts[pair]:
                return pair
            heapq.heappop(self._heap)  # the pair has been counted anew since
        return None

    def merge(self, pair: Pair, token: int) -> None:
        """Make each occurrence of the pair into the token."""
        changes: Counter[Pair] = Counter()
        for place in self._places.pop(pair):
            word, count = self._words[place]
            merged = _replace(word, pair, token)
            self._words[place] = merged, count
            for old in itertools.pairwise(word):
                changes[old] -= count
            for new in itertools.pairwise(merged):
                changes[new] += count
                self._places[new].add(place)
        for changed, difference in changes.items():
            if difference:
                self._counts[changed] += difference
                heapq.heappush(self._heap, (-self._counts[changed], changed))


def _replace(word: list[int], pair: Pair, new: int) -> list[int]:
    """The word with each occurrence of the pair, from left to right, made into one id.

    >>> _replace([1, 1, 1, 2], (1, 1), 9)
    [9, 1, 2]
    """
    replaced = []
    position = 0
    while position < len(word):
        if tuple(word[position : position + 2]) == pair:
            replaced.append(new)
            position += 2
        else:
            replaced.append(word[position])
            position += 1
    return replaced
