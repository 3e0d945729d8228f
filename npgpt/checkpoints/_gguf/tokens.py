"""Tokenizer of a GGUF file, which holds it in its metadata."""

from collections.abc import Iterator, Mapping

import numpy as np

from npgpt._quoting import kind, quoted
from npgpt.checkpoints._gguf.metadata import Numbers, Value
from npgpt.errors import TokenizerError
from npgpt.tokenizer._encoding import END_OF_TEXT, Tokenizer
from npgpt.tokenizer._merge import shared

TOKENS = "tokenizer.ggml.tokens"
_MODEL = "tokenizer.ggml.model"
_MERGES = "tokenizer.ggml.merges"
_TYPES = "tokenizer.ggml.token_type"
_PRE = "tokenizer.ggml.pre"
# How texts are cut into words. Files from before there was this key, and those of some
# converters, say nothing or "default"; an architecture of gpt2 then means GPT-2's own rule.
_PRES = ("gpt-2", "default")
_UNLIKE_GPT2 = (
    "tokenizer.ggml.add_bos_token",
    "tokenizer.ggml.add_eos_token",
    "tokenizer.ggml.add_space_prefix",
)
_NORMAL, _CONTROL, _UNUSED = 1, 3, 5
_TYPE_NAMES = {0: "undefined", 2: "unknown", 4: "user-defined", 6: "byte"}
_LONGEST = 1000  # characters of a token; GPT-2's longest has 128


def gguf_tokenizer(values: Mapping[str, Value]) -> Tokenizer | None:
    """The tokenizer of a GPT-2, or None where the file holds no tokens.

    Control tokens are special, and so is `<|endoftext|>`, which some converters call normal. The
    unused tokens at the end, which only fill up the embedding's rows, are left out. Raises
    TokenizerError for a tokenizer that is not GPT-2's kind or contradicts itself.
    """
    if TOKENS not in values:
        return None
    for key, expected in ((_MODEL, ("gpt2",)), (_PRE, _PRES)):
        value = values.get(key, "default" if key == _PRE else None)
        if not isinstance(value, str) or value not in expected:
            raise TokenizerError(f"{key} is {kind(value)}; GPT-2 has {expected[0]!r}")
    for key in _UNLIKE_GPT2:
        if values.get(key, False) is not False:
            raise TokenizerError(
                f"{key} is {kind(values[key])}; GPT-2 has false: a text is encoded as it stands"
            )
    tokens = _texts(values, TOKENS)
    types = _types(values, len(tokens))
    vocab: dict[str, int] = {}
    special: dict[str, int] = {}
    for id_, token in enumerate(tokens[: len(types)]):
        if token in vocab or token in special:
            raise TokenizerError(f"{TOKENS}: {quoted(token)} is there twice; each has one id")
        if len(token) > _LONGEST:
            raise TokenizerError(
                f"{TOKENS}: token {id_} has {len(token)} characters; at most {_LONGEST} are allowed"
            )
        is_special = types[id_] == _CONTROL or token == END_OF_TEXT
        (special if is_special else vocab)[token] = id_
    return Tokenizer(vocab, shared(_merges(_texts(values, _MERGES)), vocab), special)


def _texts(values: Mapping[str, Value], key: str) -> list[str]:
    texts = values.get(key)
    # An empty array may be said to be one of any type.
    if isinstance(texts, np.ndarray) and not texts.size:
        return []
    if not isinstance(texts, list):
        raise TokenizerError(f"{key} is {kind(texts)}; expected an array of texts")
    return texts


def _types(values: Mapping[str, Value], count: int) -> list[int]:
    """The tokens' types, without those of the unused tokens at the end."""
    given = values.get(_TYPES)
    if given is None:
        return [_NORMAL] * count
    if not isinstance(given, np.ndarray) or given.dtype.kind not in "iu":
        raise TokenizerError(f"{_TYPES} is {kind(given)}; expected an array of whole numbers")
    if len(given) != count:
        raise TokenizerError(
            f"{_TYPES} has {len(given)} elements for {count} tokens; expected one for each"
        )
    _check_types(given)
    types: list[int] = given.tolist()
    while types and types[-1] == _UNUSED:
        types.pop()
    return types


def _check_types(types: Numbers) -> None:
    bad = np.flatnonzero(~np.isin(types, (_NORMAL, _CONTROL, _UNUSED)))
    if bad.size:
        code = int(types[bad[0]])
        raise TokenizerError(
            f"{_TYPES}: token {bad[0]} is of type {code} ({_TYPE_NAMES.get(code, 'no type')}); "
            f"GPT-2's are normal ({_NORMAL}), control ({_CONTROL}) or unused ({_UNUSED})"
        )


def _merges(texts: list[str]) -> Iterator[tuple[str, str]]:
    for rank, text in enumerate(texts):
        left, _, right = text.partition(" ")
        if not left or not right or " " in right or len(text) > _LONGEST:
            raise TokenizerError(
                f"{_MERGES}: merge {rank} is {quoted(text)}; expected two tokens and one space"
            )
        yield left, right
