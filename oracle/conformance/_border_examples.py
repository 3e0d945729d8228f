"""Examples at the borders: what is at a place is made once, with its reference, for all checks.

A cached step goes on where the whole was asked, so both are held to the same numbers. The weights
are of the trained kind, queries sharper where there are many keys: of a thousand a few dozen count,
near and far. Each row of a table gives numbers of its own.
"""

import functools
from collections.abc import Iterable
from zlib import crc32

import numpy as np
from hypothesis import strategies as st

from oracle.adapters.subject import Subject
from oracle.bounds._rounding import Array
from oracle.conformance._explore import current_seed
from oracle.conformance._model_examples import ModelExample, exact_in
from oracle.conformance._places import Place, claimed
from oracle.strategies._tokens import Batch, build_batch
from oracle.strategies._weights import Weights, build_weights

# The ids on both sides of what fits 8 and 16 bits, with a sign and without.
EDGES = (0, 127, 128, 255, 256, 32767, 32768)
# Of more tokens than this, queries of the trained kind look at nearly all alike.
# In a deep model some layer looks at little enough, and sharper ones would drown it in rounding.
MANY, FEW = 200, 2
# More than all places: each is made once.
MOST = 256


@functools.lru_cache(MOST)
def example_at(place: Place, dtype: str, seed: int = 0) -> ModelExample:
    """The model and the batch at that place, exact in dtype; another seed makes other numbers.

    The first row holds the last ids of the vocabulary, and those at the borders of integers.
    """
    config = place.config
    seed = crc32(f"{seed} {place!r}".encode())
    weights = build_weights("trained", seed, config)
    if place.tokens > MANY and config["n_layer"] <= FEW:
        weights = sharpened(weights, config["n_embd"])
    if place.vocabulary is not None:
        weights = filled(weights, place.vocabulary)
    if dtype not in ("float32", "float64"):
        weights = exact_in(dtype, weights)
    words = place.vocabulary or config["vocab_size"]
    return ModelExample(config, weights, _batch(place, words, seed))


def sharpened(weights: Weights, n_embd: int) -> Weights:
    """The weights with queries four times as large: what is looked at stands out of many keys."""
    sharper = dict(weights)
    for name in weights:
        if ".attn.c_attn." in name:
            sharper[name] = weights[name].copy()
            sharper[name][..., :n_embd] *= 4
    return Weights(sharper, f"sharpened({weights.recipe}, {n_embd})")


def filled(weights: Weights, words: int) -> Weights:
    """The weights with zeros for all rows of the vocabulary's tables from `words` on."""
    names = {"wte.weight", "lm_head.weight"} & weights.keys()
    tables = {name: weights[name].copy() for name in names}
    for table in tables.values():
        table[words:] = 0
    return Weights({**weights, **tables}, f"filled({weights.recipe}, {words})")


def _batch(place: Place, words: int, seed: int) -> Batch:
    lengths = _lengths(place)
    batch = build_batch(place.padding, seed, lengths, place.tokens, words)
    telling = [words - 1, *(id for id in EDGES if id < words - 1)]
    first = np.flatnonzero(batch.mask[0])[: len(telling)]
    tokens: Array = batch.tokens.copy()
    tokens[0, first] = telling[: len(first)]
    return Batch(tokens, batch.mask)


def _lengths(place: Place) -> list[int]:
    """All of the width where nothing is padded; else the first row, and others ever shorter."""
    if place.padding == "none":
        return [place.tokens] * place.rows
    lengths = [place.tokens - 1, place.tokens // 2, 1]
    return [lengths[row % len(lengths)] for row in range(place.rows)]


def examples_at(
    places: Iterable[Place], subject: Subject
) -> "st.SearchStrategy[ModelExample] | None":
    """One of these places each, as far as the subject claims them; None where it claims none.

    As many examples as there are places are all of them; a failing one shrinks to the first that
    fails.
    """
    fitting = claimed(places, subject.claims)
    if not fitting:
        return None
    dtype = subject.dtype
    return st.sampled_from(fitting).map(lambda where: example_at(where, dtype, current_seed()))
