import dataclasses

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from npgpt._config import Config
from npgpt.audit._attribution import attribute
from npgpt.audit._frozen_norm import before_norm, unembedding
from npgpt.audit.interventions import add, knock_out, mean, patch, replace, resample, zero
from npgpt.audit.sites import head, mlp, neuron, parse, site
from npgpt.errors import SettingError
from npgpt.model._forward import forward
from npgpt.model._parameters import from_arrays, to_arrays
from npgpt.trace import INSIDE_BLOCKS, Recorder, compose
from oracle.bounds._rounding import gamma
from tests.helpers.tiny_models import rows, tiny_models, whole_models
from tests.helpers.traced_models import one_traced_model, traced, traced_models

CONFIG = Config(vocab_size=7, n_positions=6, n_embd=6, n_layer=2, n_head=3, n_inner=5)
HEAD = np.ones((1, 4, 3, 2), np.float32)  # batch, head, query, head_dim

with_layers = traced_models(n_layer=2)


def same_caches(one, other, layers):
    for layer in layers:
        for ours, theirs in zip(one.layer(layer)[:2], other.layer(layer)[:2], strict=True):
            assert np.array_equal(ours, theirs)


@whole_models
@given(st.data(), traced_models())
def test_patching_with_itself_changes_not_a_bit(data, traced):
    model, tokens, trace = traced
    _, config = model.arguments
    plain = model.run(tokens)
    chosen = data.draw(st.sets(st.sampled_from(list(trace.arrays)), min_size=1))
    tap = compose(*(patch(site(config, *key), trace) for key in chosen))
    patched = model.run(tokens, tap=tap)
    assert np.array_equal(plain.logits, patched.logits)
    assert np.array_equal(plain.hidden, patched.hidden)
    same_caches(plain.past, patched.past, range(config.n_layer))


@whole_models
@given(st.data(), traced_models(max_positions=4, n_layer=3, scale_attn_by_inverse_layer_idx=False))
def test_a_patched_run_is_the_run_with_that_array_replaced(data, traced):
    """The later layers alone, reading the patch, give the same bits, the next token too."""
    model, tokens, trace = traced
    parameters, config = model.arguments
    assume(tokens.shape[1] < config.n_positions)
    layer = data.draw(st.integers(0, 2))
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    patched = rng.standard_normal(trace["resid_pre", layer].shape).astype(model.dtype)
    after = rng.standard_normal((len(tokens), 1, config.n_embd)).astype(model.dtype)
    later = dataclasses.replace(parameters, h=parameters.h[layer:])
    fewer = dataclasses.replace(config, n_layer=3 - layer)

    def run(parameters, config, layer, read, **options):
        tap = replace(site(config, "resid_pre", layer), read)
        ids = tokens[:, : read.shape[1]]
        return forward(ids, parameters, config, tap=tap, **options)

    whole, part = run(parameters, config, layer, patched), run(later, fewer, 0, patched)
    assert np.array_equal(whole.logits, part.logits)
    next_whole = run(parameters, config, layer, after, past=whole.past)
    next_part = run(later, fewer, 0, after, past=part.past)
    assert np.array_equal(next_whole.logits, next_part.logits)


@pytest.mark.parametrize("name", ["key", "value"])
def test_a_key_or_value_that_is_patched_is_what_the_cache_holds(name):
    model, tokens, trace = one_traced_model()
    array = np.full_like(trace[name, 1], 0.5)
    tap = replace(site(model.arguments[1], name, 1), array)
    held = model.run(tokens, tap=tap).past.layer(1)[name == "value"]
    assert np.array_equal(held, array)


@whole_models
@given(st.data(), with_layers)
def test_ablating_is_as_having_no_weights_there(data, traced):
    """Zero in place of a head, or neuron, and zero in the rows that read it give the same bits."""
    model, tokens, _ = traced
    parameters, config = model.arguments
    width = config.head_dim
    is_head = data.draw(st.booleans())
    number = data.draw(st.integers(0, (config.n_head if is_head else config.inner) - 1))
    block = parameters.h[1]
    part = "attn" if is_head else "mlp"
    rows = slice(number * width, (number + 1) * width) if is_head else number
    c_proj = getattr(block, part).c_proj
    weight = c_proj.weight.copy()
    weight[rows] = 0
    c_proj = dataclasses.replace(c_proj, weight=weight)
    block = dataclasses.replace(
        block, **{part: dataclasses.replace(getattr(block, part), c_proj=c_proj)}
    )
    without = dataclasses.replace(parameters, h=(parameters.h[0], block))
    where = head(config, 1, number) if is_head else neuron(config, 1, number)
    ablated = model.run(tokens, tap=zero(where))
    assert np.array_equal(ablated.logits, forward(tokens, without, config).logits)


