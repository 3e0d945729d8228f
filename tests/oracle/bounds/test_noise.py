import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from oracle import model
from oracle.bounds._compare import excess
from oracle.bounds._noise import FACTOR, measure, noise_floor
from oracle.bounds._rounding import format_of
from oracle.strategies._configs import configs
from oracle.strategies._tokens import build_batch
from oracle.strategies._weights import KINDS, build_weights, weights
from tests.helpers.device import DEVICE

whole_models = settings(max_examples=settings.default.max_examples // 4)
CONFIG = {
    "vocab_size": 17, "n_positions": 8, "n_embd": 8, "n_layer": 3, "n_head": 2, "n_inner": None,
    "activation_function": "gelu_new", "layer_norm_epsilon": 1e-5, "tie_word_embeddings": True,
}  # fmt: skip
ROW = np.array([3, 1, 4, 1, 5, 9, 2, 6])


def logits(made, config, row, dtype=torch.float32):
    tensors = {
        name: torch.from_numpy(array.copy()).to(DEVICE, dtype) for name, array in made.items()
    }
    with torch.no_grad():
        found = model.logits(tensors, config, torch.from_numpy(row)[None].to(DEVICE))
    return found[0].double().cpu().numpy()


def rearranged(made, config, rng):
    """The same model with the units of each MLP, and the heads, in another order."""
    made = dict(made)
    embd, head = config["n_embd"], config["n_head"]
    for layer in range(config["n_layer"]):
        mlp, attn = f"h.{layer}.mlp", f"h.{layer}.attn"
        order = rng.permutation(len(made[f"{mlp}.c_fc.bias"]))
        made[f"{mlp}.c_fc.weight"] = made[f"{mlp}.c_fc.weight"][:, order]
        made[f"{mlp}.c_fc.bias"] = made[f"{mlp}.c_fc.bias"][order]
        made[f"{mlp}.c_proj.weight"] = made[f"{mlp}.c_proj.weight"][order]
        order = np.arange(embd).reshape(head, -1)[rng.permutation(head)].ravel()
        thrice = np.concatenate([order, order + embd, order + 2 * embd])
        made[f"{attn}.c_attn.weight"] = made[f"{attn}.c_attn.weight"][:, thrice]
        made[f"{attn}.c_attn.bias"] = made[f"{attn}.c_attn.bias"][thrice]
        made[f"{attn}.c_proj.weight"] = made[f"{attn}.c_proj.weight"][order]
    return made


@whole_models
@given(st.data(), configs(), st.sampled_from(["float32", "float64"]))
def test_honest_models_stay_under_it(data, config, dtype):
    """The fused attention of torch, and sums in another order, both in the claimed dtype."""
    made = data.draw(weights(config))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    row = rng.integers(0, config["vocab_size"], data.draw(st.integers(1, config["n_positions"])))
    measured = measure(made, config, row, dtype=dtype, device=DEVICE)
    for honest in (made, rearranged(made, config, rng)):
        computed = logits(honest, config, row, getattr(torch, dtype))
        assert excess(computed, measured.logits, measured.allowed()) <= 1


def transposed(made):
    return made | {name: made[name].T for name in made if name.endswith("attn.c_proj.weight")}


def swapped(made):
    def other(name):
        return name.replace("h.0.", "h.x.").replace("h.1.", "h.0.").replace("h.x.", "h.1.")

    return {name: made[other(name)] for name in made}


def without(part):
    return lambda made: {
        name: np.zeros_like(array) if part in name else array for name, array in made.items()
    }


# Bugs that a wrong config, or wrongly read weights, amount to; and how many times what is allowed
# they exceed at the least, for ordinary weights or for trained ones, whichever shows them better.
BUGS = {
    "gelu-erf": ({"activation_function": "gelu"}, dict, 10),
    "eps-1e-6": ({"layer_norm_epsilon": 1e-6}, dict, 1000),
    "scale-forgotten": ({"scale_attn_weights": False}, dict, 5000),
    "scale-by-layer": ({"scale_attn_by_inverse_layer_idx": True}, dict, 5000),
    "conv1d-transposed": ({}, transposed, 20_000),
    "layers-file-order": ({}, swapped, 20_000),
    "bias-ignored": ({}, without("c_attn.bias"), 10_000),
    "wpe-skipped": ({}, without("wpe.weight"), 20_000),
}


@pytest.mark.parametrize("bug", BUGS)
def test_bugs_exceed_it_by_far(bug):
    """In float64, so that all that is seen is the bug."""
    fields, misread, least = BUGS[bug]
    config = CONFIG | {"scale_attn_weights": True, "scale_attn_by_inverse_layer_idx": False}
    worst = {}
    for kind in ("ordinary", "trained"):
        found = []
        for seed in range(3):
            made = build_weights(kind, seed, config)
            measured = measure(made, config, ROW, dtype="float32", device=DEVICE)
            wrong = logits(misread(made), config | fields, ROW, torch.float64)
            found.append(excess(wrong, measured.logits, measured.allowed()))
        worst[kind] = min(found)
    assert max(worst.values()) > least


@pytest.mark.parametrize("kind", ["ordinary", "trained", "outliers", "tiny_variance"])
def test_it_is_not_far_above_honest_errors(kind):
    """Within 5 times the error of a float32 run (not the one it was measured with), on average."""
    ratios = []
    for seed in range(10):
        made = build_weights(kind, seed, CONFIG)
        measured = measure(made, CONFIG, ROW, dtype="float32", device=DEVICE)
        other = rearranged(made, CONFIG, np.random.default_rng(seed))
        error = np.abs(logits(other, CONFIG, ROW) - measured.logits).max()
        ratios.append(measured.floors["logits", None] / error)
    assert np.median(ratios) < 5


@pytest.mark.parametrize("kind", KINDS)
def test_it_shrinks_with_the_unit_roundoff(kind):
    made = build_weights(kind, 0, CONFIG)
    narrow, wide = (
        measure(made, CONFIG, ROW, dtype=dtype, device=DEVICE).allowed()
        for dtype in ("float32", "float64")
    )
    assert wide < narrow * 2.0**-18


def test_it_is_repeatable_and_at_least_one_rounding():
    made = build_weights("trained", 0, CONFIG)
    once, again = (measure(made, CONFIG, ROW, dtype="float32", device=DEVICE) for _ in range(2))
    assert once.floors == again.floors
    for key, value in once.values.items():
        largest = np.abs(value[np.isfinite(value)]).max()
        assert once.floors[key] >= largest * format_of("float32").unit
        assert once.allowed(*key) == FACTOR * once.floors[key]


def test_where_the_claimed_dtype_overflows_nothing_is_promised():
    made = build_weights("trained", 0, CONFIG)
    made["ln_f.weight"] *= np.float32(1e38)
    made["ln_f.bias"] *= np.float32(1e38)
    made["wte.weight"] *= np.float32(100)
    assert measure(made, CONFIG, ROW, dtype="float32", device=DEVICE).allowed() == np.inf
    assert measure(made, CONFIG, ROW, dtype="float64", device=DEVICE).allowed() < np.inf


def test_arrays_that_may_not_be_written_to_will_do():
    made = build_weights("trained", 0, CONFIG)
    expected = measure(made, CONFIG, ROW, dtype="float32", device=DEVICE)
    patch = {("ln_f", None): expected.values["ln_f", None]}
    for array in (*made.values(), *patch.values()):
        array.flags.writeable = False
    again = measure(made, CONFIG, ROW, dtype="float32", patches=patch, device=DEVICE)
    assert np.array_equal(again.logits, expected.logits)


def test_patches_replace_activations():
    made = build_weights("trained", 0, CONFIG)
    plain = measure(made, CONFIG, ROW, dtype="float32", device=DEVICE)
    zeros = {("mlp_out", layer): np.zeros((1, 8, 8)) for layer in range(3)}
    patched = measure(made, CONFIG, ROW, dtype="float32", patches=zeros, device=DEVICE)
    ablated = measure(without("mlp.c_proj")(made), CONFIG, ROW, dtype="float32", device=DEVICE)
    assert np.array_equal(patched.logits, ablated.logits)
    assert not np.array_equal(patched.logits, plain.logits)


def test_a_batch_is_measured_row_by_row_without_its_padding():
    made = build_weights("trained", 0, CONFIG)
    batch = build_batch("anywhere", 0, [3, 5, 0], 6, 17)
    found, allowed = noise_floor(
        made, CONFIG, batch.tokens, batch.mask, dtype="float32", device=DEVICE
    )
    for index, row in enumerate(batch.rows[:2]):
        alone = measure(made, CONFIG, row, dtype="float32", device=DEVICE)
        assert np.array_equal(found[index][batch.mask[index]], alone.logits)
        assert allowed[index] == alone.allowed()
    assert np.isnan(found[~batch.mask]).all()
    assert allowed[2] == 0
