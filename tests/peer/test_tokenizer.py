"""Tokenizer files that npgpt writes, read by transformers: equal ids and equal texts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from npgpt.tokenizer._files import load as load_tokenizer
from npgpt.tokenizer._files import save as save_tokenizer
from npgpt.tokenizer._training import train
from tests.helpers.real_data import gpt2_tokenizer
from tests.helpers.transformers_gpt2 import transformers

CLASSES = [n for n in ("GPT2Tokenizer", "GPT2TokenizerFast") if hasattr(transformers, n)]
FORMS = [("tokenizer.json", "vocab.json"), ("vocab.json",)]
END = "<|endoftext|>"

PIECES = ["'s", "'S", " 'll", "  ", "\n\n", "\t ", " a", "12", "½", "é", "e\u0301", "日本"]
ODD = ["👩\u200d👩\u200d👧", "\x00", "\xa0", "\u3000 ", "\ufeff", "\U000e0001"]
TEXTS = st.lists(st.text() | st.sampled_from([*PIECES, *ODD, END, "<|endof"])).map("".join)


def tokenizers(make):
    """Each class of transformers over each form that npgpt writes, and npgpt's tokenizer."""

    @pytest.fixture(scope="module", params=[(c, f) for c in CLASSES for f in FORMS], ids=str)
    def both(request, tmp_path_factory):
        name, forms = request.param
        ours, folder = make(), tmp_path_factory.mktemp("tokenizer")
        save_tokenizer(ours, folder, forms=forms)
        return ours, getattr(transformers, name).from_pretrained(folder)

    return both


real = tokenizers(lambda: load_tokenizer(gpt2_tokenizer()))
own = tokenizers(lambda: train(["It was the best of times, it was the worst"], vocab_size=290))


def agree(ours, theirs, text):
    ids = ours.encode(text, allowed_special="all")
    assert theirs.encode(text) == ids
    assert ours.encode(text) == theirs.encode(text, split_special_tokens=True)
    assert theirs.decode(ids, clean_up_tokenization_spaces=False) == ours.decode(ids) == text


@given(TEXTS)
def test_ids_and_text_with_the_real_vocabulary(real, text):
    agree(*real, text)


@given(TEXTS)
def test_ids_and_text_with_a_vocabulary_of_our_own(own, text):
    agree(*own, text)


@given(st.lists(st.integers(0, 50256)))
def test_any_ids_give_the_same_text(real, ids):
    """Bytes that are no UTF-8 included."""
    ours, theirs = real
    assert theirs.decode(ids, clean_up_tokenization_spaces=False) == ours.decode(ids)


def test_end_of_text(real):
    ours, theirs = real
    assert theirs.eos_token_id == ours.end_of_text == 50256
    assert len(theirs) == ours.vocab_size
