import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from npgpt.errors import PromptError, SettingError
from npgpt.model._prefill import prefill
from oracle.bounds._compare import excess
from oracle.strategies._tokens import batches
from tests.helpers.tiny_models import tiny_models, whole_models


@whole_models
@given(st.data(), tiny_models(), st.integers(1, 12))
def test_reading_in_chunks_gives_the_last_columns_logits(data, model, chunk):
    batch = data.draw(batches(model.config, paddings=["none", "left"]))
    output = prefill(batch.tokens, *model.arguments, mask=batch.mask, chunk=chunk)
    assert output.logits.shape == (len(batch.tokens), 1, model.config["vocab_size"])
    assert np.array_equal(output.past.real, batch.mask)
    for index, row in enumerate(batch.rows):
        measured = model.measure(row)
        assert excess(output.logits[index], measured.logits[-1:], measured.allowed()) <= 1


@whole_models
@given(st.data(), tiny_models(n_positions=8), st.integers(1, 9))
def test_it_goes_on_from_a_past(data, model, chunk):
    batch = data.draw(batches(model.config, paddings=["none"]))
    split = data.draw(st.integers(0, batch.tokens.shape[1] - 1))
    head, tail = batch.tokens[:, :split], batch.tokens[:, split:]
    past = prefill(head, *model.arguments).past if split else None
    output = prefill(tail, *model.arguments, past=past, chunk=chunk)
    measured = model.measure(batch.rows[0])
    assert excess(output.logits[0], measured.logits[-1:], measured.allowed()) <= 1


@whole_models
@given(st.data(), tiny_models(), st.integers(1, 12), st.integers(1, 12))
def test_the_last_logits_asked_for_and_every_hidden_state(data, model, chunk, keep):
    """Across chunks; more logits than there are columns are all of them."""
    batch = data.draw(batches(model.config))
    columns = slice(-keep, None)
    output = prefill(
        batch.tokens, *model.arguments, mask=batch.mask, chunk=chunk, logits_to_keep=keep
    )
    assert output.logits.shape[1] == min(keep, batch.tokens.shape[1])
    assert output.hidden.shape[:2] == batch.tokens.shape
    for index, row in enumerate(batch.rows):
        measured, real = model.measure(row), batch.mask[index]
        expected = measured.values["ln_f", None][0]
        assert excess(output.hidden[index][real], expected, measured.allowed("ln_f")) <= 1
        kept = real[columns]
        expected = measured.logits[len(row) - kept.sum() :]
        assert excess(output.logits[index][kept], expected, measured.allowed()) <= 1


@pytest.mark.parametrize("chunk", [0, -1])
@given(model=tiny_models())
def test_a_chunk_of_no_columns_is_refused(chunk, model):
    with pytest.raises(SettingError, match=str(chunk)):
        prefill(np.zeros((1, 1), int), *model.arguments, chunk=chunk)


@given(model=tiny_models())
def test_an_empty_prompt_is_refused(model):
    with pytest.raises(PromptError):
        prefill(np.zeros((1, 0), int), *model.arguments)
