"""Decoders: the table of them, and `generate`, which runs the one that the settings name.

A new decoder is a function of a `npgpt.decoding._run.Run` in a file of its own, and a row here.
"""

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy.typing as npt

from npgpt._quoting import brief
from npgpt.decoding._beam import beam_search
from npgpt.decoding._beams import Hypothesis
from npgpt.decoding._constrained_beam import constrained_beam_search
from npgpt.decoding._contrastive import contrastive_search
from npgpt.decoding._diverse_beam import diverse_beam_search
from npgpt.decoding._generation import Generation, of_choices, of_hypotheses
from npgpt.decoding._language_model import LanguageModel, NextStep, batched, guided, one_by_one
from npgpt.decoding._ledger import Answer, Ledger, recorded
from npgpt.decoding._processors.pipeline import pipeline
from npgpt.decoding._prompts import (
    check_room,
    check_vocabulary,
    negative_prompts,
    row_limits,
    token_rows,
)
from npgpt.decoding._request import Decode, Request, needed_uniforms
from npgpt.decoding._run import Choice, Decision, Note, Run
from npgpt.decoding._sampling import greedy_or_sampling
from npgpt.decoding._settings import Settings
from npgpt.decoding._speculative import speculative_decoding
from npgpt.decoding._validators import integer
from npgpt.errors import SettingError


class TokenByToken(NamedTuple):
    """A decoder that decides one token after another, as a row of the table.

    runs: whether it is the one for these settings, with a draft model or without, where no row
    before it is. every_token: whether it looks at hidden states, or takes tokens back, so that
    a plain `next_step` must be asked about every token by itself.
    """

    name: str
    runs: Callable[[Settings, bool], bool]
    function: Callable[[Run], Iterator[list[Choice]]]
    every_token: bool = False


class Search(NamedTuple):
    """A decoder that gives each prompt's best texts when all are found; fields as above."""

    name: str
    runs: Callable[[Settings, bool], bool]
    function: Callable[[Run], list[list[Hypothesis]]]
    every_token: bool = False


# fmt: off
_ROWS: tuple[TokenByToken | Search, ...] = (
    Search("diverse beam search", lambda s, draft: s.num_beam_groups > 1, diverse_beam_search),
    Search("constrained beam search", lambda s, draft: bool(s.force_words_ids),
           constrained_beam_search),
    Search("beam sampling", lambda s, draft: s.num_beams > 1 and s.draws, beam_search),
    Search("beam search", lambda s, draft: s.num_beams > 1, beam_search),
    TokenByToken("contrastive search", lambda s, draft: s.penalty_alpha is not None,
                 contrastive_search, every_token=True),
    TokenByToken("speculative decoding",
                 lambda s, draft: draft or s.prompt_lookup_num_tokens is not None,
                 speculative_decoding, every_token=True),
    TokenByToken("sampling", lambda s, draft: s.draws, greedy_or_sampling),
    TokenByToken("greedy", lambda s, draft: True, greedy_or_sampling),
)
# fmt: on

# The decoders by their names; of several that settings ask for the first one runs.
DECODERS = {row.name: row for row in _ROWS}


def decoder(settings: Settings, *, assistant: bool = False) -> str:
    """The name of the decoder that runs; `assistant`, whether there is a draft model.

    >>> decoder(Settings(num_beams=4)), decoder(Settings(do_sample=True))
    ('beam search', 'sampling')
    """
    return next(row.name for row in _ROWS if row.runs(settings, assistant))


