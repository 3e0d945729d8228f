import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from oracle import model as oracle
from oracle.bounds._compare import excess
from oracle.strategies._configs import ACTIVATIONS
from oracle.strategies._tokens import batches
from tests.helpers.tiny_models import rows, tiny_models, whole_models


@whole_models
@given(st.data(), tiny_models())
def test_logits_and_hidden_state_are_the_oracles(data, model):
    row = data.draw(rows(model))
    output, measured = model.run(row[None]), model.measure(row)
    assert output.logits.dtype == output.hidden.dtype == model.dtype
    assert excess(output.logits[0], measured.logits, measured.allowed()) <= 1
    hidden = measured.values["ln_f", None]
    assert excess(output.hidden, hidden, measured.allowed("ln_f")) <= 1


FLAGS = [
    *({"activation_function": name} for name in ACTIVATIONS),
    {"scale_attn_weights": False},
    {"scale_attn_by_inverse_layer_idx": True},
    {"scale_attn_weights": False, "scale_attn_by_inverse_layer_idx": True},
    {"reorder_and_upcast_attn": True},
    {"tie_word_embeddings": False},
    {"n_inner": 7},
    {"layer_norm_epsilon": 1e-3},
]


@pytest.mark.parametrize("flags", FLAGS, ids=str)
@whole_models
@given(data=st.data())
def test_every_flag_is_honoured_where_it_matters(flags, data):
    """Three layers, weights of any kind, tokens enough that attention has a choice."""
    model = data.draw(tiny_models(n_layer=3, n_head=2, n_embd=6, n_positions=6, **flags))
    row = data.draw(rows(model, least=4))
    measured = model.measure(row)
    assert excess(model.run(row[None]).logits[0], measured.logits, measured.allowed()) <= 1


@whole_models
@given(st.data(), tiny_models())
def test_rows_of_a_batch_do_not_depend_on_each_other_or_their_order(data, model):
    batch = data.draw(batches(model.config, max_rows=4))
    order = data.draw(st.permutations(range(len(batch.tokens))))
    turned = model.run(batch.tokens[order], mask=batch.mask[order])
    for place, index in enumerate(order):
        measured = model.measure(batch.rows[index])
        logits = turned.logits[place][batch.mask[index]]
        assert excess(logits, measured.logits, measured.allowed()) <= 1


@whole_models
@given(st.data(), tiny_models(n_positions=8))
def test_a_later_token_changes_no_earlier_logit_by_a_single_bit(data, model):
    row = data.draw(rows(model, least=2))
    start = data.draw(st.integers(1, len(row) - 1))
    other = row.copy()
    other[start:] = np.random.default_rng(0).permutation(model.config["vocab_size"])[0]
    here, there = (model.run(tokens[None]) for tokens in (row, other))
    assert np.array_equal(here.logits[:, :start], there.logits[:, :start])
    assert np.array_equal(here.hidden[:, :start], there.hidden[:, :start])


@whole_models
@given(st.data(), tiny_models())
def test_explicit_positions_pick_position_embeddings(data, model):
    """As if the table of positions were rearranged: any order, gaps and repeats."""
    row = data.draw(rows(model))
    limit = model.config["n_positions"]
    chosen = data.draw(st.lists(st.integers(0, limit - 1), min_size=len(row), max_size=len(row)))
    output = model.run(row[None], positions=np.array([chosen]))
    wpe = model.weights["wpe.weight"]
    rearranged = wpe[chosen + [0] * (limit - len(row))]
    model.weights["wpe.weight"] = rearranged
    measured = model.measure(row)
    assert excess(output.logits[0], measured.logits, measured.allowed()) <= 1


@whole_models
@given(st.data(), tiny_models())
def test_only_the_last_columns_logits_are_kept_if_asked(data, model):
    row = data.draw(rows(model))
    keep = data.draw(st.integers(1, len(row) + 2))
    output, measured = model.run(row[None], logits_to_keep=keep), model.measure(row)
    assert excess(output.logits[0], measured.logits[-keep:], measured.allowed()) <= 1
    assert output.hidden.shape[1] == len(row)


@whole_models
@given(st.data(), tiny_models(n_layer=2, n_positions=5))
def test_nan_weights_are_never_hidden(data, model):
    """Where the oracle, run on a prefix, has NaN in its last logits, npgpt has it too."""
    name = data.draw(st.sampled_from(sorted(model.weights)))
    array = model.weights[name]
    array.flat[data.draw(st.integers(0, array.size - 1))] = np.nan
    row = data.draw(rows(model))
    ours = np.isnan(model.run(row[None]).logits[0])
    weights = {key: torch.from_numpy(value).double() for key, value in model.weights.items()}
    prefix = torch.from_numpy(row)[None]
    for end in range(1, len(row) + 1):
        theirs = oracle.logits(weights, model.config, prefix[:, :end])
        theirs = theirs[0, -1].isnan().numpy()
        assert (ours[end - 1] >= theirs).all()
    assert (ours[-1] == theirs).all()


@whole_models
@given(st.data(), tiny_models(n_positions=4), st.sampled_from([1e10, 1e25, 1e38]))
def test_weights_that_overflow_raise_no_warning(data, model, size):
    for name, array in model.weights.items():
        if not name.startswith("w"):
            array *= np.float32(size / max(np.abs(array).max(), 1))
    row = data.draw(rows(model))
    assert model.run(row[None]).logits.dtype == model.dtype
