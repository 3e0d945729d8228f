"""Rows of ids as a subject gives them: copied, read, and what is wrong with them at sight."""

import operator
from collections.abc import Sequence
from typing import Any, TypeAlias

from oracle.adapters.guard import Misbehaviour

Rows: TypeAlias = list[tuple[int, ...]]


def copied(found: Any) -> Any:
    """Tuples of ids apart from the subject's own; what is not rows of ids, as it is.

    >>> copied([[1, 2], [3]]), copied(None)
    (((1, 2), (3,)), None)
    """
    try:
        rows = found.tolist() if hasattr(found, "tolist") else found
        return tuple(tuple(row.tolist() if hasattr(row, "tolist") else row) for row in rows)
    except Exception:
        return found


def read_rows(answer: Any, prompts: Sequence[Sequence[int]], vocab: int) -> Rows | str:
    """The rows as tuples of ints, one for each of these prompts, or what is wrong with them.

    >>> read_rows([[0, 1]], [[0]], 2), read_rows([[0, 2]], [[0]], 2)
    ([(0, 1)], 'row 0 has the id 2 at place 1, outside the vocabulary of 2')
    """
    if isinstance(answer, Misbehaviour):
        return answer.says
    try:
        rows = [tuple(row) for row in answer]
    except Exception:
        return f"not rows of ids: {_quoted(answer)}"
    if len(rows) != len(prompts):
        return f"{len(rows)} rows in place of {len(prompts)}"
    found = []
    for r, (row, prompt) in enumerate(zip(rows, prompts, strict=True)):
        ids = []
        for place, token in enumerate(row):
            try:
                ids.append(operator.index(token))
            except Exception:
                return f"row {r} has {_quoted(token)} at place {place}, which is no id"
            if isinstance(token, bool) or not 0 <= ids[-1] < vocab:
                says = f"row {r} has the id {_quoted(token)} at place {place}"
                return f"{says}, outside the vocabulary of {vocab}"
        if tuple(ids[: len(prompt)]) != tuple(prompt):
            return f"row {r} does not start with its prompt {list(prompt)}: {_quoted(ids)}"
        found.append(tuple(ids))
    return found


def _quoted(value: Any) -> str:
    try:
        return repr(value)[:60]
    except Exception:
        return type(value).__name__
