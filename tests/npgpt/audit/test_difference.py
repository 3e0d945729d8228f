"""Where two models first differ: at the activation that uses the weight that was changed."""

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from npgpt._config import Config
from npgpt._gpt import GPT
from npgpt.audit import saved
from npgpt.audit._difference import Difference, compare_traces
from npgpt.audit._noise_floor import noise_floors
from npgpt.audit.interventions import zero
from npgpt.audit.saved import Saved
from npgpt.audit.sites import head
from npgpt.errors import SettingError
from npgpt.model._forward import forward
from npgpt.model._parameters import from_arrays, shapes, to_arrays
from npgpt.trace import Recorder, keys
from tests.helpers.small_gpt import CONFIG, small_gpt_in
from tests.helpers.tiny_models import whole_models
from tests.helpers.traced_models import traced_models

TOKENS = [3, 1, 4, 1, 5]
WIDTH = CONFIG.n_embd
# The weight, the column that is changed, and the first activation that it is used for.
USED = [
    ("wte.weight", 0, ("token_embedding", None)),
    ("wpe.weight", 0, ("position_embedding", None)),
    ("h.{}.ln_1.weight", 0, "ln_1"),
    ("h.{}.ln_1.bias", 0, "ln_1"),
    ("h.{}.attn.c_attn.weight", 0, "query"),
    ("h.{}.attn.c_attn.weight", WIDTH, "key"),
    ("h.{}.attn.c_attn.bias", 2 * WIDTH, "value"),
    ("h.{}.attn.c_proj.weight", 0, "attn_out"),
    ("h.{}.attn.c_proj.bias", 0, "attn_out"),
    ("h.{}.ln_2.weight", 0, "ln_2"),
    ("h.{}.mlp.c_fc.weight", 0, "mlp_pre"),
    ("h.{}.mlp.c_proj.weight", 0, "mlp_out"),
    ("ln_f.weight", 0, ("ln_f", None)),
    ("ln_f.bias", 0, ("ln_f", None)),
]


def changed(gpt, name, column):
    arrays = to_arrays(gpt.parameters)
    arrays[name] = arrays[name].copy()
    arrays[name][..., column] += 0.25
    return dataclasses.replace(gpt, parameters=from_arrays(arrays, gpt.config))


def trace(folder, gpt, tokens=TOKENS, names="*", **options):
    saved.save(folder, gpt, tokens, names, **options)
    return saved.load(folder)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("layer", [0, 1])
@pytest.mark.parametrize(("name", "column", "first"), USED)
def test_the_first_difference_is_where_the_changed_weight_is_used(
    tmp_path, name, column, first, layer, dtype
):
    gpt = small_gpt_in(dtype)
    other = changed(gpt, name.format(layer), column)
    found = compare_traces(trace(tmp_path / "a", gpt), trace(tmp_path / "b", other))
    assert (found.first.name, found.first.layer) == (
        (first, layer) if isinstance(first, str) else first
    )
    assert all(
        each.largest == 0 for each in found.differences[: found.differences.index(found.first)]
    )


def test_the_first_difference_is_where_the_run_was_changed(tmp_path):
    gpt = small_gpt_in("float32")
    plain, cut = (
        trace(tmp_path / "a", gpt),
        trace(tmp_path / "b", gpt, tap=zero(head(CONFIG, 1, 1))),
    )
    first = compare_traces(plain, cut).first
    assert (first.name, first.layer, first.at[1]) == ("head_out", 1, 1)
    assert first.largest == np.abs(plain.trace["head_out", 1][:, 1]).max()


def in_memory(config, parameters, tokens):
    recorded = Recorder()
    forward(tokens, parameters, config, tap=recorded)
    return Saved(
        recorded, tokens, config, noise_floors(recorded.arrays, tokens, parameters, config)
    )


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_run_is_its_own(tmp_path, dtype):
    gpt = small_gpt_in(dtype)
    found = compare_traces(trace(tmp_path / "a", gpt), trace(tmp_path / "b", gpt))
    assert found.first is None
    assert all(each.largest == 0 and each.at is None for each in found.differences)
    assert [(each.name, each.layer) for each in found.differences] == keys(gpt.config.n_layer)


@whole_models
@given(traced_models())
def test_rounding_is_within_the_floor(traced):
    """The same weights, exact in float32, computed in both."""
    model, tokens, _ = traced
    config, found = model.arguments[1], []
    for dtype in ("float32", "float64"):
        arrays = {n: a.astype(np.float32).astype(dtype) for n, a in model.weights.items()}
        found.append(in_memory(config, from_arrays(arrays, config), tokens))
    assert compare_traces(*found).first is None


