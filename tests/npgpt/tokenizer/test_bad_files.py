"""What is wrong with a file is said, with the file's name."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from npgpt.errors import TokenizerError
from npgpt.tokenizer._byte_alphabet import ALPHABET
from npgpt.tokenizer._encoding import Tokenizer
from npgpt.tokenizer._files import load as load_tokenizer
from npgpt.tokenizer._files import save as save_tokenizer
from npgpt.tokenizer._tokenizer_json import compose_tokenizer_json, parse_tokenizer_json

BYTES = {letter: index for index, letter in enumerate(ALPHABET)}
SMALL = Tokenizer({**BYTES, "ab": 256}, (("a", "b"),), {"<|endoftext|>": 257})
NESTED = "[" * 100_000


@pytest.mark.parametrize(
    ("file", "content", "reason"),
    [
        ("vocab.json", b"", "not JSON"),
        ("vocab.json", b'{"a": 0', "not JSON.*is the file whole"),
        ("vocab.json", b'{"\xff": 0}', "not UTF-8: invalid start byte at byte 2"),
        ("vocab.json", b"[]", "holds a list; expected a JSON object"),
        ("vocab.json", b'{"a": 0, "b": 1}', "no token for the single bytes"),
        ("vocab.json", b'{"a": 0, "a": 1}', "field 'a' is given twice"),
        ("vocab.json", b'{"a": 0, "b": 0}', "id 0 is given to both 'a' and 'b'"),
        ("vocab.json", b'{"a": "0"}', "id of 'a' is '0'"),
        ("vocab.json", b'{"a": {}}', "id of 'a' is {}"),
        ("vocab.json", b'{"a": 0.5}', "id of 'a' is 0.5"),
        ("vocab.json", b'{"a": NaN}', "NaN is not JSON"),
        ("vocab.json", b'{"a": 7}', "id 7 is given to 'a'"),
        ("vocab.json", b'{"a": ' + b"9" * 5000 + b"}", "vocab.json"),
        ("vocab.json", NESTED.encode(), "nested too deeply"),
        ("merges.txt", b"#version: 0.2\nx yz\n", "merge 'x' 'yz' names 'yz'"),
        ("merges.txt", b"#version: 0.2\na b\na b\n", "'a' 'b' is listed 2 times"),
        ("merges.txt", b"#version: 0.2\n\xff b\n", "not UTF-8 at byte 14"),
        ("merges.txt", b"#version: 0.2\na b c\n", "line 2 is 'a b c'"),
        ("merges.txt", b"#version: 0.2\nab\n", "line 2 is 'ab'"),
        ("merges.txt", b"#version: 0.2\na b\n\n", "line 3 is ''"),
        ("merges.txt", b"a b\n#version: 0.2\n", "line 1 is the merge 'a b'"),
        ("merges.txt", b"\n#version: 0.2\n", "merge '#version:' '0.2'"),
        ("merges.txt", b"#version: 0.2\ra b\r", "a carriage return without a line feed"),
        ("added_tokens.json", b'{"<pad>": 300}', "ids 0 to 258, but id 300"),
        ("added_tokens.json", b'{"ab": 258}', "'ab' has both id 258 and 256"),
        ("added_tokens.json", b"7", "holds a int"),
        ("tokenizer_config.json", b'{"add_prefix_space": true}', "add_prefix_space is True"),
        ("tokenizer_config.json", b'{"add_bos_token": true}', "add_bos_token is True"),
        ("tokenizer_config.json", b"{", "not JSON"),
    ],
)
def test_a_bad_file_beside_a_pair(tmp_path: Path, file: str, content: bytes, reason: str) -> None:
    save_tokenizer(SMALL, tmp_path, forms=["vocab.json"])
    (tmp_path / file).write_bytes(content)
    with pytest.raises(TokenizerError, match=reason) as caught:
        load_tokenizer(tmp_path)
    assert file in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_folder_in_place_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").mkdir()
    with pytest.raises(TokenizerError, match=r"tokenizer\.json"):
        load_tokenizer(tmp_path)


def test_settings_of_a_gpt2_are_no_reason_to_refuse(tmp_path: Path) -> None:
    save_tokenizer(SMALL, tmp_path)
    settings = {"add_prefix_space": False, "add_bos_token": False, "model_max_length": 1024}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(settings))
    assert load_tokenizer(tmp_path) == SMALL


def changed(path: str, value: Any) -> dict[str, Any]:
    """The document of SMALL with one field changed, or taken out where the value is `...`."""
    document: dict[str, Any] = json.loads(json.dumps(compose_tokenizer_json(SMALL)))
    *parents, last = path.split(".")
    place: Any = document
    for key in parents:
        place = place[int(key) if key.isdigit() else key]
    if value is ...:
        del place[last]
    else:
        place[last] = value
    return document


BYTE_LEVEL = {"type": "ByteLevel", "add_prefix_space": False, "use_regex": True}


@pytest.mark.parametrize(
    ("path", "value", "reason"),
    [
        ("normalizer", {"type": "Lowercase"}, "normalizer is .*Lowercase"),
        ("pre_tokenizer", None, "pre_tokenizer is None"),
        ("pre_tokenizer", {"type": "Whitespace"}, "pre_tokenizer is .*Whitespace"),
        ("pre_tokenizer", {"type": "Sequence", "pretokenizers": []}, "pre_tokenizer is .*Sequence"),
        ("pre_tokenizer", {**BYTE_LEVEL, "add_prefix_space": True}, "add_prefix_space is True"),
        ("pre_tokenizer", {"type": "ByteLevel"}, "add_prefix_space is None"),
        ("pre_tokenizer", {**BYTE_LEVEL, "use_regex": False}, "pre_tokenizer is .*by its regex"),
        ("pre_tokenizer", {**BYTE_LEVEL, "use_regex": 1}, "pre_tokenizer is .*by its regex"),
        ("post_processor", {"type": "TemplateProcessing"}, "post_processor is .*Template"),
        ("decoder", {"type": "WordPiece"}, "decoder is .*WordPiece"),
        ("decoder", "ByteLevel", "decoder is 'ByteLevel'; expected a JSON object"),
        ("model", ..., "model is None"),
        ("model.type", "WordPiece", "model has type 'WordPiece'"),
        ("model.dropout", 0.1, "model has dropout 0.1"),
        ("model.continuing_subword_prefix", "##", "continuing_subword_prefix '##'"),
        ("model.end_of_word_suffix", "</w>", "end_of_word_suffix '</w>'"),
        ("model.ignore_merges", True, "ignore_merges True"),
        ("model.ignore_merges", 0, "ignore_merges 0"),
        ("model.dropout", False, "dropout False"),
        ("model.vocab", [["a", 0.5]], "model.vocab is"),
        ("model.vocab", {"a": 0}, "id 257 is given to"),
        ("model.merges", None, "model.merges is None"),
        ("model.merges", ["a  b"], "merge 'a  b' is not a pair"),
        ("model.merges", [["a", "b", "c"]], "merge .* is not a pair"),
        ("model.merges", [["a", 1]], "merge .* is not a pair"),
        ("model.merges", ["a c"], "merge 'a' 'c' names 'ac'"),
        ("added_tokens", {}, None),
        ("added_tokens", "x", "added_tokens is 'x'; expected a list"),
        ("added_tokens", [1], "added token is 1"),
        ("added_tokens.0.content", ..., "has no content of its own"),
        ("added_tokens.0.id", 258, "has id 258, but 257 in model.vocab"),
        ("added_tokens.0.id", ..., "has id None, but 257 in model.vocab"),
        ("added_tokens.0.special", False, "has special False"),
        ("added_tokens.0.special", 1, "has special 1"),
        ("added_tokens.0.lstrip", 0, "has lstrip 0"),
        ("added_tokens.0.lstrip", True, "has lstrip True"),
        ("added_tokens.0.rstrip", True, "has rstrip True"),
        ("added_tokens.0.single_word", True, "has single_word True"),
    ],
)
def test_a_tokenizer_json_unlike_gpt2s(
    tmp_path: Path, path: str, value: Any, reason: str | None
) -> None:
    file = tmp_path / "tokenizer.json"
    file.write_text(json.dumps(changed(path, value)))
    if reason is None:
        assert load_tokenizer(tmp_path) is not None
        return
    with pytest.raises(TokenizerError, match=reason) as caught:
        load_tokenizer(tmp_path)
    assert str(file) in str(caught.value)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("model.merges", ["a b"]),
        ("model.merges", [["a", "b"]]),
        ("model.type", ...),
        ("model.dropout", 0.0),
        ("model.dropout", 0),
        ("model.dropout", ...),
        ("model.continuing_subword_prefix", ""),
        ("model.unk_token", "<|endoftext|>"),
        ("truncation", {"max_length": 8}),
        ("post_processor", None),
        ("decoder", None),
        ("pre_tokenizer.use_regex", ...),
        ("added_tokens.0.normalized", True),
    ],
)
def test_a_tokenizer_json_as_other_versions_write_it(tmp_path: Path, path: str, value: Any) -> None:
    (tmp_path / "tokenizer.json").write_text(json.dumps(changed(path, value)))
    assert load_tokenizer(tmp_path) == SMALL


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=5,
)
paths = st.sampled_from(
    [
        *("normalizer", "pre_tokenizer", "pre_tokenizer.type", "post_processor", "decoder"),
        *("added_tokens", "added_tokens.0.id", "model", "model.vocab", "model.vocab.a"),
        "model.merges",
    ]
)


@given(paths, json_values)
def test_no_document_does_worse_than_a_tokenizer_error(path: str, value: Any) -> None:
    try:
        tokenizer = parse_tokenizer_json(changed(path, value))
    except TokenizerError:
        return
    assert tokenizer.decode(tokenizer.encode("ab")) == "ab"
