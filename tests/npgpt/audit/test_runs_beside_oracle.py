"""npgpt's interventions and sweeps, and the oracle's own through the oracle's own tap.

What both take from another pass is the same numbers: npgpt's, recorded.
"""

import functools

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from npgpt._config import Config
from npgpt.audit import interventions, sweeps
from npgpt.audit.sites import site
from npgpt.trace import INSIDE_BLOCKS, NAMES, Recorder, compose
from oracle.audit import interventions as twin
from oracle.audit import sweeps as sweeps_twin
from oracle.bounds._compare import excess
from oracle.strategies._arrays import MAX_SEED
from tests.helpers.oracle_inputs import numbers, tensor, tensors, weights_of
from tests.helpers.tiny_models import rows, tiny_models, whole_models

KINDS = ("zero", "mean", "resample", "patch", "add", "knock_out")
PLACES = {"head": "head", "position": "query", "neuron": "inner"}
models = functools.partial(tiny_models, max_layer=2, max_positions=5)


def another_pass(model, row, batch, seed):
    """What a pass on other tokens, as many, records."""
    recorder = Recorder()
    rng = np.random.default_rng(seed)
    model.run(rng.integers(0, model.config["vocab_size"], (batch, len(row))), tap=recorder)
    return recorder


@st.composite
def changes(draw, model, row, kinds=KINDS):
    """An intervention of npgpt's and the oracle's of the same."""
    kind, seed = draw(st.sampled_from(kinds)), draw(st.integers(0, MAX_SEED))
    rng = np.random.default_rng(seed)
    batch = 1 if kind == "patch" else 3
    source = another_pass(model, row, batch, seed)
    known = [key for key in source.arrays if can(kind, key[0])]
    if not known:  # no layers, so no scores
        return compose(), twin.together()
    name, layer = draw(st.sampled_from(known))
    array, axes = source[name, layer], NAMES[name].axes.split()
    at = {
        what: draw(st.integers(0, array.shape[axes.index(axis)] - 1))
        for what, axis in PLACES.items()
        # A neuron's part has no axis of its own for a vector to be added along.
        if axis in axes and not (kind == "add" and what == "neuron") and draw(st.booleans())
    }
    where, reference = site(model.arguments[1], name, layer, **at), tensor(array)
    if kind == "zero":
        ours, theirs = interventions.zero(where), twin.nothing
    elif kind == "mean":
        ours, theirs = interventions.mean(where, source), twin.mean_of(reference, name)
    elif kind == "resample":
        ours = interventions.resample(where, source, seed=seed)
        chosen = np.random.default_rng(seed).integers(0, batch, 1)
        theirs = twin.rows_of(reference, chosen.tolist())
    elif kind == "patch":
        ours, theirs = interventions.patch(where, source), twin.taken_from(reference)
    elif kind == "add":
        vector = rng.uniform(0.5, 2, array.shape[-1]).astype(np.float32).astype(model.dtype)
        ours, theirs = interventions.add(where, vector), twin.steered_by(tensor(vector))
    else:
        cut = draw(st.sets(st.integers(0, len(row) - 1), min_size=1).map(sorted))
        ours, theirs = interventions.knock_out(where, cut), twin.blind_to(cut)
    return ours, twin.edited(name, layer, theirs, **at)


def can(kind, name):
    """Nothing divides by a scale of zero; a pattern means something else in each text."""
    if kind == "knock_out":
        return name == "scores"
    if kind == "zero":
        return not name.endswith("_scale")
    return kind == "patch" or name not in ("scores", "pattern")


@whole_models
@given(st.data(), models())
def test_a_changed_run_is_the_oracles(data, model):
    """Every activation of it, with one intervention or two."""
    row = data.draw(rows(model))
    hold_beside(model, row, data.draw(st.lists(changes(model, row), min_size=1, max_size=2)))


@whole_models
@given(st.data(), models(n_layer=2))
def test_attention_cut_is_cut_in_the_oracle(data, model):
    row = data.draw(rows(model, least=min(2, model.config["n_positions"])))
    hold_beside(model, row, [data.draw(changes(model, row, ("knock_out",)))])


def hold_beside(model, row, pairs):
    recorder = Recorder()
    model.run(row[None], tap=compose(*(ours for ours, _ in pairs), recorder))
    measured = model.measure(row, tap=twin.together(*(theirs for _, theirs in pairs)))
    assert list(recorder.arrays) == list(measured.values)
    for key, expected in measured.values.items():
        assert excess(recorder.arrays[key], expected, measured.allowed(*key)) <= 1, key


