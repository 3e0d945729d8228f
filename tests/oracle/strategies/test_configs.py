import json

import pytest
from hypothesis import given

from oracle.strategies._configs import ACTIVATIONS, EPSILONS, configs, inner_width
from tests.helpers.strategy_reach import simplest

SIMPLEST = {
    "vocab_size": 1,
    "n_positions": 1,
    "n_embd": 1,
    "n_layer": 0,
    "n_head": 1,
    "n_inner": None,
    "activation_function": "gelu_new",
    "layer_norm_epsilon": 1e-5,
    "scale_attn_weights": True,
    "scale_attn_by_inverse_layer_idx": False,
    "reorder_and_upcast_attn": False,
    "tie_word_embeddings": True,
}


@given(configs())
def test_every_config_is_consistent_plain_data(config):
    assert config.keys() == SIMPLEST.keys()
    assert json.loads(json.dumps(config)) == config
    assert config["n_embd"] % config["n_head"] == 0
    assert inner_width(config) >= 1
    assert config["layer_norm_epsilon"] > 0


def test_configs_shrink_to_no_layers_of_width_1_with_the_flags_of_the_released_models():
    assert simplest(configs(), lambda config: True) == SIMPLEST


WANTED = (
    {"n_embd": 1, "n_layer": 1},
    {"n_embd": 5, "n_head": 1, "n_layer": 1},
    {"n_embd": 3, "n_head": 3},
    {"n_embd": 15, "n_head": 3, "n_inner": 11},
    {"n_layer": 3, "n_inner": None},
    {"n_inner": 7},
    {"n_inner": 1},
    {"vocab_size": 1},
    {"vocab_size": 17, "n_positions": 10},
    {"n_positions": 1},
    {
        "scale_attn_weights": False,
        "scale_attn_by_inverse_layer_idx": True,
        "reorder_and_upcast_attn": True,
        "tie_word_embeddings": False,
    },
    *({"activation_function": name} for name in ACTIVATIONS),
    *({"layer_norm_epsilon": eps} for eps in EPSILONS),
)


@pytest.mark.parametrize("wanted", WANTED, ids=str)
def test_configs_reach(wanted):
    """And whatever else is not asked for shrinks to the simplest."""
    found = simplest(configs(), lambda config: wanted.items() <= config.items())
    free = {name: value for name, value in SIMPLEST.items() if name not in wanted}
    for name in ("vocab_size", "n_positions", "activation_function", "tie_word_embeddings"):
        assert found[name] == free.get(name, found[name])


@given(configs(n_layer=2, activation_function="relu"))
def test_fixed_fields_stay_fixed(config):
    assert (config["n_layer"], config["activation_function"]) == (2, "relu")


def test_a_field_that_does_not_exist_is_refused():
    with pytest.raises(ValueError, match="n_layers"):
        simplest(configs(n_layers=2), lambda config: True)
