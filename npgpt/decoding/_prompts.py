"""Prompts: rows of token ids, how long each may become, and whether they fit the vocabulary."""

from collections.abc import Sequence
from numbers import Integral
from typing import Any

import numpy as np

from npgpt._quoting import brief
from npgpt.decoding._scoring import Rows
from npgpt.decoding._settings import Settings
from npgpt.errors import ContextLengthError, PromptError, SettingError


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


def negative_prompts(prompts: Rows, settings: Settings, negative_prompt: Any) -> Rows | None:
    """A negative prompt for each prompt, by default its last token; None without guidance.

    Raises SettingError where one is given without guidance, PromptError for another number of them.
    """
    if negative_prompt is None:
        last = tuple(row[-1:] for row in prompts)
        return None if settings.guidance_scale == 1 else last
    if settings.guidance_scale == 1:
        raise SettingError(
            f"negative_prompt is {brief(negative_prompt)}, which changes nothing without guidance; "
            "set guidance_scale above 1, or leave it out"
        )
    rows = token_rows(negative_prompt)
    if len(rows) == 1:
        rows = rows * len(prompts)
    if len(rows) != len(prompts):
        raise PromptError(
            f"there are {len(rows)} negative prompts for {len(prompts)} prompts; give one, or one "
            "for each"
        )
    return rows


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
    for name, token in settings.token_ids():
        if token >= vocab_size:
            raise SettingError(
                f"{name} is {brief(getattr(settings, name))}; the vocabulary has "
                f"{vocab_size} tokens, so give ids from 0 to {vocab_size - 1}, "
                f"not {brief(token)}"
            )


def row_limits(
    prompts: Rows, settings: Settings, *, context_length: int | None = None
) -> tuple[int, ...]:
    """The most tokens that each row may reach, its prompt included.

    That is max_length, or the prompt's length plus max_new_tokens, or, where neither is given, the
    model's context. Raises SettingError where the limit leaves no room for a new token or for the
    minimum asked for, and ContextLengthError where the context cannot hold it.

    >>> row_limits(((5, 6), (7,)), Settings(max_new_tokens=3))
    (5, 4)
    """
    lengths = enumerate(len(row) for row in prompts)
    return tuple(_limit(row, length, settings, context_length) for row, length in lengths)


def check_room(
    prompts: Rows,
    limits: tuple[int, ...],
    settings: Settings,
    negative_prompts: Rows | None,
    *,
    context_length: int | None,
) -> None:
    """Nothing, where every phrase of force_words_ids and every negative prompt fits.

    Raises SettingError for a constraint of which no phrase fits into the room that a row has for
    new tokens, and ContextLengthError for a negative prompt that leaves too little context.

    >>> check_room(((5, 6),), (4,), Settings(), None, context_length=None)
    """
    for row, (prompt, limit) in enumerate(zip(prompts, limits, strict=True)):
        room = limit - len(prompt)
        for alternatives in settings.force_words_ids or ():
            shortest = min(map(len, alternatives))
            if shortest > room and not settings.force_words_in_prompt:
                raise SettingError(
                    f"force_words_ids asks for {brief([*map(list, alternatives)])}, but "
                    f"row {row} has room for {room} new tokens; raise the limit to hold at least "
                    f"{shortest}, or leave it out"
                )
        if negative_prompts and context_length is not None:
            needed = len(negative_prompts[row]) + room
            if needed > context_length:
                raise ContextLengthError(
                    f"row {row} has a negative prompt of {len(negative_prompts[row])} tokens and "
                    f"{room} new ones; the model's context holds {context_length}: shorten the "
                    "negative prompt or ask for fewer"
                )


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


def _limit(row: int, length: int, settings: Settings, context_length: int | None) -> int:
    limit = _asked(row, length, settings, context_length)
    if context_length is not None and max(limit, length + 1) > context_length:
        fits = max(context_length - length, 0)
        raise ContextLengthError(
            f"row {row} has a prompt of {length} tokens and may reach {max(limit, length + 1)}; "
            f"the model's context holds {context_length}, so {fits} new tokens fit: "
            + ("ask for fewer" if fits else "shorten the prompt")
        )
    least = max(settings.min_length, length + settings.min_new_tokens)
    if least > limit:
        raise SettingError(
            f"row {row} has a prompt of {length} tokens and ends at {limit}, before the minimum "
            f"(min_length = {settings.min_length}, min_new_tokens = {settings.min_new_tokens}); "
            "lower the minimum or raise the limit"
        )
    return limit


def _asked(row: int, length: int, settings: Settings, context_length: int | None) -> int:
    if settings.max_new_tokens is not None:
        return length + settings.max_new_tokens
    if settings.max_length is None:
        if context_length is None:
            raise SettingError(
                "neither max_length nor max_new_tokens is given, and no context_length bounds the "
                "text; give one of them"
            )
        return context_length
    if settings.max_length <= length:
        raise SettingError(
            f"max_length is {settings.max_length}, but row {row} has a prompt of {length} tokens, "
            f"which count; give {length + 1} or more, or use max_new_tokens"
        )
    return settings.max_length
