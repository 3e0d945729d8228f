"""tokenizer.json of Hugging Face, as far as it says byte-level BPE of GPT-2."""

from collections.abc import Iterator, Mapping
from typing import Any

from npgpt._quoting import brief, quoted
from npgpt.errors import TokenizerError
from npgpt.tokenizer._encoding import Tokenizer
from npgpt.tokenizer._merge import shared

# What the file may ask for besides GPT-2's rules, and the values that ask for nothing. A field
# that is not there asks for nothing either.
_INERT_MODEL_FIELDS: dict[str, tuple[object, ...]] = {
    "type": ("BPE",),
    "dropout": (None, 0.0),
    "continuing_subword_prefix": (None, ""),
    "end_of_word_suffix": (None, ""),
    "ignore_merges": (False,),
}
_INERT_TOKEN_FIELDS: dict[str, tuple[object, ...]] = {
    "special": (True,),
    "lstrip": (False,),
    "rstrip": (False,),
    "single_word": (False,),
}


def parse_tokenizer_json(document: Any) -> Tokenizer:
    """The tokenizer that the document of a tokenizer.json describes.

    Raises TokenizerError, saying why, where it encodes a text otherwise than GPT-2's rules do: by
    a normalizer, another pre-tokenizer (or `add_prefix_space`), a post-processor that adds
    tokens, a model other than BPE or with extras, an added token that is not special or takes
    spaces along. `truncation` and `padding` are settings of a batch, and are ignored.

    >>> parse_tokenizer_json({"normalizer": {"type": "NFC"}})
    Traceback (most recent call last):
    npgpt.errors.TokenizerError: normalizer is {'type': 'NFC'}; GPT-2 has null
    """
    fields = _mapping("the document", document)
    if fields.get("normalizer") is not None:
        raise TokenizerError(f"normalizer is {brief(fields['normalizer'])}; GPT-2 has null")
    _check_pre_tokenizer(fields.get("pre_tokenizer"))
    for name in ("post_processor", "decoder"):
        part = fields.get(name)
        if part is not None and _mapping(name, part).get("type") != "ByteLevel":
            raise TokenizerError(f"{name} is {brief(part)}; GPT-2 has one of type 'ByteLevel'")
    model = _mapping("model", fields.get("model"))
    _check_inert("model", model, _INERT_MODEL_FIELDS)
    special = _special_tokens(fields.get("added_tokens") or [])
    model_vocab = _mapping("model.vocab", model.get("vocab"))
    for token, id_ in special.items():
        if model_vocab.get(token, id_) != id_:
            raise TokenizerError(
                f"added token {quoted(token)} has id {brief(id_)}, "
                f"but {brief(model_vocab[token])} in model.vocab"
            )
    vocab = {token: id_ for token, id_ in model_vocab.items() if token not in special}
    return Tokenizer(vocab, shared(_merges(model.get("merges")), vocab), special)


def compose_tokenizer_json(tokenizer: Tokenizer) -> dict[str, Any]:
    """The document of a tokenizer.json: the inverse of `parse_tokenizer_json`.

    >>> from npgpt.tokenizer._training import train
    >>> tokenizer = train(["hello hello"], vocab_size=258)
    >>> parse_tokenizer_json(compose_tokenizer_json(tokenizer)) == tokenizer
    True
    """
    special = sorted(tokenizer.special_tokens.items(), key=lambda item: item[1])
    flags = {name: values[0] for name, values in _INERT_TOKEN_FIELDS.items()}
    byte_level = {"type": "ByteLevel", "trim_offsets": True, "use_regex": True}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [
            {"id": id_, "content": token, **flags, "normalized": False} for token, id_ in special
        ],
        "normalizer": None,
        "pre_tokenizer": {**byte_level, "add_prefix_space": False},
        "post_processor": {**byte_level, "add_prefix_space": True},
        "decoder": {**byte_level, "add_prefix_space": True},
        "model": {
            **{name: values[0] for name, values in _INERT_MODEL_FIELDS.items()},
            "unk_token": None,
            "fuse_unk": False,
            "byte_fallback": False,
            "vocab": {**tokenizer.vocab, **tokenizer.special_tokens},
            "merges": [list(pair) for pair in tokenizer.merges],
        },
    }


def _check_pre_tokenizer(part: Any) -> None:
    fields = _mapping("pre_tokenizer", part)
    if fields.get("type") != "ByteLevel" or fields.get("use_regex", True) is not True:
        raise TokenizerError(f"pre_tokenizer is {brief(part)}; GPT-2 has 'ByteLevel' by its regex")
    if fields.get("add_prefix_space") is not False:
        raise TokenizerError(
            f"pre_tokenizer.add_prefix_space is {brief(fields.get('add_prefix_space'))}; GPT-2 has "
            "false: a text is encoded as it stands"
        )


def _special_tokens(added: Any) -> dict[str, int]:
    if not isinstance(added, list):
        raise TokenizerError(f"added_tokens is {brief(added)}; expected a list")
    special: dict[str, int] = {}
    for entry in added:
        fields = _mapping("added token", entry)
        content = fields.get("content")
        if not isinstance(content, str) or content in special:
            raise TokenizerError(f"added token {brief(entry)} has no content of its own")
        _check_inert(f"added token {quoted(content)}", fields, _INERT_TOKEN_FIELDS)
        special[content] = fields.get("id")  # type: ignore[assignment]  # Tokenizer checks ids
    return special


def _merges(merges: Any) -> Iterator[tuple[str, str]]:
    if not isinstance(merges, list):
        raise TokenizerError(f"model.merges is {brief(merges)}; expected a list")
    return map(_pair, merges)


def _pair(merge: Any) -> tuple[str, str]:
    parts = merge.split(" ") if isinstance(merge, str) else merge
    match parts:
        case [str(left), str(right)]:
            return left, right
    raise TokenizerError(f"merge {brief(merge)} is not a pair; expected 'a b' or ['a', 'b']")


def _check_inert(
    what: str, fields: Mapping[str, Any], inert: Mapping[str, tuple[object, ...]]
) -> None:
    for name, values in inert.items():
        value = fields.get(name, values[0])
        # As JSON has them: False is not 0, though Python takes them for equal.
        if value not in values or isinstance(value, bool) is not isinstance(values[0], bool):
            raise TokenizerError(f"{what} has {name} {brief(value)}; GPT-2 has {values[0]!r}")


def _mapping(what: str, value: Any) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise TokenizerError(f"{what} is {brief(value)}; expected a JSON object")
    return value