@whole_models
@given(st.data(), with_layers)
def test_each_change_changes_its_part_and_nothing_else_of_the_array(data, traced):
    model, tokens, trace = traced
    config = model.arguments[1]
    position = data.draw(st.none() | st.integers(0, tokens.shape[1] - 1))
    where = data.draw(
        st.sampled_from(
            [
                head(config, 1, config.n_head - 1, position=position),
                mlp(config, 1, position=position),
                neuron(config, 1, 0, position=position),
            ]
        )
    )
    whole = trace[where.name, 1]
    before = where.of(whole)
    axes = {"head_out": (0, 2), "mlp_out": (0, 1), "mlp_post": (0, 1)}[where.name]
    means = whole.mean(axis=axes, dtype=np.float64).astype(whole.dtype)
    means = {"head_out": means[-1], "mlp_out": means, "mlp_post": means[0]}[where.name]
    vector = np.arange(before.shape[-1]).astype(whole.dtype)
    rows = {part.tobytes() for part in before}
    for tap, is_right in (
        (zero(where), lambda after: not after.any()),
        (mean(where, trace), lambda after: (after == means).all()),
        (resample(where, trace, seed=3), lambda after: {a.tobytes() for a in after} <= rows),
        (add(where, vector), lambda after: np.array_equal(after, before + vector)),
    ):
        seen = Recorder(("*.1",))
        model.run(tokens, tap=compose(tap, seen))
        after = seen[where.name, 1]
        assert is_right(where.of(after))
        back = after.copy()
        back[where.index] = before
        assert np.array_equal(back, whole)


@pytest.mark.parametrize("key", range(4))
def test_nobody_looks_at_a_key_that_is_knocked_out(key):
    model, tokens, trace = one_traced_model()
    cut = Recorder(("pattern", "scores"))
    place_ = site(model.arguments[1], "scores", 0, head=0)
    model.run(tokens, tap=compose(knock_out(place_, [key]), cut))
    assert not cut["pattern", 0][:, 0, :, key].any()
    assert np.array_equal(cut["scores", 0][:, 1:], trace["scores", 0][:, 1:])
    # Those that could not see it anyway see what they saw.
    assert np.array_equal(cut["pattern", 0][:, :, :key], trace["pattern", 0][:, :, :key])


def recorded(name="head_out", array=HEAD):
    return Recorder((name,), {(name, 0): array})


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: site(CONFIG, "hed_out", 0), "no activation is named 'hed_out'.*'head_out'"),
        (lambda: site(CONFIG, "hook_z", 0), "did you mean 'head_out'"),
        (lambda: head(CONFIG, 2, 0), "layer of 'head_out' is 2; the model has 2: .* 0 to 1"),
        (lambda: site(CONFIG, "logits", 1), "'logits' is outside the blocks, but layer is 1"),
        (lambda: site(CONFIG, "ln_1"), "layer of 'ln_1' is None"),
        (lambda: head(CONFIG, 0, 3), "head of 'head_out' is 3; give one of 0 to 2"),
        (lambda: neuron(CONFIG, 0, -1), "neuron of 'mlp_post' is -1; give one of 0 to 4"),
        (lambda: mlp(CONFIG, 0, position=6), "position of 'mlp_out' is 6; give one of 0 to 5"),
        (lambda: site(CONFIG, "ln_1", 0, head=0), "'ln_1' has no head to choose; its axes are"),
        (
            lambda: replace(head(CONFIG, 0, 0), np.zeros(3, np.float32))("head_out", 0, HEAD),
            r"replace 'head_out' has shape \(3,\) and dtype float32; it is \(1, 3, 2\)",
        ),
        (
            lambda: zero(head(CONFIG, 0, 2, position=5))("head_out", 0, HEAD),
            "position of 'head_out' is 5; give one of 0 to 2",
        ),
        (
            lambda: patch(site(CONFIG, "head_out", 0), recorded(array=HEAD.astype(np.float64)))(
                "head_out", 0, HEAD
            ),
            "dtype float64; .* and float32 there",
        ),
        (lambda: patch(mlp(CONFIG, 0), recorded()), "no 'mlp_out' of layer 0 was recorded"),
        (lambda: patch(head(CONFIG, 1, 0), recorded()), "layer of 'head_out' is 1; it was .* 0"),
        (
            lambda: add(head(CONFIG, 0, 0), np.zeros(3))("head_out", 0, HEAD),
            r"the vector has shape \(3,\) and dtype float64; 'head_out' takes \(2,\) and float32",
        ),
        (
            lambda: mean(site(CONFIG, "pattern", 0), recorded("pattern")),
            "'pattern' means something else in each text",
        ),
        (lambda: knock_out(head(CONFIG, 0, 0), [0]), "cut in 'scores', not in 'head_out'"),
        (
            lambda: knock_out(site(CONFIG, "scores", 0), [3])("scores", 0, np.zeros((1, 3, 1, 2))),
            "key of 'scores' is 3; give one of 0 to 1",
        ),
    ],
)
def test_what_cannot_be_is_a_named_error(call, message):
    with pytest.raises(SettingError, match=message):
        call()


