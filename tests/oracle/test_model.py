import contextlib
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils._python_dispatch import TorchDispatchMode

from oracle import model
from oracle.bounds._noise import FACTOR, measure, noise_floor
from oracle.strategies._configs import configs
from oracle.strategies._tokens import batches, chunkings
from oracle.strategies._weights import build_weights, weight_shapes, weights

MODELS = settings(max_examples=50)
BLOCK = [
    *("resid_pre", "ln_1_scale", "ln_1", "query", "key", "value", "scores", "pattern", "head_out"),
    *("attn_out", "resid_mid", "ln_2_scale", "ln_2", "mlp_pre", "mlp_post", "mlp_out"),
    "resid_post",
]
TINY = {"vocab_size": 5, "n_positions": 4, "n_embd": 6, "n_layer": 2, "n_head": 2}


def tiny_weights(dtype=torch.float64, seed=0, **options):
    generator = torch.Generator().manual_seed(seed)
    shapes = model.shapes({**TINY, **options})
    return {n: torch.randn(s, generator=generator, dtype=dtype) for n, s in shapes.items()}


def tensors(arrays):
    return {name: torch.from_numpy(array.astype(np.float64)) for name, array in arrays.items()}


@given(configs())
def test_shapes_are_those_of_a_checkpoint(config):
    assert model.shapes(config) == weight_shapes(config)


def test_shapes_of_the_smallest_release_by_default():
    shapes = model.shapes({})
    assert sum(math.prod(shape) for shape in shapes.values()) == 124_439_808
    assert len(shapes) == 148


def test_no_layers_is_two_tables_and_a_norm_by_hand():
    config = {"vocab_size": 2, "n_positions": 2, "n_embd": 2, "n_layer": 0, "n_head": 1}
    config |= {"layer_norm_epsilon": 0.0}
    named = {
        "wte.weight": torch.tensor([[2.0, 0.0], [0.0, 4.0]]),
        "wpe.weight": torch.tensor([[0.0, 0.0], [8.0, 0.0]]),
        "ln_f.weight": torch.tensor([1.0, 3.0]),
        "ln_f.bias": torch.tensor([0.0, 1.0]),
    }
    # (2, 0) and (8, 4) both normalise to (1, -1), so to (1, -2).
    found = model.forward(named, config, torch.tensor([[0, 1]]))
    assert found.hidden.tolist() == [[[1, -2], [1, -2]]]
    assert found.logits.tolist() == [[[2, -8], [2, -8]]]
    untied = named | {"lm_head.weight": torch.tensor([[1.0, 1.0], [0.0, 1.0]])}
    config |= {"tie_word_embeddings": False}
    assert model.logits(untied, config, torch.tensor([[0]])).tolist() == [[[-1, -2]]]


@MODELS
@given(st.data(), configs())
def test_cached_in_any_pieces_is_uncached(data, config):
    arrays = data.draw(weights(config))
    batch = data.draw(batches(config, empty_rows=True))
    reference, allowed = noise_floor(arrays, config, batch.tokens, batch.mask, dtype="float64")
    tokens, mask = torch.from_numpy(batch.tokens), torch.from_numpy(batch.mask)
    past, found, start = None, [], 0
    for size in data.draw(chunkings(tokens.shape[1])):
        piece = slice(start, start + size)
        out = model.forward(
            tensors(arrays), config, tokens[:, piece], mask=mask[:, piece], past=past
        )
        past, start = out.past, start + size
        found.append(out.logits)
    found = torch.cat(found, 1).numpy()
    assert not np.isnan(found).any()
    real = batch.mask
    error = np.abs(found - reference)
    assert (error <= allowed)[real].all(), (error / allowed)[real].max()


@MODELS
@given(st.data(), configs())
def test_watching_changes_nothing_but_rounding(data, config):
    arrays = data.draw(weights(config))
    row = data.draw(batches(config, max_rows=1, paddings=["none"])).tokens[0]
    measured = measure(arrays, config, row, dtype="float64")
    fused = model.logits(tensors(arrays), config, torch.from_numpy(row)[None])[0].numpy()
    assert np.abs(fused - measured.logits).max() <= measured.allowed()


@pytest.mark.parametrize("scaled", [True, False])
@pytest.mark.parametrize("by_layer", [True, False])
def test_flags_scale_the_scores(scaled, by_layer):
    flags = {"scale_attn_weights": scaled, "scale_attn_by_inverse_layer_idx": by_layer}
    seen = watch(tiny_weights(), TINY | flags, torch.tensor([[1, 2, 3]]))
    for layer in range(2):
        query, key = seen["query", layer], seen["key", layer]
        divisor = (math.sqrt(3) if scaled else 1) * (layer + 1 if by_layer else 1)
        expected = query @ key.mT / divisor
        found = seen["scores", layer]
        looks = found != -torch.inf
        assert torch.equal(looks, torch.ones(3, 3, dtype=torch.bool).tril().expand(1, 2, 3, 3))
        # A quotient, or a product with a rounded reciprocal: three roundings apart.
        slack = 3 * torch.finfo(torch.float64).eps * expected.abs()
        assert ((found - expected).abs() <= slack)[looks].all()


