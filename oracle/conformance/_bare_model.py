"""A model whose parts all sleep, and how exactly a number is read from its logits."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from oracle import model
from oracle.adapters.guard import GARBLED, RAISED, Misbehaviour
from oracle.adapters.subject import Subject
from oracle.bounds._rounding import Array, format_of, gamma
from oracle.conformance._model_examples import ModelExample, exact_in, in_dtype, not_logits
from oracle.strategies._configs import Config
from oracle.strategies._tokens import Batch
from oracle.strategies._weights import Weights, weight_shapes


def exact(subject: Subject, array: Any) -> Array:
    """In float64, rounded to float32 and to the subject's dtype, as weights are."""
    return in_dtype(subject.dtype, np.array(array, np.float32)).astype(np.float64)


def pairs(count: int) -> Array:
    """(count, 2 count): row i is 1 at its own pair's first place and −1 at its second."""
    return np.kron(np.eye(count), [1.0, -1.0])


def sized(
    config: Mapping[str, Any], n_embd: int, n_head: int, vocab: int, length: int = 1, **fixed: Any
) -> Config:
    """The switches of config, with one layer and a tied head, in these sizes."""
    sizes = {"n_embd": n_embd, "n_head": n_head, "vocab_size": vocab, "n_positions": length}
    usual = {"n_layer": 1, "n_inner": None, "tie_word_embeddings": True}
    return {**model.DEFAULTS, **config, **usual, **sizes, **fixed}


def asleep(config: Config) -> dict[str, Array]:
    """Weights of a model that adds nothing to its embeddings: zeros, and ones as gains."""
    shapes = weight_shapes(config).items()
    gains = ("ln_1.weight", "ln_2.weight", "ln_f.weight")
    return {n: np.ones(shape) if n.endswith(gains) else np.zeros(shape) for n, shape in shapes}


def ask(subject: Subject, config: Config, arrays: dict[str, Array], length: int = 1) -> Array:
    """The logits (length, vocab), float64, of token 0 again and again.

    Vocabulary, positions and layers are made up to what is claimed, with zeros and with layers that
    sleep; where the rest of the config is not claimed, it is a Misbehaviour that refuses.
    """
    claimed, arrays = within_claims(subject, config, arrays)
    narrow = Weights({n: array.astype(np.float32) for n, array in arrays.items()}, "a reading")
    batch = Batch(np.zeros((1, length), np.int64), np.ones((1, length), bool))
    example = ModelExample(claimed, exact_in(subject.dtype, narrow), batch)
    answer = example.ask(subject)
    if wrong := not_logits(example, answer):
        raise Misbehaviour(GARBLED, wrong)
    return answer[0, :, : config["vocab_size"]].astype(np.float64)


def within_claims(
    subject: Subject, config: Config, arrays: Mapping[str, Array]
) -> tuple[Config, dict[str, Array]]:
    """The config with as many tokens, positions and layers as are claimed, and weights for that."""
    claimed = subject.claims.nearest(config)
    made_up = ("vocab_size", "n_positions", "n_layer")
    for name, value in config.items():
        if claimed[name] != value and not (name in made_up and claimed[name] > value):
            raise Misbehaviour(RAISED, f"NotImplementedError: {name} {value!r} is not claimed")
    wider = asleep(claimed)
    for name, array in arrays.items():
        wider[name][: len(array)] = array
    return claimed, wider


def ratios(logits: Array) -> Array:
    """Of each token from 2 on to token 1; token 0 is the one that is put in."""
    with np.errstate(all="ignore"):
        return logits[:, 2:] / logits[:, 1:2]


def both(bound: Any, dtype: str, *arrays: Array, **options: Any) -> Array:
    """What rounding may do to the subject's part and to the oracle's, which is float64."""
    return sum(bound(*arrays, dtype=name, **options) for name in (dtype, "float64"))


def reading_error(size: Array, total: float, config: Config, dtype: str) -> Array:
    """How far off the reading of numbers of that size is; total: the sum of all |r|."""
    form, n = format_of(dtype), config["n_embd"]
    mean = gamma(n, dtype) * total / n
    return gamma(8, dtype) * size + 4 * form.unit * mean + 4 * form.subnormal * total
