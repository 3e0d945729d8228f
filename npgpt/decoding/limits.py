"""How long each row may become."""

from npgpt.decoding.prompts import Rows
from npgpt.decoding.settings import Settings
from npgpt.errors import ContextLengthError, SettingError
from npgpt.quoting import brief


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
    if context_length is None and settings.max_length is None and settings.max_new_tokens is None:
        raise SettingError(
            "neither max_length nor max_new_tokens is given, and no context_length bounds the "
            "text; give one of them"
        )
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
        return context_length or 0
    if settings.max_length <= length:
        raise SettingError(
            f"max_length is {settings.max_length}, but row {row} has a prompt of {length} tokens, "
            f"which count; give {length + 1} or more, or use max_new_tokens"
        )
    return settings.max_length
