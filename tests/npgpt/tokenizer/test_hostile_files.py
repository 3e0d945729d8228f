"""Tokenizer files from strangers: one short error that names the file, in little memory and time.

Those of `test_bad_files.py` are bad by mistake; these mean harm.
"""

import json
import os
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from npgpt.errors import TokenizerError
from npgpt.tokenizer._byte_alphabet import ALPHABET
from npgpt.tokenizer._disk import FIELDS, LIMIT, LINES, VALUES
from npgpt.tokenizer._encoding import END_OF_TEXT, Tokenizer
from npgpt.tokenizer._files import load as load_tokenizer
from npgpt.tokenizer._files import save as save_tokenizer
from npgpt.tokenizer._tokenizer_json import compose_tokenizer_json

BYTES = {letter: index for index, letter in enumerate(ALPHABET)}
SMALL = Tokenizer({**BYTES, "ab": 256}, (("a", "b"),), {END_OF_TEXT: 257})
LONG = "x" * 10**6
WIDE = "\U0001f600".encode()
MUCH = 64 * 2**20
# An error names the file, whose path may be long, and quotes at most three things of 80 characters.
LONGEST = 800


def vocab(**more: Any) -> bytes:
    return json.dumps({**SMALL.vocab, END_OF_TEXT: 257, **more}, ensure_ascii=False).encode()


def config(**fields: Any) -> bytes:
    return json.dumps(fields).encode()


def again(id_: str, entry: Any) -> bytes:
    return config(added_tokens_decoder={id_: entry})


