import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from npgpt.audit.interventions import zero
from npgpt.audit.sites import head
from npgpt.audit.sweeps import (
    corrupt,
    logit_difference,
    patch_heads,
    patch_positions,
    probability,
    runner,
    sweep,
)
from npgpt.errors import SettingError
from npgpt.ops._softmax import softmax
from npgpt.trace import Recorder, discard
from tests.helpers.tiny_models import whole_models
from tests.helpers.traced_models import one_traced_model, traced_models

small = traced_models(n_layer=2, max_positions=4)


def running(model, tokens):
    parameters, config = model.arguments
    return runner(tokens, parameters, config, probability(0)), config


@whole_models
@given(st.data(), small)
def test_patched_with_itself_no_place_matters(data, traced):
    model, tokens, trace = traced
    run, config = running(model, tokens)
    name = data.draw(st.sampled_from(["resid_pre", "mlp_out", "head_out"]))
    plain = run(discard)
    found = patch_positions(run, trace, config, name=name, window=data.draw(st.integers(1, 3)))
    assert np.array_equal(found, np.full((2, tokens.shape[1]), plain))
    assert np.array_equal(patch_heads(run, trace, config), np.full((2, config.n_head), plain))


@whole_models
@given(small)
def test_only_what_comes_before_the_answer_can_restore_it(traced):
    """Corrupted at the last position alone, the clean stream there brings back the clean run."""
    model, tokens, trace = traced
    run, config = running(model, tokens)
    last = tokens.shape[1] - 1
    noise = corrupt(config, [last], scale=1.0, seed=0)
    found = patch_positions(run, trace, config, before=noise)
    assert found[0, last] == run(discard)
    # The earlier positions are what they were.
    assert np.array_equal(found[:, :last], np.full((2, last), run(noise)))


def test_a_window_of_all_layers_is_all_of_them_at_once():
    model, tokens, _ = one_traced_model()
    run, config = running(model, tokens)
    silent = Recorder(("mlp_out",))
    model.run(tokens, tap=silent)
    for array in silent.arrays.values():
        array[:] = 0
    position = tokens.shape[1] - 1
    found = patch_positions(run, silent, config, name="mlp_out", window=3)

    def tap(name, layer, array):
        if name == "mlp_out":
            array = array.copy()
            array[:, position] = 0
        return array

    assert np.array_equal(found[:, position], np.full(2, run(tap)))
    one = patch_positions(run, silent, config, name="mlp_out")
    assert one[1, position] == run(
        lambda name, layer, array: tap(name, layer, array) if layer == 1 else array
    )


def test_a_sweep_is_each_run_by_itself():
    model, tokens, _ = one_traced_model()
    run, config = running(model, tokens)
    taps = [discard, zero(head(config, 0, 0)), zero(head(config, 1, 0))]
    assert np.array_equal(sweep(run, taps), [run(tap) for tap in taps])


def test_noise_is_where_it_is_asked_for_and_the_same_each_time():
    model, _, trace = one_traced_model()
    _, config = model.arguments
    seen = [Recorder(), Recorder()]
    for recorder in seen:
        noise = corrupt(config, [0], scale=0.5, seed=7)
        recorder("token_embedding", None, noise("token_embedding", None, trace["token_embedding"]))
    first, second = (recorder["token_embedding"] for recorder in seen)
    assert np.array_equal(first, second)
    assert np.array_equal(first[:, 1:], trace["token_embedding"][:, 1:])
    drawn = 0.5 * np.random.default_rng(7).standard_normal(config.n_embd)
    assert np.array_equal(first[:, 0], trace["token_embedding"][:, 0] + drawn.astype(model.dtype))


def test_the_metrics_are_of_the_last_position():
    logits = np.array([[[9.0, 0.0], [1.0, 3.0]], [[9.0, 0.0], [1.0, 1.0]]])
    assert logit_difference(1, 0)(logits) == 1.0
    assert probability(1)(logits) == (softmax(logits[0, 1])[1] + 0.5) / 2


def test_what_cannot_be_patched_is_a_named_error():
    model, tokens, trace = one_traced_model()
    run, config = running(model, tokens)
    with pytest.raises(SettingError, match="window is 0; give 1 or more layers"):
        patch_positions(run, trace, config, window=0)
    with pytest.raises(SettingError, match="did you mean 'resid_pre'"):
        patch_positions(run, trace, config, name="resid_per")
    with pytest.raises(SettingError, match="'logits' is outside the blocks"):
        patch_positions(run, trace, config, name="logits")
    with pytest.raises(SettingError, match=r"position of 'token_embedding' is 4; .* 0 to 3"):
        run(corrupt(config, [4], scale=1.0, seed=0))
    with pytest.raises(SettingError, match=r"position of 'token_embedding' is 6; .* 0 to 5"):
        corrupt(config, [6], scale=1.0, seed=0)
