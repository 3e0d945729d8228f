"""Rows of token ids, padded in every way, and ways to feed a row in pieces."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st

from oracle.strategies._arrays import MAX_SEED, Array
from oracle.strategies._configs import Config, up_to

# Where the padding stands. "anywhere" mixes sides and gaps, differently in each row.
PADDINGS = ("none", "left", "right", "both", "middle", "anywhere")


@dataclass(frozen=True)
class Batch:
    """Token ids and the mask that says which of them are real, both (batch, query).

    Padding holds ids of the vocabulary like any other, so that code that forgets the mask shows.
    """

    tokens: Array
    mask: Array

    @property
    def rows(self) -> list[Array]:
        """The real tokens of each row."""
        return [row[real] for row, real in zip(self.tokens, self.mask, strict=True)]


def _where_real(rng: np.random.Generator, padding: str, length: int, width: int) -> Array:
    """Which of `width` places hold the `length` real tokens."""
    gaps = width - length
    if padding == "left":
        return np.arange(width) >= gaps
    if padding in ("right", "none"):
        return np.arange(width) < length
    if padding == "both":
        start = int(rng.integers(0, gaps + 1))
        return (np.arange(width) >= start) & (np.arange(width) < start + length)
    if padding == "middle":
        start = int(rng.integers(1, length + 1)) if length else 0
        return (np.arange(width) < start) | (np.arange(width) >= start + gaps)
    return rng.permutation(np.arange(width) < length)


def build_batch(
    padding: str, seed: int, lengths: Sequence[int], width: int, vocab_size: int
) -> Batch:
    """The batch with `lengths[i]` real tokens in row i that `seed` makes.

    >>> build_batch("left", 0, [1, 3], 3, 9).mask.tolist()
    [[False, False, True], [True, True, True]]
    """
    rng = np.random.default_rng(seed)
    tokens = rng.integers(0, vocab_size, (len(lengths), width))
    mask = np.array([_where_real(rng, padding, length, width) for length in lengths], bool)
    return Batch(tokens, mask)


@st.composite
def batches(
    draw: st.DrawFn,
    config: Config,
    *,
    max_rows: int = 3,
    max_padding: int = 3,
    paddings: Sequence[str] = PADDINGS,
    empty_rows: bool = False,
) -> Batch:
    """Batches of 1 to `max_rows` rows that fit `config`, padded in any of the ways `paddings`.

    A row holds 1 to `n_positions` real tokens, or none at all too with `empty_rows`; with padding
    a batch may be up to `max_padding` wider than its longest row, so wider than `n_positions`.
    With padding "none" all rows are equally long. Shrinks to one row of one token, unpadded.
    """
    padding = draw(st.sampled_from(paddings))
    length = up_to(config["n_positions"], least=0 if empty_rows else 1)
    lengths = draw(st.lists(length, min_size=1, max_size=max_rows))
    if padding == "none":
        lengths = [max(1, lengths[0])] * len(lengths)
    extra = 0 if padding == "none" else draw(st.integers(0, max_padding))
    width = max(lengths) + extra
    if not width:  # nothing but empty rows: one column of padding
        width = 1
    return build_batch(
        padding, draw(st.integers(0, MAX_SEED)), lengths, width, config["vocab_size"]
    )


@st.composite
def chunkings(draw: st.DrawFn, length: int) -> tuple[int, ...]:
    """Positive sizes that add up to `length`, in order; shrinks to one chunk.

    Every one of the 2^(length-1) ways can be drawn.
    """
    cuts = [place for place in range(1, length) if draw(st.booleans())]
    return tuple(int(size) for size in np.diff([0, *cuts, length]))