VOCABULARIES = {
    "a byte order mark": (b"\xef\xbb\xbf" + vocab(), "starts with a byte order mark"),
    "UTF-16": ("{}".encode("utf-16"), "not UTF-8"),
    "a surrogate as UTF-8": (b'{"\xed\xa0\x80": 0}', "not UTF-8"),
    "half a surrogate pair": (b'{"\\ud800": 0}', "half a surrogate pair"),
    "an overlong NUL": (b'{"\xc0\x80": 0}', "not UTF-8"),
    "NUL": (b"\0" * 100, "not JSON"),
    "a NUL after it": (vocab() + b"\0", "not JSON"),
    "two objects": (vocab() * 2, "not JSON"),
    "white space": (b" \n\t ", "not JSON"),
    "a megabyte text": (f'"{LONG}"'.encode(), "holds a str"),
    "a megabyte of garbage": (LONG.encode(), "not JSON"),
    "a megabyte token": (vocab(**{LONG: 300}), "id 300 is given to 'xxx"),
    "a megabyte foreign token": (vocab(**{"é" + " " * 10**6: 258}), "byte alphabet: 'é   "),
    "a megabyte token twice": (f'{{"{LONG}": 0, "{LONG}": 1}}'.encode(), "'xxx.*given twice"),
    "two megabyte tokens with one id": (vocab(**{LONG: 258, LONG + "y": 258}), "id 258 is given"),
    "a megabyte id": (b'{"a": ' + b"9" * 10**6 + b"}", "a number of 1000000 characters"),
    "a megabyte text for an id": (vocab(c=LONG), "the id of 'c' is 'xxx"),
    "a list of a megabyte for an id": (vocab(c=["y"] * 10**5), r"the id of 'c' is \['y'"),
    "an id of 39 digits": (vocab(c=10**38), "id 1" + "0" * 38 + " is given to 'c'"),
    "a negative id of 39 digits": (vocab(c=-(10**37)), "id -1" + "0" * 37),
    "a huge id": (vocab(zz=10**9), "id 1000000000 is given to 'zz'"),
    "an id past int64": (vocab(zz=2**63), "id 9223372036854775808 is given"),
    "an id of -1": (vocab(zz=-1), "id -1 is given to 'zz'"),
    "an id of -0.0": (b'{"a": -0.0}', "the id of 'a' is -0.0"),
    "an infinite id": (b'{"a": 1e999}', "1e999 is too large"),
    "true for an id": (vocab(a=True), "the id of 'a' is True"),
    "a gap": (vocab(zz=259), "ids 0 to 258, but id 259 is given to 'zz'"),
    "an id twice": (vocab(zz=0), "id 0 is given to both '!' and 'zz'"),
    "spelled twice": (b'{"a": 0, "\\u0061": 1}', "field 'a' is given twice"),
    "a byte missing": (json.dumps({c: i for i, c in enumerate(ALPHABET[1:])}).encode(), "bytes wr"),
    "bytes as Latin-1": (json.dumps({chr(i): i for i in range(256)}).encode(), "byte alphabet"),
    "an empty token": (vocab(**{"": 258}), "byte alphabet: ''"),
    "a token of NUL": (vocab(**{"\0": 258}), r"byte alphabet: '\\x00'"),
    "deep nesting": (b'{"a":' * 100_000, "nested too deeply"),
    "deep nesting within an id": (b'{"a":' + b"[" * 90 + b"]" * 90 + b"}", "the id of 'a' is"),
    "a million tokens": (b"{" + b",".join(b'"%d":%d' % (i, i) for i in range(10**6)), "at most"),
    "a million tokens, short": (b'{"":0,' * 10**6, "about 1000000 fields"),
    "a million values": (b'{"a":[' + b"0," * 10**6 + b"0]}", "about 1000002 values"),
    "more than the limit": (b'{"' + b"a" * LIMIT + b'":0}', f"at most {LIMIT}"),
    "wide characters, many": (b'{"' + WIDE * (LIMIT // 8 + 9) + b'":0}', "beyond U\\+FFFF"),
    "a wide character and many others": (b'{"\\ud83d\\ude00' + b"a" * (LIMIT // 2), "beyond U"),
}  # fmt: skip
VERSION = b"#version: 0.2\n"
MERGES = {
    "a byte order mark": (b"\xef\xbb\xbf#version: 0.2\na b\n", r"merge '\\ufeff#version: 0.2'"),
    "a megabyte line": (VERSION + b"a " + b"x" * 10**6 + b"\n", "merge 'a' 'xxx"),
    "a megabyte word": (LONG.encode(), "line 1 is 'xxx"),
    "a megabyte of spaces": (b" " * 10**6, "line 1 is '   "),
    "trailing spaces": (b"#version: 0.2\na b \n", "line 2 is 'a b '"),
    "a leading space": (b"#version: 0.2\n a b\n", "line 2 is ' a b'"),
    "a tab": (b"a\tb\n", r"line 1 is 'a\\tb'"),
    "two spaces": (b"a  b\n", "line 1 is 'a  b'"),
    "no-break spaces": ("a\u00a0b\n".encode(), r"line 1 is 'a\\xa0b'"),
    "a bare carriage return": (VERSION + b"a b\r", r"a carriage return without a line feed"),
    "a line separator": ("a b\u2028a b\n".encode(), r"line 1 is 'a b\\u2028a b'"),
    "NUL": (VERSION + b"a b\0\n", r"merge 'a' 'b\\x00' names"),
    "a comment": (b"#version: 0.2\n# merges\na b\n", "merge '#' 'merges' names 'merges'"),
    "a version twice": (b"#version: 0.2\n#version: 0.2\n", "merge '#version:' '0.2'"),
    "the special token": (VERSION + b"a <|endoftext|>\n", r"names '<\|endoftext\|>'"),
    "a merge with itself in it": (VERSION + b"ab a\n", "merge 'ab' 'a' names 'aba'"),
    "a cycle": (VERSION + b"ab ab\nabab ab\n", "merge 'ab' 'ab' names 'abab'"),
    "an unknown result": (VERSION + b"b a\n", "merge 'b' 'a' names 'ba'"),
    "one merge 10,000 times": (VERSION + b"a b\n" * 10_000, "is listed 10000 times"),
    "a million merges": (b"a b\n" * 10**6, f"at most {LINES} lines"),
    "a million empty lines": (b"\n" * 10**6, f"at most {LINES} lines"),
    "JSON": (VERSION + b'{"a": "b"}\n', "merge '{\"a\":'"),
    "not UTF-8": (b"a \xff\n", "not UTF-8 at byte 2"),
    "cut within a character": (b"a \xc4", "not UTF-8 at byte 2"),
    "more than the limit": (b"a" * (LIMIT + 1), f"at most {LIMIT}"),
}
ADDED = {
    "a byte of the vocabulary, elsewhere": (b'{"a": 300}', "'a' has both id 300 and 64"),
    "the end of text, elsewhere": (b'{"<|endoftext|>": 300}', "has both id 300 and 257"),
    "a byte": (b'{"a": 64}', "no token for the single bytes written 'a'"),
    "an id of another": (b'{"<pad>": 0}', "id 0 is given to both '!' and '<pad>'"),
    "an empty text": (b'{"": 258}', "special token '' is empty"),
    "a megabyte text": (json.dumps({LONG: 300}).encode(), "id 300 is given to 'xxx"),
    "a fraction": (b'{"<pad>": 258.0}', "the id of '<pad>' is 258.0"),
    "true": (b'{"<pad>": true}', "the id of '<pad>' is True"),
    "twice": (b'{"<pad>": 258, "<pad>": 258}', "given twice"),
    "half a surrogate pair": (b'{"<\\udfff>": 258}', "half a surrogate pair"),
    "an object": (b'{"<pad>": {"id": 258}}', "the id of '<pad>' is {'id': 258}"),
    "a megabyte id of a known one": (json.dumps({"ab": LONG}).encode(), "'ab' has both id 'xxx"),
}
CONFIGS = {
    "a list": (b"[]", "holds a list"),
    "a megabyte setting": (config(add_prefix_space=LONG), "add_prefix_space is 'xxx"),
    "no for false": (config(add_bos_token="no"), "add_bos_token is 'no'"),
    "another id": (again("5", {"content": END_OF_TEXT}), "the id '5', but here it has id 257"),
    "an id spelled otherwise": (again("0257", {"content": END_OF_TEXT}), "here it has id 257"),
    "an unknown token": (
        again("258", {"content": "<pad>"}),
        "'<pad>' the id '258', but here it is",
    ),
    "an unknown megabyte": (again("258", {"content": LONG}), "gives 'xxx"),
    "a token without text": (again("257", {"content": None}), "no content"),
    "a token that is a text": (again("257", END_OF_TEXT), "no content"),
    "tokens in a list": (config(added_tokens_decoder=[END_OF_TEXT]), "expected a JSON object"),
}
BESIDE = [
    pytest.param(file, *case, id=f"{file}: {name}")
    for file, cases in (
        ("vocab.json", VOCABULARIES),
        ("merges.txt", MERGES),
        ("added_tokens.json", ADDED),
        ("tokenizer_config.json", CONFIGS),
    )
    for name, case in cases.items()
]


def refused(folder: Path, file: str, reason: str) -> None:
    """Loading gives one short error, with the file's name and the reason, in little memory."""
    tracemalloc.start()
    try:
        with pytest.raises(TokenizerError, match=reason) as caught:
            load_tokenizer(folder)
    finally:
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert type(caught.value) is TokenizerError
    said = str(caught.value)
    assert said.startswith(str(folder))
    assert file in said
    assert "\n" not in said
    assert len(said) < LONGEST
    assert most < MUCH + sum(path.stat().st_size for path in folder.iterdir() if path.is_file())


@pytest.mark.parametrize(("file", "content", "reason"), BESIDE)
def test_a_pair(tmp_path: Path, file: str, content: bytes, reason: str) -> None:
    save_tokenizer(SMALL, tmp_path, forms=["vocab.json"])
    (tmp_path / file).write_bytes(content)
    refused(tmp_path, file, reason)


@pytest.mark.parametrize(
    ("file", "content", "reason"),
    [
        ("encoder.json", b'{"a": 0', "not JSON"),
        ("encoder.json", vocab(zz=10**9), "id 1000000000 is given"),
        ("vocab.bpe", b"a b c\n", "line 1 is 'a b c'"),
        ("vocab.bpe", b"#version: 0.2\nb a\n", "names 'ba'"),
        ("added_tokens.json", b'{"a": 300}', "'a' has both id"),
        ("tokenizer_config.json", config(add_prefix_space=1), "add_prefix_space is 1"),
    ],
)
def test_openais_pair(tmp_path: Path, file: str, content: bytes, reason: str) -> None:
    save_tokenizer(SMALL, tmp_path, forms=["encoder.json"])
    (tmp_path / file).write_bytes(content)
    refused(tmp_path, file, reason)


def token(**fields: Any) -> list[dict[str, Any]]:
    return [{"id": 257, "content": END_OF_TEXT, "special": True, **fields}]


def model(**fields: Any) -> dict[str, Any]:
    return {**document()["model"], **fields}


def document() -> dict[str, Any]:
    return json.loads(json.dumps(compose_tokenizer_json(SMALL)))  # type: ignore[no-any-return]


WHOLE: dict[str, tuple[dict[str, Any], str]] = {
    "a megabyte normalizer": ({"normalizer": {"type": LONG}}, "normalizer is {'type': 'xxx"),
    "a normalizer that is false": ({"normalizer": False}, "normalizer is False"),
    "a list of normalizers": ({"normalizer": {"type": "Sequence", "normalizers": []}}, "Sequence"),
    "a deep decoder": ({"decoder": json.loads("[" * 90 + "]" * 90)}, r"decoder is \[\["),
    "a pre-tokenizer of texts": ({"pre_tokenizer": ["ByteLevel"]}, "expected a JSON object"),
    "Metaspace": ({"pre_tokenizer": {"type": "Metaspace"}}, "Metaspace"),
    "a megabyte of pre-tokenizer": ({"pre_tokenizer": {"type": LONG}}, "pre_tokenizer is {'type'"),
    "a prefix space of text": (
        {"pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": LONG}},
        "add_prefix_space is 'xxx",
    ),
    "Unigram": ({"model": model(type="Unigram")}, "model has type 'Unigram'"),
    "WordLevel": ({"model": model(type="WordLevel")}, "model has type 'WordLevel'"),
    "a type that is a list": ({"model": model(type=["BPE"])}, r"model has type \['BPE'\]"),
    "a suffix of a megabyte": ({"model": model(end_of_word_suffix=LONG)}, "end_of_word_suffix 'x"),
    "no model": ({"model": None}, "model is None"),
    "merges in an object": ({"model": model(merges={"a": "b"})}, "expected a list"),
    "a megabyte merge": ({"model": model(merges=[LONG])}, "merge 'xxx.* is not a pair"),
    "a merge of megabytes": ({"model": model(merges=[[LONG, LONG]])}, "merge 'xxx.*names 'xxx"),
    "a merge of lists": ({"model": model(merges=[[["a"], ["b"]]])}, "is not a pair"),
    "an empty merge": ({"model": model(merges=[[]])}, "is not a pair"),
    "a merge of nothing": ({"model": model(merges=[["", ""]])}, "merge '' '' names ''"),
    "half a surrogate pair": ({"model": model(merges=[["a", "\ud800"]])}, "half a surrogate pair"),
    "an infinite vocabulary": ({"model": model(vocab={"a": float("inf")})}, "Infinity is not JSON"),
    "a vocabulary of pairs": ({"model": model(vocab=[["a", 0]])}, "model.vocab is"),
    "a huge id of an added token": (
        {"added_tokens": token() + token(id=10**9, content="<pad>")},
        "id 1000000000 is given to '<pad>'",
    ),
    "an added token twice": ({"added_tokens": token() * 2}, "no content of its own"),
    "a byte as an added token": ({"added_tokens": token(content="a", id=64)}, "single bytes wr"),
    "an added token elsewhere": ({"added_tokens": token(content="a")}, "'a' has id 257, but 64 in"),
    "an added id of another": ({"added_tokens": token(content="<b>")}, "given to both"),
    "an added token of a megabyte": (
        {"added_tokens": token() + token(id=300, content=LONG)},
        "id 300 is given to 'xxx",
    ),
    "an added token of a number": ({"added_tokens": token(content=5)}, "no content of its own"),
    "an added token, not special": ({"added_tokens": token(special=LONG)}, "has special 'xxx"),
    "an empty added token": ({"added_tokens": token() + token(id=258, content="")}, "is empty"),
    "added tokens of a megabyte": ({"added_tokens": LONG}, "added_tokens is 'xxx"),
}


@pytest.mark.parametrize(("changes", "reason"), WHOLE.values(), ids=WHOLE)
def test_a_tokenizer_json(tmp_path: Path, changes: dict[str, Any], reason: str) -> None:
    (tmp_path / "tokenizer.json").write_text(json.dumps({**document(), **changes}))
    refused(tmp_path, "tokenizer.json", reason)


def filled(unit: bytes, count: int) -> bytes:
    return b'{"a":[' + unit * count + b"0]}"


# What takes the most memory for a file, within each of the limits.
HEAVY: dict[str, Callable[[], bytes]] = {
    "objects of one": lambda: filled(b'{"":0},', FIELDS - 5),
    "texts": lambda: filled(b'"\xc4\xa0' + b"a" * 14 + b'",', VALUES - 5),
    "a wide character": lambda: b'{"' + WIDE + b"a" * (LIMIT // 2 - 10) + b'":0}',
}


@pytest.mark.parametrize("content", HEAVY.values(), ids=HEAVY)
def test_memory(tmp_path: Path, content: Callable[[], bytes]) -> None:
    (tmp_path / "tokenizer.json").write_bytes(content())
    refused(tmp_path, "tokenizer.json", "pre_tokenizer is None; expected a JSON object")


@pytest.mark.parametrize("name", ["tokenizer.json", "vocab.json", "merges.txt"])
def test_a_pipe_blocks_nobody(tmp_path: Path, name: str) -> None:
    save_tokenizer(
        SMALL, tmp_path, forms=["tokenizer.json" if name == "tokenizer.json" else "vocab.json"]
    )
    (tmp_path / name).unlink()
    os.mkfifo(tmp_path / name)
    refused(tmp_path, name, "not a regular file")


@pytest.mark.parametrize("forms", [["tokenizer.json"], ["vocab.json"], ["encoder.json"]])
def test_a_config_that_agrees_is_no_reason_to_refuse(tmp_path: Path, forms: list[str]) -> None:
    save_tokenizer(SMALL, tmp_path, forms=forms)
    (tmp_path / "tokenizer_config.json").write_bytes(again("257", {"content": END_OF_TEXT}))
    assert load_tokenizer(tmp_path) == SMALL


def test_a_long_token_that_merges_make(tmp_path: Path) -> None:
    tokens, merges = dict(BYTES), []
    longest = "a"
    while len(longest) < 2**16:
        merges.append((longest, longest))
        longest += longest
        tokens[longest] = len(tokens)
    save_tokenizer(Tokenizer(tokens, tuple(merges)), tmp_path)
    tokenizer = load_tokenizer(tmp_path)
    assert tokenizer is not None
    assert tokenizer.encode("a" * (2**16 + 1)) == [len(tokens) - 1, BYTES["a"]]
