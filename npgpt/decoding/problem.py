"""One decoding run, with everything about it checked before anything is computed."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from npgpt.decoding.guidance import guided_read
from npgpt.decoding.ledger import Note
from npgpt.decoding.limits import check_room, row_limits
from npgpt.decoding.prompts import Rows, check_vocabulary, token_rows
from npgpt.decoding.reading import Read
from npgpt.decoding.row import Row
from npgpt.decoding.settings import Settings, decoder
from npgpt.decoding.uniforms import checked_uniforms
from npgpt.decoding.validators import integer
from npgpt.errors import PromptError, SettingError
from npgpt.quoting import brief

Decode: TypeAlias = Callable[[Sequence[int]], str]


@dataclass(frozen=True, kw_only=True)
class Problem:
    """What a decoder needs besides the model.

    prompts, rows of ids; limits, the most tokens that each may reach; decoder, the name of the one
    to run; uniforms, where tokens are drawn (`uniform_shape` says of which shape); decode, token
    ids to text, where there are stop strings; vocab_size, where the caller knows it;
    negative_prompts, where there is guidance; assistant, the draft model of speculative decoding;
    note, who is told of each decision.
    """

    prompts: Rows
    settings: Settings
    limits: tuple[int, ...]
    decoder: str
    uniforms: npt.NDArray[np.float64] | None = None
    decode: Decode | None = None
    vocab_size: int | None = None
    negative_prompts: Rows | None = None
    assistant: Read | None = None
    note: Note | None = None

    @property
    def rows(self) -> list[Row]:
        """The rows at the start, one for each prompt."""
        pairs = enumerate(zip(self.prompts, self.limits, strict=True))
        return [Row(prompt, len(prompt), place, limit) for place, (prompt, limit) in pairs]


def prepare(
    tokens: Any,
    settings: Settings,
    uniforms: npt.ArrayLike | None = None,
    *,
    decode: Decode | None = None,
    context_length: int | None = None,
    vocab_size: int | None = None,
    negative_prompt: Any = None,
    assistant: Read | None = None,
) -> Problem:
    """The Problem that the arguments of `generate` pose; raises what `generate` raises.

    >>> prepare([[5, 6], [7]], Settings(max_length=4)).limits
    (4, 4)
    """
    if not isinstance(settings, Settings):
        raise SettingError(f"settings are {brief(settings)}; give npgpt.Settings(...)")
    for name, size in (("vocab_size", vocab_size), ("context_length", context_length)):
        if size is not None:
            integer(1)(name, size)
    prompts = token_rows(tokens)
    negative = _negative_prompts(prompts, settings, negative_prompt)
    if vocab_size is not None:
        check_vocabulary((*prompts, *(negative or ())), settings, vocab_size)
    limits = row_limits(prompts, settings, context_length=context_length)
    check_room(prompts, limits, settings, negative, context_length=context_length)
    if settings.stop_strings and decode is None:
        raise SettingError(
            f"stop_strings is {brief(settings.stop_strings)}, which takes a tokenizer to look for; "
            "give decode, or leave stop_strings out"
        )
    name = decoder(settings, assistant=assistant is not None)
    if assistant is not None and name != "speculative decoding":
        raise SettingError(
            f"an assistant is given, but the settings ask for {name}; speculative decoding is "
            "greedy or samples, with one beam and no penalty_alpha"
        )
    if assistant is not None and settings.prompt_lookup_num_tokens is not None:
        raise SettingError(
            f"prompt_lookup_num_tokens is {settings.prompt_lookup_num_tokens} and an assistant is "
            "given, but only one can propose tokens; leave one of them out"
        )
    longest = max(limit - len(row) for limit, row in zip(limits, prompts, strict=True))
    return Problem(
        prompts=prompts,
        settings=settings,
        limits=limits,
        decoder=name,
        uniforms=_uniforms(settings, uniforms, len(prompts), longest),
        decode=decode,
        vocab_size=vocab_size,
        negative_prompts=negative,
        assistant=guided_read(assistant, negative) if assistant and negative else assistant,
    )


def uniform_shape(settings: Settings, prompts: int, steps: int) -> tuple[int, ...]:
    """The shape of the uniforms that `prompts` prompts need for `steps` new tokens each.

    (rows, steps), a row for each sequence returned; (prompts, steps, candidates) for beam sampling.

    >>> uniform_shape(Settings(do_sample=True, num_return_sequences=3), 2, 9)
    (6, 9)
    >>> uniform_shape(Settings(do_sample=True, num_beams=4, eos_token_id=0), 2, 9)
    (2, 9, 8)
    """
    if settings.num_beams > 1:
        return prompts, steps, beam_candidates(settings, settings.num_beams)
    return prompts * settings.num_return_sequences, steps


def beam_candidates(settings: Settings, beams: int) -> int:
    """How many candidates a step of a search with so many beams keeps: `max(2, 1 + e) · beams`.

    With e eos ids at most e · beams of them can end a row, so that `beams` others are left.
    """
    return max(2, 1 + len(settings.eos_token_ids)) * beams


def _negative_prompts(prompts: Rows, settings: Settings, negative_prompt: Any) -> Rows | None:
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


def _uniforms(
    settings: Settings, uniforms: npt.ArrayLike | None, prompts: int, steps: int
) -> npt.NDArray[np.float64] | None:
    if uniforms is not None and not settings.do_sample:
        raise SettingError(
            f"uniforms are given ({brief(uniforms)}), but nothing is drawn; set do_sample=True, or "
            "leave them out"
        )
    if not settings.draws:
        return None
    shape = uniform_shape(settings, prompts, steps)
    if uniforms is None:
        raise SettingError(
            "do_sample=True takes a uniform for each row and step, and none are given; make them "
            f"from a seed: seed_uniforms(seed, {', '.join(map(str, shape))})"
        )
    return checked_uniforms(uniforms, *shape)
