"""Hypothesis strategies of rows with the scores of their next token, and what is done by row."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from hypothesis import reject
from hypothesis import strategies as st

from npgpt.decoding._scoring import Row
from tests.helpers.score_rows import score_rows
from tests.helpers.slow_decoding import UndecidedError


@st.composite
def rows_and_scores(draw, *, most_rows=2, most_tokens=5):
    """Rows of few different tokens, so that they repeat, and read-only scores for each."""
    scores = draw(score_rows(most_rows=most_rows, most_tokens=most_tokens))
    scores.setflags(write=False)
    ids = st.integers(0, draw(st.integers(0, scores.shape[1] - 1)))
    rows = []
    for place in range(len(scores)):
        tokens = draw(st.lists(ids, min_size=1, max_size=7))
        prompt_length = draw(st.integers(1, len(tokens)))
        limit = len(tokens) + draw(st.integers(1, 3))
        rows.append(Row(tokens, prompt_length, prompt=place // 2, limit=limit))
    return rows, scores


def phrases(vocab: int, *, longest: int = 3) -> st.SearchStrategy[tuple[int, ...]]:
    """Phrases of few different tokens."""
    ids = st.one_of(st.integers(0, min(vocab - 1, 1)), st.integers(0, vocab - 1))
    return st.lists(ids, min_size=1, max_size=longest).map(tuple)


def id_sets(vocab: int) -> st.SearchStrategy[tuple[int, ...]]:
    """Tuples of different ids, in any order."""
    return st.lists(st.integers(0, vocab - 1), unique=True).map(tuple)


def by_row(
    slow: Callable[..., list[float]],
    scores: np.ndarray,
    *arguments: Any,
    rows: Sequence[Row] | None = None,
) -> np.ndarray:
    """What `slow` makes of each row, in float64 and then the scores' dtype."""
    try:
        if rows is None:
            found = [slow(z, *arguments) for z in scores.tolist()]
        else:
            pairs = zip(rows, scores.tolist(), strict=True)
            found = [slow(row, z, *arguments) for row, z in pairs]
    except UndecidedError:
        reject()
    with np.errstate(over="ignore"):
        return np.array(found).astype(scores.dtype)


def assert_same(result: np.ndarray, expected: np.ndarray) -> None:
    """Equal in every value, and of the same dtype."""
    assert result.dtype == expected.dtype
    np.testing.assert_array_equal(result, expected)
