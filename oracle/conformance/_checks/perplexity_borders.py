"""Checks of perplexity over long rows, at windows and strides about powers of two.

Models are small but for one dimension: the context, of 16 to 257 positions, or the vocabulary, of
50257. Rows end at, one before and one after a window's end.
"""

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from oracle.adapters.claims import Claims
from oracle.adapters.subject import Subject
from oracle.conformance._check import Check
from oracle.conformance._checks.perplexity import TextScore, ask, distance, judge
from oracle.conformance._model_examples import exact_in
from oracle.conformance._several import border_check
from oracle.strategies._configs import Config
from oracle.strategies._weights import build_weights

# n_positions, stride, and how many tokens: windows' ends, one before, one after; short and long.
SIZES = (
    (16, 1, 18),
    (16, 15, 48),
    (16, 16, 49),
    (17, 16, 50),
    (33, 32, 66),
    (64, 32, 128),
    (64, 63, 129),
    (64, 64, 130),
    (65, 64, 65),
    (128, 127, 257),
    (129, 128, 400),
    (257, 256, 600),
    (256, 200, 256),
    (256, 256, 257),
)
VOCABULARY = (5, 3, 9, 50257)


def _config(n_positions: int, vocab: int) -> Config:
    return {
        "vocab_size": vocab,
        "n_positions": n_positions,
        "n_embd": 4,
        "n_layer": 1,
        "n_head": 2,
        "n_inner": None,
        "activation_function": "gelu_new",
        "layer_norm_epsilon": 1e-5,
        "scale_attn_weights": True,
        "scale_attn_by_inverse_layer_idx": False,
        "reorder_and_upcast_attn": False,
        "tie_word_embeddings": True,
    }


def _scores(seed: int, claims: Claims, dtype: str) -> Iterator[tuple[str, TextScore]]:
    for n_positions, stride, length, vocab in (*((*size, 11) for size in SIZES), VOCABULARY):
        config = claims.nearest(_config(n_positions, vocab))
        if config["n_positions"] == n_positions:
            label = f"{length} tokens, {n_positions} positions, stride {stride}, vocabulary {vocab}"
            yield label, _score(seed, dtype, config, stride, length)


def _score(seed: int, dtype: str, config: Config, stride: int, length: int) -> TextScore:
    vocab = config["vocab_size"]
    weights = build_weights("trained", seed, config)
    if dtype not in ("float32", "float64"):
        weights = exact_in(dtype, weights)
    tokens = np.random.default_rng([seed, length]).integers(0, vocab, length)
    tokens[1::7] = vocab - 1
    return TextScore(config, weights, tokens, stride)


def _build(subject: Subject) -> Callable[[int], Sequence[tuple[str, TextScore]]]:
    return lambda seed: list(_scores(seed, subject.claims, subject.dtype))


CHECKS: tuple[Check, ...] = (
    border_check(
        "perplexity/long",
        "a text of up to 600 tokens, in windows of up to 257, and a real vocabulary",
        "perplexity",
        _build,
        (ask, judge, distance),
        count=1,
    ),
)
