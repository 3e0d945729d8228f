"""Batch-invariant passes: a row's numbers do not depend on the rows beside it.

BLAS sums in another order for another number of rows, so that rounding depends on the batch. Here
each row is read by itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from npgpt._arrays import Array, Mask, Tokens
from npgpt._config import Config
from npgpt.errors import PromptError
from npgpt.model._cache import Cache
from npgpt.model._forward import forward
from npgpt.model._inputs import checked_tokens
from npgpt.model._parameters import Parameters
from npgpt.model._prefill import prefill


class RowCaches(NamedTuple):
    """A cache of its own for each row."""

    caches: tuple[Cache, ...]

    def select(self, rows: Sequence[int]) -> RowCaches:
        """The caches of these rows: fewer, reordered or repeated."""
        return RowCaches(tuple(self.caches[row] for row in rows))

    def rewind(self, counts: Sequence[int]) -> RowCaches:
        """The caches as if the last counts[r] tokens of row r had not been read."""
        pairs = zip(self.caches, counts, strict=True)
        return RowCaches(tuple(cache.rewind([count]) for cache, count in pairs))


def batch_invariant_logits(
    tokens: Tokens, parameters: Parameters, config: Config, *, mask: Mask | None = None
) -> Array:
    """The logits of `forward`, each row's from its real tokens alone; zeros at padding."""
    tokens, mask = checked_tokens(tokens, mask)
    logits = np.zeros((*tokens.shape, config.vocab_size), parameters.dtype)
    for row, (ids, real) in enumerate(zip(tokens, mask, strict=True)):
        if real.any():
            logits[row, real] = forward(ids[None, real], parameters, config).logits[0]
    return logits


class Rows(NamedTuple):
    """What `forward` gives, for rows of any lengths, each one's last column in the last column.

    logits (rows, kept, vocab); hidden (rows, longest, embd); zeros where a row has no column.
    """

    logits: Array
    hidden: Array
    past: RowCaches


def batch_invariant_read(
    rows: Sequence[Sequence[int]],
    parameters: Parameters,
    config: Config,
    *,
    past: RowCaches | None = None,
    logits_to_keep: int = 1,
) -> Rows:
    """`prefill` of each row of token ids alone: the same for that row, bit for bit, in any batch.

    A row that `past` knows may be empty, and stays as it was. Raises as `forward` does.
    """
    if past is not None and len(past.caches) != len(rows):
        raise PromptError(
            f"{len(rows)} rows of tokens cannot go on from {len(past.caches)} rows of past"
        )
    width = max(map(len, rows))
    dtype = parameters.dtype
    logits = np.zeros((len(rows), min(logits_to_keep, width), config.vocab_size), dtype)
    hidden = np.zeros((len(rows), width, config.n_embd), dtype)
    caches = []
    for index, row in enumerate(rows):
        cache = None if past is None else past.caches[index]
        if len(row) or cache is None:
            output = prefill(
                np.array([row]), parameters, config, past=cache, logits_to_keep=logits_to_keep
            )
            kept, columns = output.logits.shape[1], output.hidden.shape[1]
            logits[index, logits.shape[1] - kept :] = output.logits[0]
            hidden[index, width - columns :] = output.hidden[0]
            cache = output.past
        caches.append(cache)
    return Rows(logits, hidden, RowCaches(tuple(caches)))
