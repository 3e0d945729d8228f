"""What a decoder asks of a language model: one function, `next_step`.

A decoder never sees a model, a cache or padding. It hands over rows of token ids, each as long as
it is, and gets the logits of what may follow each row.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol, TypeAlias

import numpy as np

from npgpt.arrays import Array


class State(Protocol):
    """What `next_step` remembers of the rows it has read.

    A value: going on from one state twice gives the same answer twice.
    """

    def select(self, rows: Sequence[int]) -> "State":
        """The state of these rows: fewer, reordered or repeated."""
        ...


class Step(NamedTuple):
    """What `next_step` gives for rows of tokens.

    logits (rows, vocab), float, for the token after the last one of each row; -inf is a token that
    cannot follow. hidden (rows, embd), the final hidden state that the logits were read from, or
    None where there is none. state, to go on from. negative (rows, vocab): the logits after the
    negative prompt in place of the prompt, where guidance asked for them.
    """

    logits: Array
    hidden: Array | None
    state: State
    negative: Array | None = None


# The first call gets whole prompts and no state; each later one the new tokens of each row, and
# the state of the step before (or what its `select` gave).
NextStep: TypeAlias = Callable[[Sequence[Sequence[int]], State | None], Step]


def selected(step: Step, rows: Sequence[int]) -> Step:
    """The step of these rows: fewer, reordered or repeated. All of them in order cost nothing.

    >>> class Nothing:
    ...     def select(self, rows):
    ...         return self
    >>> selected(Step(np.array([[1.0], [2.0]]), None, Nothing()), [1, 1]).logits
    array([[2.],
           [2.]])
    """
    if list(rows) == list(range(len(step.logits))):
        return step

    def chosen(array: Array | None) -> Array | None:
        return None if array is None else np.asarray(array)[list(rows)]

    logits = np.asarray(step.logits)[list(rows)]
    return Step(logits, chosen(step.hidden), step.state.select(rows), chosen(step.negative))
