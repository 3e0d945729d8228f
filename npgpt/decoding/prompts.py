"""Reading prompts: rows of token ids, each as long as it is."""

from collections.abc import Sequence
from numbers import Integral
from typing import Any, TypeAlias

import numpy as np

from npgpt.decoding.settings import Settings
from npgpt.errors import PromptError, SettingError

Rows: TypeAlias = tuple[tuple[int, ...], ...]


def token_rows(tokens: Any) -> Rows:
    """Token ids as rows: a flat list is one row, a list of lists (of any lengths) several.

    Raises PromptError for no row, an empty row, or anything but whole numbers from 0.

    >>> token_rows([5, 6]), token_rows([[5, 6], [7]])
    (((5, 6),), ((5, 6), (7,)))
    """
    if not _is_list(tokens):
        raise PromptError(f"a prompt of {tokens!r} is no list of token ids; encode texts first")
    if len(tokens) == 0:
        raise PromptError(f"the prompt is empty ({tokens!r}); give at least one token id")
    if any(_is_list(item) for item in tokens):
        return tuple(_row(item, index) for index, item in enumerate(tokens))
    return (_row(tokens, 0),)


def check_vocabulary(prompts: Rows, settings: Settings, vocab_size: int) -> None:
    """Nothing, where every id is one of the vocabulary's.

    Raises PromptError for a prompt's id outside 0 … vocab_size − 1, SettingError for an eos there.

    >>> check_vocabulary(((0, 1),), Settings(eos_token_id=1), 2)
    """
    for index, row in enumerate(prompts):
        if max(row) >= vocab_size:
            raise PromptError(
                f"row {index} of the prompt holds token id {max(row)}; the vocabulary has "
                f"{vocab_size} tokens, so give ids from 0 to {vocab_size - 1}"
            )
    for token in settings.eos_token_ids:
        if token >= vocab_size:
            raise SettingError(
                f"eos_token_id is {settings.eos_token_id!r}; the vocabulary has {vocab_size} "
                f"tokens, so give ids from 0 to {vocab_size - 1}"
            )


def _row(row: Any, index: int) -> tuple[int, ...]:
    if not _is_list(row):
        raise PromptError(f"row {index} of the prompt is {row!r}; give lists of token ids only")
    if len(row) == 0:
        raise PromptError(f"row {index} of the prompt is empty; give at least one token id")
    for token in row:
        if isinstance(token, bool) or not isinstance(token, Integral) or int(token) < 0:
            raise PromptError(
                f"row {index} of the prompt holds {token!r}; a token id is a whole number, "
                "0 or more"
            )
    return tuple(int(token) for token in row)


def _is_list(value: Any) -> bool:
    if isinstance(value, np.ndarray):
        return value.ndim > 0
    return isinstance(value, Sequence) and not isinstance(value, (str, bytes))
