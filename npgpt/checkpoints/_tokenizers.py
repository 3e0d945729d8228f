"""Tokenizer given beside a checkpoint: its folder, one of its files, or nanoGPT's meta.pkl.

Source: data/shakespeare_char/prepare.py of https://github.com/karpathy/nanoGPT.
"""

import os
from pathlib import Path
from typing import Any

from npgpt._quoting import kind, quoted
from npgpt.checkpoints._files import map_file
from npgpt.checkpoints._loading import tokenizer_in
from npgpt.checkpoints._torch.inert_pickle import load_pickle_at
from npgpt.errors import NpgptError, TokenizerError
from npgpt.tokenizer._characters import CharacterTokenizer
from npgpt.tokenizer._encoding import Tokenizer
from npgpt.tokenizer._files import TOKENIZER_JSON, VOCAB_AND_MERGES

_PICKLE = ".pkl"
_FILES = (TOKENIZER_JSON, *(name for pair in VOCAB_AND_MERGES.items() for name in pair))


def read_tokenizer(path: str | os.PathLike[str]) -> Tokenizer:
    """The tokenizer that `path` means: that of a folder, of a file of it, or of a meta.pkl.

    nanoGPT's meta.pkl, of models of single characters, is read as all pickles are, and runs
    nothing. Raises TokenizerError, naming the file, where there is none or it makes no sense, and
    CheckpointError for a pickle that asks for more than dicts and numbers.
    """
    given = Path(path)
    if given.suffix == _PICKLE:
        return _of_meta(given)
    if not given.is_dir() and given.name not in _FILES:
        state = "no file of a tokenizer" if given.exists() else "no such file or folder"
        raise TokenizerError(
            f"{given}: {state}; give a folder, or one of {', '.join(_FILES)}, or a meta.pkl"
        )
    tokenizer = tokenizer_in(given if given.is_dir() else given.parent)
    if tokenizer is None:
        raise TokenizerError(f"{given}: no tokenizer here; looked for {', '.join(_FILES)}")
    return tokenizer


def _of_meta(path: Path) -> CharacterTokenizer:
    data = map_file(path)
    meta, end = load_pickle_at(data, 0, str(path))
    if end != len(data) or not isinstance(meta, dict):
        raise TokenizerError(f"{path}: holds {kind(meta)}; expected nanoGPT's meta, a dict")
    to_id, to_character = meta.get("stoi"), meta.get("itos")
    if not isinstance(to_id, dict) or not isinstance(to_character, dict):
        raise TokenizerError(
            f"{path}: holds no stoi and itos, as nanoGPT's meta.pkl of characters does"
        )
    _check_agreement(path, to_id, to_character, meta.get("vocab_size", len(to_id)))
    try:
        return CharacterTokenizer(to_id, ())
    except NpgptError as error:
        raise TokenizerError(f"{path}: {error}") from None


def _check_agreement(
    path: Path, to_id: dict[Any, Any], to_character: dict[Any, Any], size: object
) -> None:
    """Raise unless the two are each other's reverse, and as many as is said."""
    if size != len(to_id) or type(size) is not int:
        raise TokenizerError(
            f"{path}: vocab_size is {kind(size)}, but stoi has {len(to_id)} characters"
        )
    for character, token in to_id.items():
        if type(token) is not int or to_character.get(token) != character:
            raise TokenizerError(
                f"{path}: {quoted(str(character))} has id {kind(token)} in stoi, and that id is "
                f"{kind(to_character.get(token) if type(token) is int else None)} in itos"
            )
    if len(to_character) != len(to_id):
        raise TokenizerError(
            f"{path}: itos has {len(to_character)} characters, and stoi {len(to_id)}"
        )
