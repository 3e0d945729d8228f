"""Language model: what a decoder asks of one, and how a plain `next_step` answers it.

A decoder never sees a model, a cache or padding. It hands over rows of token ids, each as long as
it is, and gets the logits of what may follow. There is one protocol, `LanguageModel`. A user may
give less, a `next_step` that says what follows the last token of each row; `batched` and
`one_by_one` make a language model of it.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol, TypeAlias, TypeVar

import numpy as np

from npgpt._arrays import Array
from npgpt.errors import SettingError

_State = TypeVar("_State")


class State(Protocol):
    """What a language model remembers of the rows that it has read.

    A value: going on from one state twice gives the same answer twice.
    """

    def select(self, rows: Sequence[int]) -> "State":
        """The state of these rows: fewer, reordered or repeated."""
        ...


class RewindableState(State, Protocol):
    """A state that can also forget the last tokens that it read."""

    def select(self, rows: Sequence[int]) -> "RewindableState":
        """The state of these rows: fewer, reordered or repeated."""
        ...

    def rewind(self, counts: Sequence[int]) -> "RewindableState":
        """The state as it was before the last counts[r] tokens of row r were read."""
        ...


class Reading(NamedTuple):
    """What a language model says of each of the new tokens, the last one in the last column.

    logits (rows, kept, vocab), float, for the token after each of the last `kept` tokens; -inf is a
    token that cannot follow. hidden (rows, longest, embd), the final hidden states that logits are
    read from, or None. In rows with fewer new tokens, the first columns mean nothing. state, to go
    on from. negative: as logits, but after the negative prompt in place of the prompt, where
    guidance asked for them.
    """

    logits: Array
    hidden: Array | None
    state: RewindableState
    negative: Array | None = None


class LanguageModel(Protocol):
    """Rows of new tokens, and the state of those before them -> a Reading."""

    def __call__(
        self,
        rows: Sequence[Sequence[int]],
        state: State | None,
        *,
        keep: int = 1,
        hidden: bool = True,
    ) -> Reading:
        """Read the new tokens of each row, of any number, after those that `state` has read.

        state: None at the start, later that of a reading before, or what its `select` or `rewind`
        gave. A row that `state` knows may have no new token, as long as another has some: it stays
        as it was. keep: of how many of the last tokens of each row the logits are wanted. hidden:
        whether hidden states are; where they are not, there need be none.
        """
        ...


class Step(NamedTuple):
    """What `next_step` gives for rows of tokens.

    logits (rows, vocab), float, for the token after the last one of each row; -inf is a token that
    cannot follow. hidden (rows, embd), the final hidden state that the logits were read from, or
    None where there is none. state, to go on from.
    """

    logits: Array
    hidden: Array | None
    state: State


# The first call gets whole prompts and no state; each later one the new token of each row, and the
# state of the step before (or what its `select` gave).
NextStep: TypeAlias = Callable[[Sequence[Sequence[int]], State | None], Step]


def batched(next_step: NextStep) -> LanguageModel:
    """`next_step` as a language model for decoders that go on from the last token alone.

    It is asked about all rows at once. Its states cannot go back, and there are no hidden states.

    >>> def next_step(rows, state):
    ...     return Step(np.eye(3)[[row[-1] for row in rows]], None, None)
    >>> batched(next_step)([[0, 2], [1]], None).logits[:, 0]
    array([[0., 0., 1.],
           [0., 1., 0.]])
    """

    def read(
        rows: Sequence[Sequence[int]],
        state: State | None,
        *,
        keep: int = 1,
        hidden: bool = True,
    ) -> Reading:
        before = resumed(state, _ForwardOnly)
        step = next_step(rows, None if before is None else before.state)
        if not isinstance(step, Step):
            raise SettingError(
                f"next_step gave {step!r}; it must give a Step(logits, hidden, state)"
            )
        check_logits(step.logits, len(rows), source="next_step")
        return Reading(step.logits[:, None], None, _ForwardOnly(step.state))

    return read


class _ForwardOnly(NamedTuple):
    """A state of `next_step`, which need not be able to go back."""

    state: State

    def select(self, rows: Sequence[int]) -> "_ForwardOnly":
        return _ForwardOnly(self.state.select(rows))

    def rewind(self, counts: Sequence[int]) -> "_ForwardOnly":
        raise SettingError("a state of next_step cannot go back; read `one_by_one` instead")


def one_by_one(next_step: NextStep) -> LanguageModel:
    """`next_step` as a language model that can do all: it is asked token by token, row by row.

    >>> class Nothing:
    ...     def select(self, rows):
    ...         return self
    >>> def next_step(rows, state):
    ...     return Step(np.eye(3)[[row[-1] for row in rows]], None, Nothing())
    >>> one_by_one(next_step)([[0, 2]], None, keep=2).logits
    array([[[1., 0., 0.],
            [0., 0., 1.]]])
    """

    def read(
        rows: Sequence[Sequence[int]],
        state: State | None,
        *,
        keep: int = 1,
        hidden: bool = True,
    ) -> Reading:
        before = resumed(state, _StateAfterEach)
        past = ((),) * len(rows) if before is None else before.states
        steps = [_steps(next_step, row, old) for row, old in zip(rows, past, strict=True)]
        logits = [[step.logits[0] for step in of_row[-keep:]] for of_row in steps]
        vectors = complete(
            [[None if s.hidden is None else s.hidden[0] for s in of_row] for of_row in steps]
        )
        longest = max(map(len, rows))
        pairs = zip(past, steps, strict=True)
        return Reading(
            right_aligned(logits, min(keep, longest)),
            None if vectors is None else right_aligned(vectors, longest),
            _StateAfterEach(tuple((*old, *(s.state for s in of_row)) for old, of_row in pairs)),
        )

    return read


class _StateAfterEach(NamedTuple):
    """For each row, the state of `next_step` after each of its tokens."""

    states: tuple[tuple[State, ...], ...]

    def select(self, rows: Sequence[int]) -> "_StateAfterEach":
        return _StateAfterEach(tuple(self.states[row] for row in rows))

    def rewind(self, counts: Sequence[int]) -> "_StateAfterEach":
        return _StateAfterEach(without_last(self.states, counts))


def _steps(next_step: NextStep, row: Sequence[int], past: Sequence[State]) -> list[Step]:
    """The steps through the tokens of a row, one by one, after the last of its past states."""
    steps: list[Step] = []
    state = past[-1] if past else None
    for token in row:
        step = next_step([[token]], state)
        if not isinstance(step.logits, np.ndarray) or step.logits.shape[:-1] != (1,):
            raise SettingError(
                f"next_step gave logits of shape {np.shape(step.logits)} and kind "
                f"{type(step.logits).__name__} for 1 row; it must give an array (rows, vocabulary)"
            )
        steps.append(step)
        state = step.state
    return steps


def guided(model: LanguageModel, negative_prompts: Sequence[Sequence[int]]) -> LanguageModel:
    """The model, which reads each row a second time, with the negative prompt for its prompt.

    Its readings hold those logits as `negative`, for classifier-free guidance.
    """

    def read(
        rows: Sequence[Sequence[int]],
        state: State | None,
        *,
        keep: int = 1,
        hidden: bool = True,
    ) -> Reading:
        pair = resumed(state, _Pair)
        reading = model(rows, pair and pair.of_prompt, keep=keep, hidden=hidden)
        again = rows if pair else negative_prompts
        other = model(again, pair and pair.of_negative, keep=keep, hidden=hidden)
        return reading._replace(state=_Pair(reading.state, other.state), negative=other.logits)

    return read


class _Pair(NamedTuple):
    """The state of the rows, and of the same tokens after the negative prompts."""

    of_prompt: RewindableState
    of_negative: RewindableState

    def select(self, rows: Sequence[int]) -> "_Pair":
        return _Pair(self.of_prompt.select(rows), self.of_negative.select(rows))

    def rewind(self, counts: Sequence[int]) -> "_Pair":
        return _Pair(self.of_prompt.rewind(counts), self.of_negative.rewind(counts))


def check_logits(logits: Array, rows: int, *, source: str) -> None:
    """Nothing, if the logits are floats (rows, vocab); else SettingError, which names the source.

    >>> check_logits(np.zeros((2, 5)), 2, source="next_step")
    """
    if np.ndim(logits) != 2 or np.shape(logits)[0] != rows:
        raise SettingError(
            f"{source} gave logits of shape {np.shape(logits)} for {rows} rows; "
            "it must give (rows, vocabulary), the last token's alone"
        )
    if not isinstance(logits, np.ndarray) or logits.dtype.kind != "f":
        kind = getattr(logits, "dtype", type(logits).__name__)
        raise SettingError(f"{source} gave logits of kind {kind}; it must give an array of floats")


def resumed(state: State | None, kind: type[_State]) -> _State | None:
    """The state, or None at the start; SettingError for a state that something else gave.

    >>> resumed(None, tuple) is None
    True
    """
    if state is None or isinstance(state, kind):
        return state
    raise SettingError(f"state is {state!r}; go on from the state of an earlier reading")


def without_last(
    rows: Sequence[tuple[_State, ...]], counts: Sequence[int]
) -> tuple[tuple[_State, ...], ...]:
    """Each row without its last counts[r] items.

    >>> without_last([(5, 6), (7,)], [1, 0])
    ((5,), (7,))
    """
    pairs = zip(rows, counts, strict=True)
    return tuple(row[: len(row) - count] for row, count in pairs)


def right_aligned(rows: Sequence[Sequence[Array]], columns: int) -> Array:
    """Vectors as an array (rows, columns, size): those of shorter rows to the right, after zeros.

    A row may have none, as long as another has some.

    >>> right_aligned([[np.array([1.0])], [np.array([2.0]), np.array([3.0])]], 2)[..., 0]
    array([[0., 1.],
           [2., 3.]])
    """
    first = next(vectors[0] for vectors in rows if vectors)
    result = np.zeros((len(rows), columns, *first.shape), first.dtype)
    for index, vectors in enumerate(rows):
        for column, vector in enumerate(vectors, start=columns - len(vectors)):
            result[index, column] = vector
    return result


def complete(rows: Sequence[Sequence[Array | None]]) -> list[list[Array]] | None:
    """The vectors, where each is known, else None.

    >>> complete([[np.zeros(1)], [np.zeros(1), None]]) is None
    True
    """
    vectors = [[vector for vector in row if vector is not None] for row in rows]
    return vectors if [len(row) for row in vectors] == [len(row) for row in rows] else None
