"""Custom logits processors and prefix_allowed_tokens_fn: functions of the user's, checked."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from npgpt._arrays import Array, Tokens, quiet
from npgpt.decoding._processors.masks import keep_only
from npgpt.decoding._scoring import Row
from npgpt.errors import SettingError


def checked(
    rows: Sequence[Row], scores: Array, *, function: Callable[..., Any], name: str
) -> Array:
    """What `function(rows, scores)` gives: (rows, vocab) -> (rows, vocab), dtype kept.

    It gets copies, so it may write to them. Raises SettingError, which calls the function by
    `name`, unless it gives an array of floats of that shape, without NaN, and +inf only where it
    was before.

    >>> import numpy as np
    >>> checked([Row([5], 1)], np.zeros((1, 2)), function=lambda rows, s: s + 1, name="mine")
    array([[1., 1.]])
    """
    given = function(tuple(row._replace(tokens=tuple(row.tokens)) for row in rows), scores.copy())
    if not isinstance(given, np.ndarray) or given.dtype.kind != "f":
        kind = getattr(given, "dtype", type(given).__name__)
        raise SettingError(f"{name} gave scores of kind {kind}; it must give an array of floats")
    if given.shape != scores.shape:
        raise SettingError(
            f"{name} gave scores of shape {given.shape} for {scores.shape}; it must keep the shape"
        )
    with quiet():
        result: Array = given.astype(scores.dtype)
    wrong = np.isnan(result) | (np.isposinf(result) & ~np.isposinf(scores))
    for index, token in np.argwhere(wrong)[:1]:
        raise SettingError(
            f"{name} gave {given[index, token]} for token {token} in row {index}; it must give "
            "finite numbers, and -inf to rule a token out"
        )
    return result


def prefix_allowed(
    rows: Sequence[Row],
    scores: Array,
    *,
    function: Callable[[int, list[int]], Any],
    vocab_size: int | None = None,
) -> Array:
    """−∞ for each token that `function(prompt, tokens)` does not name, row by row.

    scores (rows, vocab) -> (rows, vocab), dtype kept. The function gets the place of the row's
    prompt and all of its tokens, and names the ids that may come next, none if nothing may. Raises
    SettingError unless they are ids of the vocabulary, whose size is that of the scores unless
    given.

    Source: De Cao et al. 2021, "Autoregressive Entity Retrieval", section 3.2.

    >>> import numpy as np
    >>> after = {5: [0, 2]}
    >>> allowed = lambda prompt, tokens: after[tokens[-1]]
    >>> prefix_allowed([Row([5], 1)], np.zeros((1, 3)), function=allowed)
    array([[  0., -inf,   0.]])
    """
    keep = np.zeros(scores.shape, dtype=bool)
    size = scores.shape[-1] if vocab_size is None else vocab_size
    for index, row in enumerate(rows):
        given = function(row.prompt, list(row.tokens))
        keep[index, _ids(given, size, f"prompt {row.prompt}, {len(row.new)} new tokens")] = True
    return keep_only(scores, keep)


def _ids(given: Any, size: int, where: str) -> Tokens:
    problem = f"prefix_allowed_tokens_fn gave {given!r} ({where})"
    try:
        ids = np.array(list(given))
    except (TypeError, ValueError):
        raise SettingError(f"{problem}; it must give token ids: a list, or an empty one") from None
    if not ids.size:
        return np.zeros(0, dtype=np.int64)
    if ids.ndim != 1 or ids.dtype.kind not in "iu":
        raise SettingError(f"{problem}; token ids are whole numbers")
    if ids.min() < 0 or ids.max() >= size:
        raise SettingError(
            f"{problem}; the vocabulary has {size} tokens, so give ids from 0 to {size - 1}"
        )
    return ids
