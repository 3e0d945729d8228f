import numpy as np
import pytest

from npgpt.checkpoints._gguf.reader import read_gguf
from npgpt.errors import CheckpointError, TokenizerError
from tests.helpers.gguf_making import (
    BOOL,
    CONTROL,
    INT32,
    NORMAL,
    PAIRS,
    TEXT,
    TOKENIZER,
    TYPES,
    UINT8,
    UNUSED,
    WORDS,
    array,
    number,
    of,
    text_value,
    uint32,
    with_tokens,
)

MODEL, PRE, TOKENS, TYPE, MERGES = (
    f"tokenizer.ggml.{name}" for name in ("model", "pre", "tokens", "token_type", "merges")
)
END = WORDS[-1]


def written(tmp_path, data):
    path = tmp_path / "a.gguf"
    path.write_bytes(data)
    return path


def test_a_tokenizer(tmp_path):
    assert read_gguf(written(tmp_path, with_tokens())).tokenizer == TOKENIZER


def test_no_tokens_no_tokenizer(tmp_path):
    weights = read_gguf(written(tmp_path, of({MODEL: text_value("none")})))
    assert weights.tokenizer is None
    assert weights.config["vocab_size"] == 2


@pytest.mark.parametrize("pre", [None, "default"])
def test_files_that_do_not_name_the_rule(tmp_path, pre):
    data = with_tokens({PRE: pre and text_value(pre)})
    assert read_gguf(written(tmp_path, data)).tokenizer == TOKENIZER


@pytest.mark.parametrize("types", [None, array(INT32, [NORMAL] * 260)], ids=["none", "normal"])
def test_the_end_of_text_is_special_whatever_its_type(tmp_path, types):
    assert read_gguf(written(tmp_path, with_tokens({TYPE: types}))).tokenizer == TOKENIZER


def test_control_tokens_are_special(tmp_path):
    data = with_tokens(tokens=[*WORDS, "<a b>"], types=[*TYPES, CONTROL])
    assert read_gguf(written(tmp_path, data)).tokenizer.special_tokens == {END: 259, "<a b>": 260}


def test_unused_tokens_at_the_end_are_left_out(tmp_path):
    data = with_tokens(tokens=[*WORDS, "[PAD260]", "[PAD261]"], types=[*TYPES, UNUSED, UNUSED])
    weights = read_gguf(written(tmp_path, data))
    assert weights.tokenizer == TOKENIZER
    assert weights.config["vocab_size"] == 262


def test_no_merges_in_an_array_of_any_type(tmp_path):
    data = with_tokens({MERGES: array(UINT8, [])})
    assert read_gguf(written(tmp_path, data)).tokenizer.merges == ()


def swapped(tokens, place, token):
    return [*tokens[:place], token, *tokens[place + 1 :]]


def type_of(place, code):
    return with_tokens(types=swapped(TYPES, place, code))


