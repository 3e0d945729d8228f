import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oracle import model
from oracle.strategies._configs import configs
from oracle.strategies._weights import KINDS, MAX_SEED, build_weights, weight_shapes, weights
from tests.helpers.strategy_reach import simplest

CONFIG = {
    "vocab_size": 40,
    "n_positions": 12,
    "n_embd": 24,
    "n_layer": 2,
    "n_head": 3,
    "n_inner": 31,
    "tie_word_embeddings": False,
}


@given(configs())
def test_names_and_shapes_are_those_of_a_checkpoint(config):
    assert weight_shapes(config) == model.shapes(config)


@given(configs(), st.sampled_from(list(KINDS)), st.integers(0, MAX_SEED))
def test_every_kind_is_finite_float32_and_repeatable(config, kind, seed):
    made, again = (build_weights(kind, seed, config) for _ in range(2))
    assert {name: array.shape for name, array in made.items()} == weight_shapes(config)
    for name, array in made.items():
        assert array.dtype == np.float32
        assert np.isfinite(array).all()
        assert np.array_equal(array, again[name])


def normed(x):
    return (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-5)


def largest_score(made):
    """The largest attention score of the first layer, before any masking."""
    x = normed(made["wte.weight"].astype(np.float64)) * made["h.0.ln_1.weight"]
    q, k, _ = np.split(x @ made["h.0.attn.c_attn.weight"], 3, axis=-1)
    return np.abs(q[:, :8] @ k[:, :8].T).max() / np.sqrt(8)


@pytest.mark.parametrize("seed", range(5))
def test_each_kind_is_what_its_name_says(seed):
    made = {kind: build_weights(kind, seed, CONFIG) for kind in KINDS}
    c_fc = "h.1.mlp.c_fc.weight"
    assert 0.015 < made["ordinary"][c_fc].std() < 0.025
    assert not made["ordinary"]["h.0.attn.c_attn.bias"].any()
    assert all(np.ptp(array) > 0 for array in made["trained"].values())
    for name in ("wte.weight", "lm_head.weight"):
        even, odd = made["ties"][name][::2], made["ties"][name][1::2]
        assert np.array_equal(even, odd)
        even, odd = made["near_ties"][name][::2], made["near_ties"][name][1::2]
        steps = np.abs(even.view(np.int32) - odd.view(np.int32))
        assert steps.max() == 1
    assert np.median(made["tiny_variance"]["wte.weight"].var(-1)) < 1e-4
    assert np.median(made["trained"]["wte.weight"].var(-1)) > 1e-2
    assert largest_score(made["trained"]) < 100
    assert largest_score(made["huge_scores"]) > 3 * largest_score(made["trained"])
    sizes = np.abs(made["outliers"]["h.0.mlp.c_proj.weight"]).max(0)
    assert sizes.max() > 10 * np.median(sizes)
    tiny = np.finfo(np.float32).tiny
    assert any((np.abs(array) < tiny).all() for array in made["subnormal"].values())


def test_weights_reach_scores_that_a_mask_of_minus_ten_thousand_does_not_hide():
    simplest(weights(CONFIG), lambda made: largest_score(made) > 1e5)


def test_weights_reach_variances_below_layer_norms_epsilon():
    simplest(weights(CONFIG), lambda made: made["wte.weight"].var(-1).max() < 1e-6)


def test_weights_shrink_to_the_first_of_the_kinds_allowed_and_seed_0():
    for kinds, first in ((tuple(KINDS), "ordinary"), (("ties", "trained"), "ties")):
        found = simplest(weights(CONFIG, kinds=kinds), lambda made: True)
        expected = build_weights(first, 0, CONFIG)
        assert all(np.array_equal(found[name], expected[name]) for name in expected)


def test_weights_print_as_the_call_that_remakes_them():
    made = build_weights("trained", 3, CONFIG)
    again = eval(repr(made), {"build_weights": build_weights})
    assert all(np.array_equal(again[name], made[name]) for name in made)
