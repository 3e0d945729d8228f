"""Hand a subject copies, look over what it returns, and say in one line how it misbehaved."""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from oracle.adapters.answers import (
    PARAMETERS,
    READERS,
    array,
    copied,
    difference,
    one_line,
    printable,
)
from oracle.adapters.subject import FUNCTIONS, Subject

RAISED = "raised"  # an exception, which is how a subject refuses too
HUNG = "hung"  # no answer within the time limit
DIED = "died"  # its process ended
GARBLED = "garbled"  # what it said is no answer
CHANGED_ARGUMENTS = "changed arguments"  # it wrote to what it was given
CHANGED_ANSWER = "changed answer"  # an earlier answer changed: it was a view
KINDS = (RAISED, HUNG, DIED, GARBLED, CHANGED_ARGUMENTS, CHANGED_ANSWER)


class Misbehaviour(Exception):  # noqa: N818
    """What a subject did in place of answering: `kind`, and `says` in one line.

    >>> str(Misbehaviour(HUNG, "logits gave no answer within 20 s"))
    'logits gave no answer within 20 s'
    """

    def __init__(self, kind: str, says: str) -> None:
        says = printable(says)
        super().__init__(kind, says)
        self.kind = kind
        self.says = says

    def __str__(self) -> str:
        return self.says

    @property
    def refuses(self) -> bool:
        """Whether it says that this is more than the subject does: a NotImplementedError."""
        return self.kind == RAISED and self.says.startswith("NotImplementedError")


def apart(one: Any, other: Any) -> float:
    """How far two answers are apart, one of them a Misbehaviour: 0 for the same kind, or infinite.

    >>> apart(Misbehaviour(DIED, "with 3"), Misbehaviour(DIED, "with 4")), apart(0.5, HUNG)
    (0.0, inf)
    """
    both = isinstance(one, Misbehaviour) and isinstance(other, Misbehaviour)
    return 0.0 if both and one.kind == other.kind else math.inf


def guarded(subject: Subject) -> Subject:
    """The subject with each function watched; a function raises Misbehaviour or answers plainly.

    It gets copies of its arguments, which must be the same afterwards, byte for byte. Its answer
    is copied too, and looked at again after the next call of any function. See `plain_answer` for
    what an answer becomes.

    >>> import numpy as np
    >>> subject = guarded(Subject("mine", ops={"halve": lambda x: np.divide(x, 2, out=x)}))
    >>> subject.ops["halve"](np.ones(2))
    Traceback (most recent call last):
    ...
    oracle.adapters.guard.Misbehaviour: ops.halve changed its argument 0
    """
    watch = _Watch()
    offered = {name: getattr(subject, name) for name in FUNCTIONS if getattr(subject, name)}
    watched: dict[str, Any] = {name: watch.over(name, f) for name, f in offered.items()}
    return replace(
        subject,
        **watched,
        ops={name: watch.over(f"ops.{name}", op) for name, op in subject.ops.items()},
    )


class _Watch:
    """Remembers the last answer, itself and a copy."""

    def __init__(self) -> None:
        self.last: tuple[str, Any, Any] | None = None

    def over(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, watched."""
        names = PARAMETERS.get(name, ())

        def watched(*arguments: Any, **keywords: Any) -> Any:
            given = dict(zip(names, arguments, strict=False))
            given |= {str(i): arguments[i] for i in range(len(given), len(arguments))}
            copies = {
                key: value if key == "cache" else copied(value)
                for key, value in (given | keywords).items()
            }
            values = [copies[key] for key in given]
            answer = _called(name, function, values, {key: copies[key] for key in keywords})
            for key, value in (given | keywords).items():
                where = None if key == "cache" else difference(value, copies[key], key)
                if where:
                    raise Misbehaviour(CHANGED_ARGUMENTS, f"{name} changed its argument {where}")
            plain = plain_answer(name, answer)
            self._look_back(name, answer, plain)
            return plain

        return watched

    def _look_back(self, name: str, answer: Any, plain: Any) -> None:
        before = self.last
        if name == "step":
            self.last = "logits", answer[0], copied(plain[0])
        else:
            self.last = name, answer, copied(plain)
        if before is not None and difference(before[2], _read_again(*before[:2]), "answer"):
            raise Misbehaviour(
                CHANGED_ANSWER,
                f"an answer of {before[0]} changed when {name} was called next: "
                "it must be a copy, not a view",
            )


def _read_again(name: str, answer: Any) -> Any:
    try:
        return plain_answer(name, answer)
    except Misbehaviour:
        return None


def _called(
    name: str, function: Callable[..., Any], arguments: list[Any], keywords: dict[str, Any]
) -> Any:
    try:
        return function(*arguments, **keywords)
    except (Misbehaviour, KeyboardInterrupt):
        raise
    except SystemExit as end:
        raise Misbehaviour(DIED, f"{name} ended the program with exit status {end.code}") from end
    except BaseException as error:  # a subject may raise anything at all
        says = one_line(f"{type(error).__name__}: {_text(error)}")
        raise Misbehaviour(RAISED, says) from error


def _text(error: BaseException) -> str:
    try:
        return one_line(error)
    except Exception:
        return "(its message could not be had)"


def plain_answer(name: str, answer: Any) -> Any:
    """The answer of the function `name`, copied, in NumPy and plain lists.

    encode: a list of ids. generate, draw: lists of ids. decode: a text. perplexity: a float.
    step: (array, cache), the cache as it is. All others: an array of the dtype that came, but of
    float32 for bfloat16, which NumPy has not. Raises Misbehaviour(GARBLED) for anything else.
    Whether shape, dtype and numbers are right is left to whoever judges.

    >>> plain_answer("encode", (1, 2)), plain_answer("logits", [[0.5]]).shape
    ([1, 2], (1, 1))
    """
    expected = {
        "generate": "rows of ids",
        "draw": "rows of ids",
        "encode": "a list of ids",
        "decode": "a text",
        "perplexity": "a number",
        "step": "(logits, cache)",
    }.get(name, "an array of numbers")
    reader: Callable[[Any], Any] = READERS.get(name, array)
    try:
        return reader(answer)
    except Exception as error:
        found = "None" if answer is None else f"{type(answer).__name__} ({one_line(error)})"
        raise Misbehaviour(GARBLED, f"{name} answered {found}; expected {expected}") from error