@whole_models
@given(traced_models(), st.permutations(range(6)))
def test_another_order_of_sums_is_within_the_floor(traced, order):
    """The neurons of each MLP in another order: the same model, rounded otherwise."""
    model, tokens, _ = traced
    config, found = model.arguments[1], []
    order = np.array([i for i in order if i < config.inner] + list(range(6, config.inner)))
    for neurons in (np.arange(config.inner), order):
        arrays = to_arrays(model.arguments[0])
        for layer in range(config.n_layer):
            mlp = f"h.{layer}.mlp"
            for name in (f"{mlp}.c_fc.weight", f"{mlp}.c_fc.bias"):
                arrays[name] = arrays[name][..., neurons]
            arrays[f"{mlp}.c_proj.weight"] = arrays[f"{mlp}.c_proj.weight"][neurons]
        found.append(in_memory(config, from_arrays(arrays, config), tokens))
    for each in found:  # whose neurons do not stand beside one another
        for key in [key for key in each.trace.arrays if key[0] in ("mlp_pre", "mlp_post")]:
            del each.trace.arrays[key]
    assert compare_traces(*found).first is None


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_another_order_of_sums_is_within_the_floor_where_few_numbers_are_rounded(dtype):
    """One token: the pass in the other dtype may happen to be exact."""
    config = Config(vocab_size=9, n_positions=4, n_embd=4, n_layer=1, n_head=1, n_inner=16)
    for seed in range(60):
        rng, found = np.random.default_rng(seed), []
        arrays = {
            name: rng.normal(0, 3, shape).astype(np.float32).astype(dtype)
            for name, shape in shapes(config).items()
        }
        for order in (slice(None), slice(None, None, -1)):
            turned = dict(arrays)
            for name in ("c_fc.weight", "c_fc.bias"):
                turned[f"h.0.mlp.{name}"] = arrays[f"h.0.mlp.{name}"][..., order].copy()
            turned["h.0.mlp.c_proj.weight"] = arrays["h.0.mlp.c_proj.weight"][order].copy()
            found.append(in_memory(config, from_arrays(turned, config), np.array([[seed % 9]])))
            for name in ("mlp_pre", "mlp_post"):
                del found[-1].trace.arrays[name, 0]
        assert compare_traces(*found).first is None, seed


@pytest.mark.parametrize(
    ("largest", "floor", "ratio"),
    [(0.0, 0.0, 0.0), (1.0, 0.0, math.inf), (1.0, 2.0, 0.5), (math.inf, 1.0, math.inf),
     (math.inf, math.inf, 0.0)],
)  # fmt: skip
def test_the_ratio(largest, floor, ratio):
    assert Difference("ln_f", None, largest, None, floor).ratio == ratio


def test_what_one_of_them_lacks_is_said(tmp_path):
    gpt = small_gpt_in("float32")
    a = trace(tmp_path / "a", gpt, names=["ln_1", "logits"])
    b = trace(tmp_path / "b", gpt, names=["logits", "ln_2.1"])
    found = compare_traces(a, b)
    assert [(each.name, each.layer) for each in found.differences] == [("logits", None)]
    assert (found.only_a, found.only_b) == ([("ln_1", 0), ("ln_1", 1)], [("ln_2", 1)])
    with pytest.raises(SettingError, match="no activation is in both"):
        compare_traces(a, trace(tmp_path / "c", gpt, names="mlp_out"))


def test_other_tokens_are_a_named_error(tmp_path):
    gpt = small_gpt_in("float32")
    a, b = (
        trace(tmp_path / "a", gpt, names="ln_f"),
        trace(tmp_path / "b", gpt, [3, 1, 9, 1, 5], "ln_f"),
    )
    with pytest.raises(SettingError, match="token 2 of row 0 is 4 in a and 9 in b"):
        compare_traces(a, b)
    with pytest.raises(SettingError, match=r"tokens of a are \(1, 5\)"):
        compare_traces(a, trace(tmp_path / "c", gpt, [3, 1], "ln_f"))


def test_other_configs(tmp_path):
    gpt = small_gpt_in("float32")
    relu = dataclasses.replace(CONFIG, activation_function="relu", pad_token_id=7)
    found = compare_traces(
        trace(tmp_path / "a", gpt), trace(tmp_path / "b", GPT(relu, gpt.parameters))
    )
    assert found.config == [("activation_function", "gelu_new", "relu")]
    assert (found.first.name, found.first.layer) == ("mlp_post", 0)
    wide = dataclasses.replace(CONFIG, n_head=4)
    with pytest.raises(SettingError, match="n_head is 2 in a and 4 in b"):
        compare_traces(saved.load(tmp_path / "a"), trace(tmp_path / "c", GPT(wide, gpt.parameters)))


def test_nan_is_no_difference_from_itself_and_an_infinite_one_from_a_number():
    def of(value, floor):
        array = np.ones((1, 1, 8), np.float32)
        array[0, 0, 3] = value
        arrays = {("ln_f", None): array}
        return Saved(Recorder(("ln_f",), arrays), np.array([[1]]), CONFIG, {("ln_f", None): floor})

    assert compare_traces(of(np.nan, 0.0), of(np.nan, 0.0)).first is None
    first = compare_traces(of(np.nan, 0.0), of(2.0, 1.0)).first
    assert (first.largest, first.at) == (math.inf, (0, 0, 3))
