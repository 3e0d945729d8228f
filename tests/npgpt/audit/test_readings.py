"""Readings from Python: what the command line prints is what these functions return."""

import dataclasses
import warnings

import numpy as np
import pytest

import npgpt.audit as audit
from npgpt._gpt import GPT
from npgpt.audit._attribution import ATTRIBUTION_NAMES, neuron_attribution
from npgpt.audit._frozen_norm import before_norm, in_float64, unembedding
from npgpt.audit._output_directions import head_results, top_tokens
from npgpt.errors import NonFiniteError, PromptError, SettingError
from npgpt.model._parameters import from_arrays, to_arrays
from oracle.bounds import gamma
from tests.helpers.audits import odd_gpts
from tests.helpers.small_gpt import CONFIG, TOKENIZER, parameters, small_gpt

TEXT = "Shall I shall I"


@pytest.mark.parametrize("position", [-1, 0, 2])
def test_a_logit_is_the_sum_of_its_parts_whatever_they_are_asked_for_by(position: int) -> None:
    gpt = small_gpt()
    reading = audit.attribute_logit(gpt, TEXT, position=position, neurons_of=1, neurons=3)
    logits = gpt.logits(TEXT)[0, position]
    assert reading.token == logits.argmax()
    assert reading.position == position % len(reading.tokens)
    assert reading.logit == logits.max()
    # As many roundings as there are parts, of numbers no larger than their sum in size.
    size = sum(abs(part.value) for part in reading.parts)
    total = sum(part.value for part in reading.parts)
    assert abs(total - reading.total) <= 2 * len(reading.parts) * np.finfo(np.float64).eps * size
    assert reading.difference == reading.total - reading.logit
    assert reading.neurons is not None
    (all_neurons,) = (p.value for p in reading.parts if str(p.site) == "mlp_post 1")
    values = reading.neurons.values
    # One sum of activation · W · direction over neurons and width, taken in two orders.
    c_proj = in_float64(gpt.parameters.h[1].mlp.c_proj.weight)
    scale = gpt.trace(TEXT, "ln_f_scale")["ln_f_scale", None][0, position]
    direction = unembedding(gpt.parameters, np.array(reading.token))
    toward = before_norm(direction, scale, gpt.parameters)
    sizes = np.abs(reading.neurons.activations) @ np.abs(c_proj) @ np.abs(toward)
    allowed = 2 * gamma(sum(c_proj.shape), np.float64) * sizes
    assert abs(values.sum() - all_neurons) <= allowed
    named = [str(neuron.site).partition(".")[0] for neuron in reading.neurons.largest]
    assert named == ["neuron 1"] * 3
    ids = gpt.tokens(TEXT)[0].tolist()
    assert audit.attribute_logit(gpt, ids, position=position).logit == reading.logit


@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        ({"position": 99}, SettingError, "position is 99; give 0 to"),
        ({"token": 10**6}, PromptError, "give ids of 0 to"),
        ({"token": 3, "against": 3}, SettingError, "is set against itself"),
        ({"neurons_of": 2}, SettingError, "neurons_of is 2; the model has 2 layers"),
    ],
)
def test_what_is_not_there_is_a_named_error(options, error, said) -> None:
    with pytest.raises(error, match=said):
        audit.attribute_logit(small_gpt(), TEXT, **options)


def test_the_lens_ends_with_the_models_own_answer() -> None:
    gpt = small_gpt()
    reading = audit.lens(gpt, TEXT, top=3)
    logits = gpt.logits(TEXT)[0]
    assert np.array_equal(reading.top_tokens[-1, :, 0], logits.argmax(axis=-1))
    assert reading.top_tokens.shape == (3, len(logits), 3)
    ranks = audit.rank(logits[None], reading.tokens[None])[0]
    assert np.array_equal(reading.next_ranks[-1, :-1], ranks)
    assert reading.next_ranks[-1, -1] == -1
    for n, depth in enumerate(reading.settled):
        answers = reading.top_tokens[:, n, 0]
        assert (answers[depth:] == answers[-1]).all()
        assert depth == 0 or answers[depth - 1] != answers[-1]


def test_of_nan_no_depth_is_settled_and_no_token_is_the_likeliest() -> None:
    gpt = odd_gpts()["nan"]
    reading = audit.lens(gpt, TEXT)
    assert (reading.settled == -1).all()
    assert (reading.top_tokens == -1).all()
    with pytest.raises(NonFiniteError, match="no token is the likeliest"):
        audit.attribute_logit(gpt, TEXT)


def test_patching_all_of_the_other_text_gives_the_other_texts_metric() -> None:
    gpt, other = small_gpt(), "x.q.z"
    metric = audit.sweeps.probability(40)
    change = audit.patched_from(gpt, "x.y.z", other, ["resid_pre"], metric)
    all_at_once = [audit.sites.site(CONFIG, "resid_pre", 0)]
    reading = audit.run_changed(gpt, "x.y.z", change, ([all_at_once], ()), metric)
    assert reading.effects == 1
    assert reading.values == change.target == metric(gpt.logits(other))
    with pytest.raises(SettingError, match="give texts of as many tokens"):
        audit.patched_from(gpt, "x.y.z", "x.q", ["resid_pre"], metric)


def test_an_audit_holds_its_readings_as_arrays_and_as_data() -> None:
    made = audit.audit(small_gpt(), TEXT)
    assert made.ok
    nats = [token["nats"] for token in made.facts["tokens"]]
    assert nats[1:] == made.readings.predictions.nats[1:].tolist()
    entropy = [head["entropy"] for head in made.facts["heads"]]
    assert entropy == made.readings.heads.entropy.ravel().tolist()
    assert made.page().startswith("<!doctype html>")


def infinite() -> GPT:
    """A model with an infinite weight in each matrix that a reading multiplies by."""
    arrays = {name: array.copy() for name, array in to_arrays(parameters(CONFIG)).items()}
    for name in ("ln_f.weight", "h.1.mlp.c_proj.weight", "h.1.attn.c_proj.weight", "wte.weight"):
        arrays[name].flat[3] = np.inf
    return GPT(CONFIG, from_arrays(arrays, CONFIG), TOKENIZER)


def test_of_infinite_weights_no_reading_warns() -> None:
    gpt = infinite()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        trace = gpt.trace([1, 2, 3], (*ATTRIBUTION_NAMES, "mlp_post", "logits"))
        direction = audit.unembedding(gpt.parameters, np.array(5))
        audit.attribute(trace, gpt.parameters, gpt.config, direction)
        neuron_attribution(trace, gpt.parameters, 1, direction)
        top_tokens(np.full((2, CONFIG.n_embd), 1e300), gpt.parameters, k=3)
        head_results(np.full((1, 2, 3, 4), 1e300), gpt.parameters, 1)
        audit.lens(gpt, [1, 2, 3])
        audit.report_weights(gpt.parameters)
        audit.attribute_logit(gpt, [1, 2, 3], token=5, neurons_of=1)
        audit.audit(gpt, [1, 2, 3])
        metric = audit.sweeps.probability(4)
        change = audit.restored(gpt, [1, 2, 3], [0], ["resid_pre"], metric)
        audit.run_changed(
            gpt, [1, 2, 3], change, audit.each_position(CONFIG, "resid_pre", 3), metric
        )


def test_readings_are_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        audit.lens(small_gpt(), TEXT).positions = None
