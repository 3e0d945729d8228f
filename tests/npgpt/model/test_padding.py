import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oracle.bounds._compare import excess
from oracle.bounds._noise import noise_floor
from oracle.strategies._tokens import PADDINGS, batches
from tests.helpers.tiny_models import tiny_models, whole_models


@pytest.mark.parametrize("padding", PADDINGS)
@whole_models
@given(data=st.data(), model=tiny_models())
def test_a_padded_row_is_the_row_alone(padding, data, model):
    batch = data.draw(batches(model.config, paddings=[padding], empty_rows=True))
    output = model.run(batch.tokens, mask=batch.mask)
    expected, allowed = noise_floor(
        model.weights, model.config, batch.tokens, batch.mask, dtype=model.dtype
    )
    real = batch.mask
    allowed = np.broadcast_to(allowed, expected.shape)
    assert excess(output.logits[real], expected[real], allowed[real]) <= 1
    assert np.isfinite(output.logits).all()


@whole_models
@given(st.data(), tiny_models())
def test_what_stands_at_padding_changes_nothing_at_all(data, model):
    """Even where it is no token id: the rows are the same to the last bit."""
    batch = data.draw(batches(model.config, paddings=PADDINGS[1:]))
    junk = data.draw(st.sampled_from([-1, 0, model.config["vocab_size"], 10**9]))
    tokens = np.where(batch.mask, batch.tokens, junk)
    here, there = (model.run(t, mask=batch.mask).logits for t in (batch.tokens, tokens))
    assert np.array_equal(here[batch.mask], there[batch.mask])


@whole_models
@given(st.data(), tiny_models())
def test_a_mask_of_zeros_and_ones_is_a_mask(data, model):
    batch = data.draw(batches(model.config))
    here = model.run(batch.tokens, mask=batch.mask).logits
    for kind in (np.int64, np.uint8, np.float32):
        there = model.run(batch.tokens, mask=batch.mask.astype(kind)).logits
        assert np.array_equal(here, there)


@whole_models
@given(st.data(), tiny_models())
def test_no_mask_is_a_mask_of_ones(data, model):
    batch = data.draw(batches(model.config, paddings=["none"]))
    here, there = model.run(batch.tokens), model.run(batch.tokens, mask=batch.mask)
    assert np.array_equal(here.logits, there.logits)
