"""Reading prompts: rows of token ids, each as long as it is."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from numbers import Integral
from typing import Any, TypeAlias

import numpy as np

from npgpt.decoding.settings import Settings
from npgpt.errors import PromptError, SettingError
from npgpt.quoting import brief

Rows: TypeAlias = tuple[tuple[int, ...], ...]


def token_rows(tokens: Any) -> Rows:
    """Token ids as rows: a flat list is one row, a list of lists (of any lengths) several.

    Raises PromptError for no row, an empty row, or anything but whole numbers from 0.

    >>> token_rows([5, 6]), token_rows([[5, 6], [7]])
    (((5, 6),), ((5, 6), (7,)))
    """
    if not _is_list(tokens):
        raise PromptError(
            f"a prompt of {brief(tokens)} is no list of token ids; encode texts first"
        )
    if len(tokens) == 0:
        raise PromptError(f"the prompt is empty ({tokens!r}); give at least one token id")
    if any(_is_list(item) for item in tokens):
        return tuple(_row(item, index) for index, item in enumerate(tokens))
    return (_row(tokens, 0),)


def check_vocabulary(prompts: Rows, settings: Settings, vocab_size: int) -> None:
    """Nothing, where every id is one of the vocabulary's.

    Raises PromptError for a prompt's id outside 0 … vocab_size − 1, SettingError for a setting's.

    >>> check_vocabulary(((0, 1),), Settings(eos_token_id=1), 2)
    """
    for index, row in enumerate(prompts):
        if max(row) >= vocab_size:
            raise PromptError(
                f"row {index} of the prompt holds token id {brief(max(row))}; the vocabulary "
                f"has {vocab_size} tokens, so give ids from 0 to {vocab_size - 1}"
            )
    for name, ids in _ids(settings):
        for token in ids:
            if token >= vocab_size:
                raise SettingError(
                    f"{name} is {brief(getattr(settings, name))}; the vocabulary has "
                    f"{vocab_size} tokens, so give ids from 0 to {vocab_size - 1}, "
                    f"not {brief(token)}"
                )


def _ids(settings: Settings) -> Iterator[tuple[str, Iterable[int]]]:
    """The ids in the settings that must be some token's. The model never sees a pad."""
    s = settings
    bos = s.forced_bos_token_id
    yield "eos_token_id", s.eos_token_ids
    yield "forced_bos_token_id", () if bos is None else (bos,)
    yield "forced_eos_token_id", s.forced_eos_token_ids
    yield "suppress_tokens", s.suppress_tokens
    yield "begin_suppress_tokens", s.begin_suppress_tokens
    yield "bad_words_ids", chain(*s.bad_words_ids)
    yield "sequence_bias", chain(*(phrase for phrase, _ in s.sequence_bias))
    yield "logit_bias", (token for token, _ in s.logit_bias)
    yield "force_words_ids", chain(*chain(*(s.force_words_ids or ())))


def _row(row: Any, index: int) -> tuple[int, ...]:
    if not _is_list(row):
        raise PromptError(
            f"row {index} of the prompt is {brief(row)}; give lists of token ids only"
        )
    if len(row) == 0:
        raise PromptError(f"row {index} of the prompt is empty; give at least one token id")
    for token in row:
        if isinstance(token, bool) or not isinstance(token, Integral) or int(token) < 0:
            raise PromptError(
                f"row {index} of the prompt holds {brief(token)}; a token id is a whole number, "
                "0 or more"
            )
    return tuple(int(token) for token in row)


def _is_list(value: Any) -> bool:
    if isinstance(value, np.ndarray):
        return value.ndim > 0
    return isinstance(value, Sequence) and not isinstance(value, (str, bytes))
