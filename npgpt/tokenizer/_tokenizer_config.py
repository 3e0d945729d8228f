"""tokenizer_config.json of transformers: settings that overrule the other files there."""

from collections.abc import Mapping
from pathlib import Path

from npgpt._quoting import brief, quoted
from npgpt.errors import TokenizerError
from npgpt.tokenizer._disk import read_object, reading
from npgpt.tokenizer._encoding import Tokenizer

TOKENIZER_CONFIG = "tokenizer_config.json"
_UNLIKE_GPT2 = ("add_prefix_space", "add_bos_token")
_AGAIN = "added_tokens_decoder"  # {id: {"content": text}}


def read_tokenizer_config(file: Path) -> dict[str, str]:
    """The texts of the tokens that the file gives ids to, by these; none where there is no file.

    Raises TokenizerError where it is no such file, or asks for texts to be changed.
    """
    if not file.exists():
        return {}
    settings = read_object(file)
    with reading(file):
        for name in _UNLIKE_GPT2:
            if settings.get(name):
                raise TokenizerError(
                    f"{name} is {brief(settings[name])}; GPT-2 has false: "
                    "a text is encoded as it stands"
                )
        entries = settings.get(_AGAIN) or {}
        if not isinstance(entries, dict):
            raise TokenizerError(f"{_AGAIN} is {brief(entries)}; expected a JSON object")
        texts: dict[str, str] = {}
        for id_, entry in entries.items():
            text = entry.get("content") if isinstance(entry, dict) else None
            if not isinstance(text, str):
                raise TokenizerError(f"{_AGAIN}: {quoted(id_)} is {brief(entry)}; no content")
            texts[id_] = text
        return texts


def check_agreement(tokenizer: Tokenizer, also: Mapping[str, str]) -> Tokenizer:
    """The tokenizer, if it has the tokens that tokenizer_config.json gives; else TokenizerError."""
    for id_, text in also.items():
        own_id = tokenizer.special_tokens.get(text, tokenizer.vocab.get(text))
        if str(own_id) != id_:
            here = "is no token" if own_id is None else f"has id {own_id}"
            raise TokenizerError(
                f"{TOKENIZER_CONFIG} beside it gives {quoted(text)} the id {quoted(id_)}, but here "
                f"it {here}; take both from one place"
            )
    return tokenizer