def watch(named, config, tokens, **options):
    seen = {}

    def tap(name, layer, tensor):
        seen[name, layer] = tensor
        return tensor

    model.forward(named, config, tokens, tap=tap, **options)
    return seen


def test_taps_come_in_order_with_their_shapes():
    seen = watch(tiny_weights(), TINY, torch.tensor([[1, 2, 3], [0, 0, 4]]))
    names = [("token_embedding", None), ("position_embedding", None)]
    names += [(name, layer) for layer in range(2) for name in BLOCK]
    names += [(name, None) for name in ("ln_f_scale", "ln_f", "logits")]
    assert list(seen) == names
    shapes = {name: tuple(tensor.shape) for (name, _), tensor in seen.items()}
    heads = {"query", "key", "value", "head_out"}
    assert {shapes.pop(name) for name in heads} == {(2, 2, 3, 3)}
    assert {shapes.pop(name) for name in ("scores", "pattern")} == {(2, 2, 3, 3)}
    assert {shapes.pop(name) for name in ("mlp_pre", "mlp_post")} == {(2, 3, 24)}
    assert {shapes.pop(f"{name}_scale") for name in ("ln_1", "ln_2", "ln_f")} == {(2, 3, 1)}
    assert shapes.pop("logits") == (2, 3, 5)
    assert set(shapes.values()) == {(2, 3, 6)}


def test_the_residual_stream_is_the_sum_of_what_is_added():
    seen = watch(tiny_weights(), TINY, torch.tensor([[1, 2, 3]]))
    start = seen["token_embedding", None] + seen["position_embedding", None]
    assert torch.equal(seen["resid_pre", 0], start)
    assert torch.equal(seen["resid_pre", 1], seen["resid_post", 0])
    for i in range(2):
        assert torch.equal(seen["resid_mid", i], seen["resid_pre", i] + seen["attn_out", i])
        assert torch.equal(seen["resid_post", i], seen["resid_mid", i] + seen["mlp_out", i])


def test_a_scale_is_what_its_norm_divides_by_whoever_gave_it():
    """Twice the scale, half of the norm but its bias: exact, since only a power of two differs."""
    named, tokens = tiny_weights(), torch.tensor([[1, 2, 3]])

    def through(change):
        def tap(name, layer, tensor):
            seen[name, layer] = change(tensor) if name.endswith("_scale") else tensor
            return named["wte.weight"][tokens] if name == "resid_mid" else seen[name, layer]

        seen = {}
        model.forward(named, TINY, tokens, tap=tap)
        return seen

    zeros = {name: torch.zeros_like(w) for name, w in named.items() if name.endswith("ln_2.bias")}
    named |= zeros
    once, twice = through(lambda scale: 1 * scale), through(lambda scale: 2 * scale)
    for layer in range(2):
        read = named["wte.weight"][tokens]
        below = read - read.mean(-1, keepdim=True)
        scale = ((below**2).mean(-1, keepdim=True) + 1e-5).sqrt()
        # Two sums of six terms, in whatever order, and a few roundings.
        slack = 32 * torch.finfo(torch.float64).eps
        assert ((once["ln_2_scale", layer] - scale).abs() <= slack * scale).all()
        assert torch.equal(twice["ln_2", layer], once["ln_2", layer] / 2)
        assert once["ln_2", layer].any()


@pytest.mark.parametrize(
    "name", [*BLOCK, "token_embedding", "position_embedding", "ln_f_scale", "ln_f"]
)
def test_a_tap_may_replace_what_follows(name):
    def zero(seen, layer, tensor):
        return torch.zeros_like(tensor) if seen == name else tensor

    tokens = torch.tensor([[1, 2, 3]])
    plain = model.logits(tiny_weights(), TINY, tokens)
    assert not torch.equal(plain, model.logits(tiny_weights(), TINY, tokens, tap=zero))


def test_the_past_is_a_value():
    named = tiny_weights()
    first = model.forward(named, TINY, torch.tensor([[1, 2]]))
    before = [tensor.clone() for tensor in (*first.past.keys, *first.past.values)]
    one = model.logits(named, TINY, torch.tensor([[3]]), past=first.past)
    other = model.logits(named, TINY, torch.tensor([[4]]), past=first.past)
    again = model.logits(named, TINY, torch.tensor([[3]]), past=first.past)
    assert torch.equal(one, again)
    assert not torch.equal(one, other)
    assert all(map(torch.equal, before, (*first.past.keys, *first.past.values)))