BAD = {
    "no model": (with_tokens({MODEL: None}), "tokenizer.ggml.model is None; GPT-2 has 'gpt2'"),
    "another model": (with_tokens({MODEL: text_value("llama")}), "model is 'llama'"),
    "model is a number": (with_tokens({MODEL: uint32(2)}), "model is 2"),
    "another rule": (with_tokens({PRE: text_value("llama-bpe")}), "pre is 'llama-bpe'; GPT-2 has"),
    "rule is a number": (with_tokens({PRE: uint32(2)}), "pre is 2"),
    "rule is an array": (with_tokens({PRE: array(TEXT, ["gpt-2"])}), "pre is a list"),
    "a token before": (with_tokens({"tokenizer.ggml.add_bos_token": number(BOOL, 1)}), "is True"),
    "a token behind": (with_tokens({"tokenizer.ggml.add_eos_token": number(BOOL, 1)}), "is True"),
    "a space before": (with_tokens({"tokenizer.ggml.add_space_prefix": uint32(0)}), "is 0; GPT-2"),
    "tokens are a text": (with_tokens({TOKENS: text_value("a")}), "tokens is 'a'; expected an arr"),
    "tokens are numbers": (with_tokens({TOKENS: array(INT32, [1])}), "expected an array of texts"),
    "no tokens at all": (with_tokens({TOKENS: array(UINT8, []), TYPE: None}), "no token for the"),
    "token twice": (with_tokens(tokens=swapped(WORDS, 256, "a")), "'a' is there twice"),
    "token empty": (with_tokens(tokens=swapped(WORDS, 256, "")), "not written in GPT-2's byte"),
    "token with a space": (with_tokens(tokens=swapped(WORDS, 256, "a b")), "not written in GPT-2"),
    "special token empty": (with_tokens(tokens=swapped(WORDS, 259, "")), "special token ''"),
    "special token twice": (
        with_tokens(tokens=[*WORDS, END], types=[*TYPES, CONTROL]), "is there twice"),
    "a byte is missing": (with_tokens(tokens=swapped(WORDS, 7, "qqq")), "no token for the single"),
    "token of a megabyte": (
        with_tokens(tokens=swapped(WORDS, 256, "q" * 10**6)), "token 256 has 1000000 characters"),
    "types too few": (with_tokens(types=TYPES[1:]), "token_type has 259 elements for 260 tokens"),
    "types too many": (with_tokens(types=[*TYPES, 1]), "token_type has 261 elements for 260"),
    "no types in the array": (with_tokens(types=[]), "token_type has 0 elements"),
    "types are texts": (with_tokens({TYPE: array(TEXT, ["1"] * 260)}), "token_type is a list"),
    "types are fractions": (with_tokens({TYPE: array(6, [1.0] * 260)}), "array of whole numbers"),
    "types are a number": (with_tokens({TYPE: uint32(1)}), "token_type is 1; expected an array"),
    "type 0": (type_of(3, 0), "token 3 is of type 0 (undefined)"),
    "type of unknown tokens": (type_of(259, 2), "token 259 is of type 2 (unknown)"),
    "type of the user's tokens": (type_of(256, 4), "token 256 is of type 4 (user-defined)"),
    "type of bytes": (type_of(0, 6), "token 0 is of type 6 (byte)"),
    "type -1": (type_of(0, -1), "token 0 is of type -1 (no type)"),
    "a byte is unused": (
        with_tokens(tokens=WORDS[:256], types=[*TYPES[:255], UNUSED], merges=[]), "no token for"),
    "a byte is special": (type_of(0, CONTROL), "no token for the single bytes"),
    "no merges": (with_tokens({MERGES: None}), "merges is None; expected an array of texts"),
    "merges are numbers": (with_tokens({MERGES: array(INT32, [1])}), "expected an array of texts"),
    "merge of an unknown token": (with_tokens(merges=["a qqq"]), "'qqq', which the vocabulary"),
    "merge into an unknown token": (with_tokens(merges=["a q"]), "names 'aq', which the vocabula"),
    "merge of a special token": (with_tokens(merges=[f"{END} a"]), "which the vocabulary lacks"),
    "merge twice": (with_tokens(merges=[*PAIRS, PAIRS[0]]), "is listed 2 times"),
    "merge of one token": (with_tokens(merges=["a"]), "merge 0 is 'a'; expected two tokens and"),
    "merge of three tokens": (with_tokens(merges=["t o o"]), "merge 0 is 't o o'"),
    "merge of nothing": (with_tokens(merges=[*PAIRS, " "]), "is ' '; expected two tokens"),
    "merge of an empty text": (with_tokens(merges=[""]), "merge 0 is ''"),
    "merge of a megabyte": (with_tokens(merges=["a " + "q" * 10**6]), "merge 0 is 'a qqq"),
}  # fmt: skip


@pytest.mark.parametrize(("data", "said"), BAD.values(), ids=BAD)
def test_bad_tokenizers(tmp_path, data, said):
    path = written(tmp_path, data)
    with pytest.raises(TokenizerError) as caught:
        read_gguf(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert said in str(caught.value)
    assert len(str(caught.value)) < len(str(path)) + 400


@pytest.mark.parametrize("rows", [259, 261])
def test_tokens_that_are_not_the_rows(tmp_path, rows):
    path = written(tmp_path, with_tokens(rows=rows))
    with pytest.raises(CheckpointError, match=f"260 tokens, but token_embd.weight has {rows} rows"):
        read_gguf(path)


def test_types_of_any_width(tmp_path):
    data = with_tokens({TYPE: array(UINT8, np.array(TYPES, np.uint8).tobytes(), count=260)})
    assert read_gguf(written(tmp_path, data)).tokenizer == TOKENIZER
