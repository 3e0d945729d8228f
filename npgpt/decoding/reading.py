"""What a decoder asks of a language model that needs more than the last token's logits.

Contrastive search compares the hidden states of all tokens; speculative decoding reads several
proposals at once, and takes back those that were wrong.
"""

from collections.abc import Sequence
from typing import NamedTuple, Protocol, TypeVar

import numpy as np

from npgpt.arrays import Array
from npgpt.decoding.step import NextStep, State, Step
from npgpt.errors import SettingError

_Known = TypeVar("_Known")


class Undoable(State, Protocol):
    """A state that can also forget the last tokens that it read."""

    def select(self, rows: Sequence[int]) -> "Undoable":
        """The state of these rows: fewer, reordered or repeated."""
        ...

    def drop(self, counts: Sequence[int]) -> "Undoable":
        """The state as it was before the last counts[r] tokens of row r were read."""
        ...


class Reading(NamedTuple):
    """What a model says of each of the new tokens, the last one in the last column.

    logits (rows, kept, vocab), after each of the last `kept` tokens; hidden (rows, longest, embd),
    the final hidden states that they are read from, or None. In rows with fewer new tokens, the
    first columns mean nothing. state, to go on from. negative: as logits, but after the negative
    prompt in place of the prompt, where guidance asked for them.
    """

    logits: Array
    hidden: Array | None
    state: Undoable
    negative: Array | None = None


class Read(Protocol):
    """`next_step` with a window: the logits of the last `keep` tokens of each row, not of one."""

    def __call__(
        self, rows: Sequence[Sequence[int]], state: State | None, *, keep: int = 1
    ) -> Reading:
        """Read the new tokens of each row, of any number, after those that `state` has read.

        A row that `state` knows may have none, as long as another has some: it stays as it was.
        """
        ...


def last_of(read: Read) -> NextStep:
    """The `next_step` of a model that can `read`."""

    return lambda rows, state: last_step(read(rows, state))


def last_step(reading: Reading) -> Step:
    """What a reading says of the last token of each row."""
    hidden = None if reading.hidden is None else reading.hidden[:, -1]
    negative = None if reading.negative is None else reading.negative[:, -1]
    return Step(reading.logits[:, -1], hidden, reading.state, negative)


def resumed(state: State | None, kind: type[_Known]) -> _Known | None:
    """The state, or None at the start; SettingError for a state that something else gave.

    >>> resumed(None, tuple) is None
    True
    """
    if state is None or isinstance(state, kind):
        return state
    raise SettingError(f"state is {state!r}; go on from the state of an earlier reading")


def right_aligned(rows: Sequence[Sequence[Array]], columns: int) -> Array:
    """Vectors as an array (rows, columns, size): those of shorter rows to the right, after zeros.

    A row may have none, as long as another has some.

    >>> right_aligned([[np.array([1.0])], [np.array([2.0]), np.array([3.0])]], 2)[..., 0]
    array([[0., 1.],
           [2., 3.]])
    """
    some = next(vectors[0] for vectors in rows if vectors)
    result = np.zeros((len(rows), columns, *some.shape), some.dtype)
    for index, vectors in enumerate(rows):
        for column, vector in enumerate(vectors, start=columns - len(vectors)):
            result[index, column] = vector
    return result


def complete(rows: Sequence[Sequence[Array | None]]) -> list[list[Array]] | None:
    """The vectors, where each is known, else None.

    >>> complete([[np.zeros(1)], [np.zeros(1), None]]) is None
    True
    """
    known = [[vector for vector in vectors if vector is not None] for vectors in rows]
    return known if [len(row) for row in known] == [len(row) for row in rows] else None