def test_positions_can_be_given():
    named, tokens = tiny_weights(), torch.tensor([[1, 2]])
    plain = model.logits(named, TINY, tokens)
    assert torch.equal(plain, model.logits(named, TINY, tokens, positions=torch.tensor([[0, 1]])))
    moved = model.logits(named, TINY, tokens, positions=torch.tensor([[2, 1]]))
    assert not torch.equal(plain, moved)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"tokens": [[0] * 5]}, r"position 4 is outside 0\.\.3; give at most n_positions = 4"),
        ({"tokens": [[0]], "positions": [[-1]]}, r"position -1 is outside 0\.\.3"),
        ({"tokens": [[5]]}, r"id 5 is outside the table, 0\.\.4"),
        ({"tokens": [[-1]]}, r"id -1 is outside"),
        ({"tokens": [0]}, r"tokens have shape \(1,\); expected \(batch, query\)"),
        ({"tokens": [[0, 1]], "mask": [[True]]}, r"mask has shape \(1, 1\); expected that of"),
        ({"tokens": [[0, 1]], "positions": [[0]]}, r"positions has shape \(1, 1\)"),
    ],
)
def test_errors(options, message):
    given_ = {name: torch.tensor(value) for name, value in options.items()}
    with pytest.raises(ValueError, match=message):
        model.forward(tiny_weights(), TINY, given_.pop("tokens"), **given_)


def test_the_cache_counts_towards_the_positions():
    named = tiny_weights()
    past = model.forward(named, TINY, torch.tensor([[0, 1, 2]])).past
    model.forward(named, TINY, torch.tensor([[3]]), past=past)
    with pytest.raises(ValueError, match="position 4 is outside"):
        model.forward(named, TINY, torch.tensor([[3, 3]]), past=past)


@pytest.mark.parametrize("tied", [True, False])
def test_a_gradient_reaches_every_weight_and_is_the_numeric_one(tied):
    config = TINY | {"tie_word_embeddings": tied, "n_layer": 1, "n_inner": 3}
    named = tiny_weights(**config)
    names = list(named)
    tokens = torch.tensor([[1, 2, 3, 0], [4, 0, 1, 2]])
    mask = torch.tensor([[True] * 4, [False, True, True, False]])

    def function(*values):
        return model.logits(dict(zip(names, values, strict=True)), config, tokens, mask=mask)

    values = [named[name].requires_grad_() for name in names]
    function(*values).square().sum().backward()
    for name in names:
        assert named[name].grad.isfinite().all(), name
        assert named[name].grad.any(), name
    assert torch.autograd.gradcheck(function, values, fast_mode=True)


class OnlyOn(TorchDispatchMode):
    """Fails on any operation that makes a tensor on another device."""

    def __init__(self, device):
        super().__init__()
        self.device = device

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        out = function(*args, **(kwargs or {}))
        for tensor in out if isinstance(out, (tuple, list)) else [out]:
            if isinstance(tensor, torch.Tensor):
                assert tensor.device.type == self.device, function
        return out


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
@pytest.mark.parametrize("tapped", [True, False])
@pytest.mark.parametrize("upcast", [True, False])
def test_makes_no_tensor_on_another_device(dtype, tapped, upcast):
    config = TINY | {"reorder_and_upcast_attn": upcast}
    named = {n: torch.empty(s, dtype=dtype, device="meta") for n, s in model.shapes(config).items()}
    tokens = torch.empty(2, 3, dtype=torch.int64, device="meta")
    mask = torch.empty(2, 3, dtype=torch.bool, device="meta")
    tap = (lambda name, layer, tensor: tensor) if tapped else None
    with OnlyOn("meta"):
        out = model.forward(named, config, tokens, mask=mask, tap=tap)
        more = model.forward(named, config, tokens[:, :1], past=out.past, tap=tap)
    assert out.logits.shape == (2, 3, 5)
    assert more.logits.shape == (2, 1, 5)
    assert more.logits.dtype == dtype
    assert more.past.keys[1].shape == (2, 2, 4, 3)
    with contextlib.suppress(AssertionError), OnlyOn("meta"):
        torch.zeros(1)
        pytest.fail("a tensor on the CPU went unnoticed")


@MODELS
@given(configs(reorder_and_upcast_attn=True), st.integers(0, 9), st.data())
def test_in_float32_it_is_within_the_noise_of_float64(config, seed, data):
    arrays = build_weights("trained", seed, config)
    row = data.draw(batches(config, max_rows=1, paddings=["none"])).tokens[0]
    measured = measure(arrays, config, row, dtype="float32")
    single = {name: torch.from_numpy(array) for name, array in arrays.items()}
    found = model.logits(single, config, torch.from_numpy(row)[None])
    assert found.dtype == torch.float32
    floor = FACTOR * measured.floors["logits", None]
    assert np.abs(found[0].double().numpy() - measured.logits).max() <= floor
