import numpy as np
import pytest
import torch

from oracle import model
from oracle.mutants._equivalents import EQUIVALENTS
from oracle.strategies._weights import KINDS, build_weights
from tests.helpers.device import DEVICE
from tests.helpers.mutant_examples import some_examples

CONFIG = {"vocab_size": 5, "n_positions": 4, "n_embd": 4, "n_layer": 1, "n_head": 2}
# What is not refused by those that are laxer than the oracle, for ids that have no meaning.
LAX = {"negative-ids-as-indexes": [-1]}
CALLS = [(dtype, cached) for dtype in ("float32", "float64") for cached in (False, True)]


def judged():
    """Six examples with each kind of weights, each in one dtype, at once or in pieces."""
    drawn = [example for kind in KINDS for example in some_examples(6, cut=True, kinds=(kind,))]
    return [(example, *CALLS[i % len(CALLS)]) for i, example in enumerate(drawn)]


def test_there_are_many():
    assert len({equivalent.id for equivalent in EQUIVALENTS}) == len(EQUIVALENTS) >= 22


@pytest.mark.parametrize("equivalent", EQUIVALENTS, ids=lambda e: e.id)
def test_each_is_within_what_rounding_may_do(equivalent):
    for example, dtype, cached in judged():
        example.reference(dtype)
        with equivalent.applied():
            assert example.error(dtype, cached=cached) <= 1, (example.kind, dtype, cached)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@pytest.mark.parametrize("equivalent", EQUIVALENTS, ids=lambda e: e.id)
def test_each_is_so_in_narrow_dtypes_too(equivalent, dtype):
    if dtype not in equivalent.dtypes:
        pytest.skip(f"no honest way to compute in {dtype}")
    for example in some_examples(12, dtype=dtype, cut=True):
        example.reference(dtype)
        with equivalent.applied():
            assert example.error(dtype, cached=True) <= 1, example.kind


@pytest.mark.parametrize("equivalent", EQUIVALENTS, ids=lambda e: e.id)
def test_each_refuses_what_the_oracle_refuses(equivalent):
    made = build_weights("trained", 0, {**model.DEFAULTS, **CONFIG})
    weights = {name: torch.tensor(array, device=DEVICE) for name, array in made.items()}
    for tokens in ([0, 1, 2, 3, 4], [0, 5], [-1]):
        asked = torch.tensor([tokens], device=DEVICE)
        if LAX.get(equivalent.id) == tokens:
            with equivalent.applied():
                assert model.logits(weights, CONFIG, asked).shape == (1, 1, CONFIG["vocab_size"])
            continue
        with equivalent.applied(), pytest.raises(ValueError, match="outside"):
            model.logits(weights, CONFIG, asked)


def test_they_are_not_the_same_arithmetic():
    """Most differ from the oracle in the last places somewhere: so that they test something."""
    example = next(
        e for e, _, _ in judged() if e.config["n_layer"] > 1 and e.batch.tokens.shape[1] > 2
    )
    true, other = example.logits("float32"), []
    for equivalent in EQUIVALENTS:
        with equivalent.applied():
            other.append(not np.array_equal(example.logits("float32"), true, equal_nan=True))
    assert sum(other) > len(other) / 2
