"""One decoding run, with everything about it checked before anything is computed."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from npgpt.decoding.limits import row_limits
from npgpt.decoding.prompts import Rows, check_vocabulary, token_rows
from npgpt.decoding.settings import Settings
from npgpt.decoding.uniforms import checked_uniforms
from npgpt.errors import SettingError

Decode: TypeAlias = Callable[[Sequence[int]], str]


@dataclass(frozen=True, kw_only=True)
class Problem:
    """What a decoder needs besides `next_step`.

    prompts, rows of ids; limits, the most tokens each row may reach; uniforms (rows, steps) where
    tokens are drawn; decode, token ids to text, where there are stop strings; vocab_size, where
    the caller knows it.
    """

    prompts: Rows
    settings: Settings
    limits: tuple[int, ...]
    uniforms: npt.NDArray[np.float64] | None
    decode: Decode | None
    vocab_size: int | None


def prepare(
    tokens: Any,
    settings: Settings,
    uniforms: npt.ArrayLike | None = None,
    *,
    decode: Decode | None = None,
    context_length: int | None = None,
    vocab_size: int | None = None,
) -> Problem:
    """The Problem that the arguments of `generate` pose; raises what `generate` raises.

    >>> prepare([[5, 6], [7]], Settings(max_length=4)).limits
    (4, 4)
    """
    prompts = token_rows(tokens)
    if vocab_size is not None:
        check_vocabulary(prompts, settings, vocab_size)
    limits = row_limits(prompts, settings, context_length=context_length)
    if settings.stop_strings and decode is None:
        raise SettingError(
            f"stop_strings is {settings.stop_strings!r}, which takes a tokenizer to look for; "
            "give decode, or leave stop_strings out"
        )
    longest = max(limit - len(row) for limit, row in zip(limits, prompts, strict=True))
    return Problem(
        prompts=prompts,
        settings=settings,
        limits=limits,
        uniforms=_uniforms(settings, uniforms, len(prompts), longest),
        decode=decode,
        vocab_size=vocab_size,
    )


def _uniforms(
    settings: Settings, uniforms: npt.ArrayLike | None, rows: int, steps: int
) -> npt.NDArray[np.float64] | None:
    if uniforms is not None and not settings.do_sample:
        raise SettingError(
            f"uniforms are given ({uniforms!r}), but nothing is drawn; set do_sample=True, or "
            "leave them out"
        )
    if not settings.draws:
        return None
    if uniforms is None:
        raise SettingError(
            "do_sample=True takes a uniform for each row and step, and none are given; make them "
            f"from a seed: seed_uniforms(seed, {rows}, {steps})"
        )
    return checked_uniforms(uniforms, rows, steps)