def test_every_activation_inside_a_block_is_a_place_and_is_left_alone_elsewhere():
    for name in INSIDE_BLOCKS:
        assert zero(site(CONFIG, name, 1))(name, 0, HEAD) is HEAD


def in_float64(data, model):
    model = dataclasses.replace(model, dtype="float64")
    return traced(model, data.draw(rows(model)))


@whole_models
@given(st.data(), tiny_models(n_layer=2, max_positions=6))
def test_a_bias_set_to_zero_is_a_model_without_it(data, model):
    model, tokens, _ = in_float64(data, model)
    parameters, config = model.arguments
    name = data.draw(st.sampled_from(["attn_bias", "mlp_bias", "ln_f_bias"]))
    layer = None if name == "ln_f_bias" else data.draw(st.integers(0, 1))
    arrays = to_arrays(parameters)
    part = {"attn_bias": f"h.{layer}.attn.c_proj", "mlp_bias": f"h.{layer}.mlp.c_proj"}
    key = f"{part.get(name, 'ln_f')}.bias"
    without = from_arrays(arrays | {key: np.zeros_like(arrays[key])}, config)
    written = {"attn_bias": "attn_out", "mlp_bias": "mlp_out"}.get(name, name.removesuffix("_bias"))
    silent, expected = Recorder(), Recorder()
    model.run(tokens, tap=compose(zero(site(config, name, layer), parameters), silent))
    forward(tokens, without, config, tap=expected)
    # What comes before is the same to the bit, and what is written there to two roundings: the
    # bias is added and taken away again. All that comes after follows from it.
    for at in list(expected.arrays)[: list(expected.arrays).index((written, layer))]:
        assert np.array_equal(silent[at], expected[at], equal_nan=True)
    sizes = np.abs(expected[written, layer]) + np.abs(arrays[key])
    moved = np.abs(silent[written, layer] - expected[written, layer])
    assert np.all(moved <= gamma(2, np.float64) * sizes)


@whole_models
@given(st.data(), tiny_models(n_layer=2, max_positions=6))
def test_a_part_of_a_logit_is_what_its_site_writes(data, model):
    """One name, one part: what an attribution gives it is what is gone where it is set to zero."""
    model, tokens, trace = in_float64(data, model)
    parameters, config = model.arguments
    direction = unembedding(parameters, tokens[:, :1] * 0)
    parts = attribute(trace, parameters, config, direction).parts()
    part = data.draw(st.sampled_from([p for p in parts if p.site.layer is not None]))
    written = {"head": "attn_out", "attn_bias": "attn_out"}.get(part.kind, "mlp_out")
    where = parse(config, str(part.site))
    changed = Recorder((f"{written}.{part.site.layer}",))
    model.run(tokens, tap=compose(zero(where, parameters), changed))
    key = written, part.site.layer
    gone = trace[key].astype(np.float64) - changed[key]
    toward = before_norm(direction, trace["ln_f_scale"], parameters)
    # What each pass writes is a product x W + b, of which both sides then take a sum over embd.
    block = parameters.h[part.site.layer]
    x, affine = trace["mlp_post", part.site.layer], block.mlp.c_proj
    if written == "attn_out":
        heads, affine = trace["head_out", part.site.layer], block.attn.c_proj
        x = heads.swapaxes(1, 2).reshape(*heads.shape[:1], heads.shape[2], -1)
    sizes = np.abs(x[0, -1]) @ np.abs(affine.weight) + np.abs(affine.bias)
    roundings = gamma(len(affine.weight) + config.n_embd + 2, np.float64)
    # Each of the two passes, and the attribution, is off by that much at most.
    allowed = 3 * roundings * sizes @ np.abs(toward[0, -1])
    assert abs((gone * toward).sum(axis=-1)[0, -1] - part.value) <= allowed


def test_a_bias_is_set_to_zero_and_to_nothing_else():
    bias = parse(CONFIG, "mlp_bias 1")
    said = "'mlp_bias 1' is a bias, the same in every run"
    for refused in (
        lambda: mean(bias, Recorder()),
        lambda: patch(bias, Recorder()),
        lambda: replace(bias, HEAD),
        lambda: add(bias, HEAD),
        lambda: resample(bias, Recorder(), seed=0),
    ):
        with pytest.raises(SettingError, match=said):
            refused()
    with pytest.raises(SettingError, match="give the parameters too"):
        zero(bias)
