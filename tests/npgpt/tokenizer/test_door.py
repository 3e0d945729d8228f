"""What npgpt.tokenizer offers."""

import pytest

import npgpt.tokenizer
from npgpt.tokenizer import Tokenizer, load, save, train


def test_all_is_there():
    for name in npgpt.tokenizer.__all__:
        assert getattr(npgpt.tokenizer, name).__doc__
        assert name in dir(npgpt.tokenizer)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        npgpt.tokenizer.nothing  # noqa: B018


def test_trained_saved_and_loaded(tmp_path):
    tokenizer = train(["to be or not to be"], vocab_size=260)
    save(tokenizer, tmp_path)
    again = load(tmp_path)
    assert again == tokenizer
    assert hash(again) == hash(tokenizer)
    assert repr(again) == "Tokenizer(260 tokens, 3 merges, special: {'<|endoftext|>': 259})"


def test_equal_whatever_the_order_of_special_tokens():
    plain = train([], vocab_size=257)
    one, other = ({**plain.special_tokens, "<|a|>": 257}, {"<|a|>": 257, **plain.special_tokens})
    first, second = (Tokenizer(plain.vocab, (), special) for special in (one, other))
    assert first == second
    assert hash(first) == hash(second)