def generate(
    next_step: NextStep,
    tokens: Any,
    settings: Settings,
    uniforms: npt.ArrayLike | None = None,
    *,
    decode: Decode | None = None,
    context_length: int | None = None,
    vocab_size: int | None = None,
    negative_prompt: Any = None,
    assistant: NextStep | None = None,
) -> Generation:
    """Continue rows of token ids until each has ended.

    tokens: a flat list of ids is one row, a list of lists several. `uniform_shape` says
    which uniforms in [0, 1) sampling takes: row r draws its j-th new token with `uniforms[r, j]`.
    decode, token ids to text, is needed for stop strings. context_length bounds prompt and new
    tokens together. Ids from vocab_size on are never chosen. negative_prompt, one row of ids or one
    for each prompt, is what guidance leads away from. assistant is the draft model of speculative
    decoding. No row's result depends on another row.

    Raises, before anything is computed, SettingError for settings at odds with the prompt or the
    vocabulary, PromptError for a prompt that is empty or holds an unknown id, ContextLengthError
    where the context cannot hold the text; and NonFiniteError when `next_step` gives NaN.

    >>> import numpy as np
    >>> from npgpt.decoding import Step
    >>> class Nothing:
    ...     def select(self, rows):
    ...         return self
    >>> def next_step(rows, state):  # after token t comes t + 1
    ...     return Step(np.eye(5)[[row[-1] + 1 for row in rows]], None, Nothing())
    >>> generate(next_step, [[0], [2]], Settings(max_new_tokens=3, eos_token_id=4)).sequences
    [[0, 1, 2, 3], [2, 3, 4]]
    """
    request = prepare(
        tokens,
        settings,
        uniforms,
        decode=decode,
        context_length=context_length,
        vocab_size=vocab_size,
        negative_prompt=negative_prompt,
        assistant=None if assistant is None else one_by_one(assistant),
    )
    alone = DECODERS[request.decoder].every_token or settings.output_ledger
    return run_request(request, one_by_one(next_step) if alone else batched(next_step))


def prepare(
    tokens: Any,
    settings: Settings,
    uniforms: npt.ArrayLike | None = None,
    *,
    decode: Decode | None = None,
    context_length: int | None = None,
    vocab_size: int | None = None,
    negative_prompt: Any = None,
    assistant: LanguageModel | None = None,
) -> Request:
    """The Request that the arguments of `generate` pose; raises what `generate` raises.

    >>> prepare([[5, 6], [7]], Settings(max_length=4)).limits
    (4, 4)
    """
    if not isinstance(settings, Settings):
        raise SettingError(f"settings are {brief(settings)}; give npgpt.Settings(...)")
    for name, size in (("vocab_size", vocab_size), ("context_length", context_length)):
        if size is not None:
            integer(1)(name, size)
    prompts = token_rows(tokens)
    negative = negative_prompts(prompts, settings, negative_prompt)
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
    if assistant is not None and DECODERS[name].function is not speculative_decoding:
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
    return Request(
        prompts=prompts,
        settings=settings,
        limits=limits,
        decoder=name,
        uniforms=needed_uniforms(settings, uniforms, len(prompts), longest),
        decode=decode,
        vocab_size=vocab_size,
        negative_prompts=negative,
        assistant=guided(assistant, negative) if assistant and negative else assistant,
    )


def run_request(request: Request, model: LanguageModel) -> Generation:
    """What the decoder that the request names makes of it, with the ledger if it is asked for."""
    if not request.settings.output_ledger:
        return _decoded(start(request, model))
    decisions: list[Decision] = []
    answers: dict[tuple[int, ...], Answer] = {}
    generation = _decoded(start(request, recorded(model, answers), note=decisions.append))
    return dataclasses.replace(generation, ledger=Ledger(tuple(decisions), answers, request))


def stream(request: Request, model: LanguageModel) -> Iterator[list[Choice]] | None:
    """The run token by token, as it is decided; None for a search, which decides at its end."""
    row = DECODERS[request.decoder]
    return row.function(start(request, model)) if isinstance(row, TokenByToken) else None


def replay(ledger: Ledger) -> Generation:
    """The run repeated from its ledger, without the model: the same result, with its own ledger.

    A run with a draft model is repeated without it, for the draft decides nothing. There are no
    texts, since the tokenizer is the model's.
    """
    name = decoder(ledger.request.settings)
    alone = dataclasses.replace(ledger.request, assistant=None, decoder=name)
    return run_request(alone, ledger.read)


def start(request: Request, model: LanguageModel, *, note: Note | None = None) -> Run:
    """The run of a request, before anything is computed. note: who is told of each decision."""
    negative = request.negative_prompts
    return Run(
        request=request,
        model=model if negative is None else guided(model, negative),
        processors=pipeline(request.settings, vocab_size=request.vocab_size),
        note=note,
    )


def _decoded(run: Run) -> Generation:
    row = DECODERS[run.request.decoder]
    if isinstance(row, Search):
        return of_hypotheses(run.request, row.function(run))
    return of_choices(run.request, row.function(run))
