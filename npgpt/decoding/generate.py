"""Decoding by whichever decoder the settings name."""

from typing import Any

import numpy.typing as npt

from npgpt.decoding.generation import Generation
from npgpt.decoding.problem import Decode, prepare
from npgpt.decoding.settings import Settings
from npgpt.decoding.step import NextStep
from npgpt.decoding.steps import gather, steps


def generate(
    next_step: NextStep,
    tokens: Any,
    settings: Settings,
    uniforms: npt.ArrayLike | None = None,
    *,
    decode: Decode | None = None,
    context_length: int | None = None,
    vocab_size: int | None = None,
) -> Generation:
    """Continue rows of token ids until each has ended.

    tokens: a flat list of ids is one row, a list of lists several. uniforms (rows, steps) in
    [0, 1) are needed to sample: row r draws its j-th new token with `uniforms[r, j]`. decode,
    token ids to text, is needed for stop strings. context_length bounds prompt and new tokens
    together. Ids from vocab_size on are never chosen. No row's result depends on another row.

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
    )
    return gather(problem, steps(next_step, problem))