def swept(data, model):
    """What both sweeps take: tokens, another pass, two tokens, noise at some positions."""
    row, (right, wrong) = data.draw(rows(model)), data.draw(st.tuples(*[st.integers(0, 16)] * 2))
    source = another_pass(model, row, 1, data.draw(st.integers(0, MAX_SEED)))
    answers = right % model.config["vocab_size"], wrong % model.config["vocab_size"]
    noisy = data.draw(st.sets(st.integers(0, len(row) - 1)).map(sorted))
    noise = sweeps.corrupt(model.arguments[1], noisy, scale=0.5, seed=len(row))
    added = noise("token_embedding", None, np.zeros_like(source["token_embedding"]))[0]
    assert np.array_equal(np.flatnonzero(added.any(axis=-1)), noisy)
    return row, source, answers, noise, sweeps_twin.noisy({at: tensor(added[at]) for at in noisy})


def beside(data, model, row, found, expected, tap_of, answers):
    """Two tables, and at a place of them the floor of the run that is reported there."""
    assert found.shape == expected.shape
    at = tuple(data.draw(st.integers(0, size - 1)) for size in found.shape)
    allowed = 2 * model.measure(row, tap=tap_of(*at)).allowed()  # a difference of two logits
    if answers[0] == answers[1]:
        assert not found.any()
    assert excess(found[at], np.asarray(expected[at]), allowed) <= 1


@given(st.integers(1, 6), st.integers(1, 4), st.integers(1, 8))
def test_a_window_patches_the_same_layers_after_what_comes_before(layers, positions, window):
    """Exactly, by a bit for each layer and position that is another pass's in the end."""
    config = Config(n_positions=positions, n_layer=layers)
    ones = np.ones((1, positions, 1))
    source = Recorder(arrays={("mlp_out", layer): ones for layer in range(layers)})

    def nothing(name, layer, array):
        return 0 * array

    def bits(tap, whole=ones):
        seen = [np.ravel(tap("mlp_out", layer, whole)) for layer in range(layers)]
        return sum(int(bit) << place for place, bit in enumerate(np.concatenate(seen)))

    theirs = [
        twin.together(nothing, sweeps_twin.patched_at(tensors(source), "mlp_out", around, at))
        for around in sweeps_twin.windows(layers, window)
        for at in range(positions)
    ]
    options = {"name": "mlp_out", "window": window, "before": nothing}
    found = sweeps.patch_positions(bits, source, config, **options)
    expected = np.reshape([bits(tap, tensor(ones)) for tap in theirs], (layers, positions))
    assert np.array_equal(found, expected)


at_least_one_layer = st.integers(1, 3).flatmap(
    lambda layers: models(n_layer=layers, max_positions=4, max_head_dim=3)
)


@whole_models
@given(st.data(), at_least_one_layer)
def test_positions_patched_one_by_one(data, model):
    """Activation patching; and, with noise on some tokens before, causal tracing."""
    row, source, answers, noise, noise_twin = swept(data, model)
    parameters, config = model.arguments
    names = [name for name in INSIDE_BLOCKS if name not in ("scores", "pattern")]
    name, window = data.draw(st.sampled_from(names)), data.draw(st.integers(1, 4))
    options = {"name": name, "window": window}
    run = sweeps.runner(row[None], parameters, config, sweeps.logit_difference(*answers))
    found = sweeps.patch_positions(run, source, config, before=noise, **options)
    with torch.no_grad():
        expected = sweeps_twin.patch_positions(
            weights_of(model),
            model.config,
            tensor(row[None]),
            tensors(source),
            sweeps_twin.logit_difference(*answers),
            before=noise_twin,
            **options,
        )

    def tap_of(layer, position):
        around = sweeps_twin.windows(config.n_layer, window)[layer]
        patched = sweeps_twin.patched_at(tensors(source), name, around, position)
        return twin.together(noise_twin, patched)

    beside(data, model, row, found, numbers(expected), tap_of, answers)


@whole_models
@given(st.data(), at_least_one_layer)
def test_heads_patched_one_by_one(data, model):
    row, source, answers, noise, noise_twin = swept(data, model)
    parameters, config = model.arguments
    run = sweeps.runner(row[None], parameters, config, sweeps.logit_difference(*answers))
    found = sweeps.patch_heads(run, source, config, before=noise)
    seen = tensors(source)
    with torch.no_grad():
        expected = sweeps_twin.patch_heads(
            weights_of(model),
            model.config,
            tensor(row[None]),
            seen,
            sweeps_twin.logit_difference(*answers),
            before=noise_twin,
        )

    def tap_of(layer, head):
        change = twin.taken_from(seen["head_out", layer])
        return twin.together(noise_twin, twin.edited("head_out", layer, change, head=head))

    beside(data, model, row, found, numbers(expected), tap_of, answers)
