import itertools
import json
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer as HuggingFaceTokenizer
from tokenizers import models, pre_tokenizers, trainers

from npgpt.errors import TokenizerError
from npgpt.tokenizer._byte_alphabet import ALPHABET, to_printable
from npgpt.tokenizer._split import split
from npgpt.tokenizer._training import train
from tests.helpers.text_strategies import texts

END_OF_TEXT = "<|endoftext|>"

# Few letters, so that pairs repeat, overlap and tie.
corpora = st.lists(
    st.one_of(st.text("ab ", max_size=30), st.text("abcé \n", max_size=30), texts), max_size=6
)
sizes = st.integers(257, 300)


def train_by_definition(corpus: list[str], vocab_size: int) -> tuple[list[str], list[str]]:
    """Count every pair of the corpus before every merge. Returns tokens by id, and merges."""
    words = [list(to_printable(word.encode())) for text in corpus for word in split(text)]
    tokens = list(ALPHABET)
    merges = []
    while len(tokens) < vocab_size - 1:
        counts = Counter(pair for word in words for pair in itertools.pairwise(word))
        often = max(counts.values(), default=0)
        if often < 2:
            break
        best = min(
            (pair for pair, count in counts.items() if count == often),
            key=lambda pair: (tokens.index(pair[0]), tokens.index(pair[1])),
        )
        merges.append(" ".join(best))
        assert "".join(best) not in tokens
        tokens.append("".join(best))
        words = [join(word, best) for word in words]
    return tokens, merges


def join(word: list[str], pair: tuple[str, str]) -> list[str]:
    joined: list[str] = []
    rest = word
    while rest:
        width = 2 if tuple(rest[:2]) == pair else 1
        joined.append("".join(rest[:width]))
        rest = rest[width:]
    return joined


@given(corpora, sizes)
def test_training_is_its_definition(corpus: list[str], vocab_size: int) -> None:
    tokens, merges = train_by_definition(corpus, vocab_size)
    tokenizer = train(corpus, vocab_size=vocab_size)
    assert tokenizer.vocab == {token: index for index, token in enumerate(tokens)}
    assert [f"{left} {right}" for left, right in tokenizer.merges] == merges
    assert tokenizer.special_tokens == {END_OF_TEXT: len(tokens)}


@given(corpora, sizes)
def test_training_is_that_of_hugging_face(corpus: list[str], vocab_size: int) -> None:
    reference = HuggingFaceTokenizer(models.BPE())
    reference.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size - 1,
        min_frequency=2,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    reference.train_from_iterator(corpus, trainer)
    model = json.loads(reference.to_str())["model"]
    tokenizer = train(corpus, vocab_size=vocab_size)
    assert tokenizer.vocab == model["vocab"]
    assert [list(pair) for pair in tokenizer.merges] == model["merges"]


@given(corpora, sizes, texts)
def test_round_trip(corpus: list[str], vocab_size: int, text: str) -> None:
    tokenizer = train(corpus, vocab_size=vocab_size)
    assert tokenizer.vocab_size <= vocab_size
    assert tokenizer.end_of_text == tokenizer.vocab_size - 1
    for unseen_or_seen in (text, *corpus):
        assert tokenizer.decode(tokenizer.encode(unseen_or_seen)) == unseen_or_seen


def test_the_first_256_ids_are_gpt2s_bytes_in_gpt2s_order() -> None:
    assert "".join(train(["aa aa"], vocab_size=260).vocab)[:256] == ALPHABET


def test_ties_go_to_the_lowest_ids() -> None:
    # Each pair occurs twice; a < b < c < Ġ by id.
    assert train(["cb ab cb ab"], vocab_size=258).merges == (("a", "b"),)


def test_overlapping_occurrences_all_count() -> None:
    # "aaa" holds "a a" twice, so that it beats "b c".
    assert train(["aaa", "aaa", "bc", "bc", "bc"], vocab_size=258).merges == (("a", "a"),)


def test_words_are_never_crossed() -> None:
    merges = train(["ab ab ab ab"], vocab_size=300).merges
    assert merges == (("a", "b"), ("Ġ", "ab"))


def test_training_stops_where_no_pair_occurs_twice() -> None:
    assert train(["abcdefg"], vocab_size=1000).vocab_size == 257


def test_the_texts_may_come_from_a_generator() -> None:
    corpus = ["to be ", "or not to be"]
    assert train(iter(corpus), vocab_size=270) == train(corpus, vocab_size=270)


def test_end_of_text_in_a_text_is_ordinary_text() -> None:
    tokenizer = train([END_OF_TEXT] * 9, vocab_size=400)
    assert tokenizer.decode_bytes([tokenizer.vocab_size - 1]) == END_OF_TEXT.encode()
    assert ("<", "|") in tokenizer.merges


@pytest.mark.parametrize("vocab_size", [256, 0, -1])
def test_too_small_a_vocabulary_is_refused(vocab_size: int) -> None:
    with pytest.raises(TokenizerError, match=f"vocab_size is {vocab_size}; give 257 or more"):
        train(["a"], vocab_size=vocab_size)


def test_lone_surrogates_are_refused() -> None:
    with pytest.raises(TokenizerError, match="position 1 is a lone surrogate"):
        train(["ab", "a\ud800"], vocab_size=300)
