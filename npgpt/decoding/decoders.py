"""Decoding by whichever decoder the settings name."""

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import numpy.typing as npt

from npgpt.decoding.beam import beam_search
from npgpt.decoding.constrained_beam import constrained_beam_search
from npgpt.decoding.contrastive import contrastive_search
from npgpt.decoding.generation import Generation
from npgpt.decoding.group_beam import group_beam_search
from npgpt.decoding.guidance import guided, guided_read
from npgpt.decoding.ledger import Answer, Decision, Ledger
from npgpt.decoding.one_by_one import one_by_one
from npgpt.decoding.problem import Decode, Problem, prepare
from npgpt.decoding.reading import Read, last_of
from npgpt.decoding.recording import recorded
from npgpt.decoding.settings import Settings, decoder
from npgpt.decoding.speculative import speculative_decoding
from npgpt.decoding.step import NextStep
from npgpt.decoding.steps import Choice, gather, steps

# A decoder decides token by token, or searches and gives its rows when they are all done.
Search: TypeAlias = Callable[[NextStep, Problem], Generation]

SEARCHES: dict[str, Search] = {
    "beam search": beam_search,
    "beam sampling": beam_search,
    "diverse beam search": group_beam_search,
    "constrained beam search": constrained_beam_search,
}


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

    tokens: a flat list of ids is one row, a list of lists several. `problem.uniform_shape` says
    which uniforms in [0, 1) sampling takes: row r draws its j-th new token with `uniforms[r, j]`.
    decode, token ids to text, is needed for stop strings. context_length bounds prompt and new
    tokens together. Ids from vocab_size on are never chosen. negative_prompt, one row of ids or one
    for each prompt, is what guidance leads away from. assistant is the draft model of speculative
    decoding. No row's result depends on another row.

    Raises, before anything is computed, SettingError for settings at odds with the prompt or the
    vocabulary, PromptError for a prompt that is empty or holds an unknown id, ContextLengthError
    where the context cannot hold the text; and NonFiniteError when `next_step` gives NaN.

    >>> import numpy as np
    >>> from npgpt.decoding.step import Step
    >>> class Nothing:
    ...     def select(self, rows):
    ...         return self
    >>> def next_step(rows, state):  # after token t comes t + 1
    ...     return Step(np.eye(5)[[row[-1] + 1 for row in rows]], None, Nothing())
    >>> generate(next_step, [[0], [2]], Settings(max_new_tokens=3, eos_token_id=4)).sequences
    [[0, 1, 2, 3], [2, 3, 4]]
    """
    problem = prepare(
        tokens,
        settings,
        uniforms,
        decode=decode,
        context_length=context_length,
        vocab_size=vocab_size,
        negative_prompt=negative_prompt,
        assistant=None if assistant is None else one_by_one(assistant),
    )
    return solve(problem, next_step, one_by_one(next_step))


def replay(ledger: Ledger) -> Generation:
    """The run repeated from its ledger, without the model: the same result, with its own ledger.

    A run with a draft model is repeated without it, for the draft decides nothing. There are no
    texts, since the tokenizer is the model's.
    """
    settings = ledger.problem.settings
    alone = dataclasses.replace(ledger.problem, assistant=None, decoder=decoder(settings))
    return solve(alone, last_of(ledger.read), ledger.read)


def solve(problem: Problem, next_step: NextStep, read: Read) -> Generation:
    """What the decoder that the problem names makes of it, with the ledger if it is asked for."""
    if not problem.settings.output_ledger:
        return _solved(problem, next_step, read)
    decisions: list[Decision] = []
    answers: dict[tuple[int, ...], Answer] = {}
    noted = dataclasses.replace(problem, note=decisions.append)
    heard = recorded(read, answers)
    generation = _solved(noted, last_of(heard), heard)
    return dataclasses.replace(generation, ledger=Ledger(tuple(decisions), answers, problem))


def choices(problem: Problem, next_step: NextStep, read: Read) -> Iterator[list[Choice]] | None:
    """The run token by token, as it is decided; None for a search, which decides at its end."""
    if problem.decoder in SEARCHES:
        return None
    next_step, read = _guided(problem, next_step, read)
    if problem.decoder == "contrastive search":
        return contrastive_search(read, problem)
    if problem.decoder == "speculative decoding":
        return speculative_decoding(read, problem)
    return steps(next_step, problem)


def _solved(problem: Problem, next_step: NextStep, read: Read) -> Generation:
    decided = choices(problem, next_step, read)
    if decided is not None:
        found = gather(problem, decided)
    else:
        next_step, _ = _guided(problem, next_step, read)
        found = SEARCHES[problem.decoder](next_step, problem)
    return dataclasses.replace(found, pad_token_id=problem.settings.pad_token_id)


def _guided(problem: Problem, next_step: NextStep, read: Read) -> tuple[NextStep, Read]:
    negative = problem.negative_prompts
    if negative is None:
        return next_step, read
    return guided(next_step, negative), guided_read(read, negative)
