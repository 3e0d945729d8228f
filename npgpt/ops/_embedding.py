"""Embedding: rows of a table, looked up by id."""

from npgpt._arrays import Array, Tokens
from npgpt.errors import PromptError


def embedding(ids: Tokens, weight: Array) -> Array:
    """`weight[ids]`: the row of each id.

    ids (...), integers; weight (rows, embd) -> (..., embd), in weight's dtype.
    Raises PromptError for an id outside 0 .. rows - 1: NumPy alone would take -1 for the last row.

    >>> import numpy as np
    >>> embedding(np.array([1, 0]), np.array([[1.0, 2.0], [3.0, 4.0]]))
    array([[3., 4.],
           [1., 2.]])
    """
    wrong = (ids < 0) | (ids >= len(weight))
    if wrong.any():
        raise PromptError(f"id {ids[wrong].flat[0]} is not one of the {len(weight)} known ids")
    rows: Array = weight[ids]
    return rows
