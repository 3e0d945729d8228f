"""The weights report and its twins, on weights with something to report."""

import dataclasses

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from npgpt.audit._weights_report import OUTLIER, report_weights
from oracle.audit import weights_report as twin
from oracle.bounds._rounding import gamma
from oracle.strategies._arrays import MAX_SEED
from tests.helpers.oracle_inputs import numbers, tensor
from tests.helpers.tiny_models import tiny_models, whole_models

BAD = (np.nan, np.inf, -np.inf)


@st.composite
def with_faults(draw):
    """A tiny model, some of its rows repeated, features loud, and numbers not finite."""
    model = draw(tiny_models(max_layer=1))
    rng = np.random.default_rng(draw(st.integers(0, MAX_SEED)))
    weights = {name: array.copy() for name, array in model.weights.items()}
    wte = weights["wte.weight"]
    for _ in range(draw(st.integers(0, 3))):
        wte[rng.integers(len(wte))] = wte[rng.integers(len(wte))]
        loud = weights[rng.choice(list(weights))]
        loud[..., rng.integers(loud.shape[-1])] *= 100
    if draw(st.booleans()):
        wte[wte == wte[0, 0]] = rng.choice([0.0, -0.0], int((wte == wte[0, 0]).sum()))
    if "lm_head.weight" in weights and draw(st.booleans()):
        weights["lm_head.weight"] = wte.copy()
        weights["lm_head.weight"][rng.integers(len(wte)), 0] += 1
    if draw(st.booleans()):
        weights[rng.choice(list(weights))][...] = 0
    for _ in range(draw(st.integers(0, 2))):
        broken = weights[rng.choice([name for name in weights if name != "wte.weight"])]
        broken[tuple(rng.integers(broken.shape))] = rng.choice(BAD)
    return dataclasses.replace(model, weights=weights)


@whole_models
@given(with_faults())
def test_the_report_is_its_twins(model):
    found = report_weights(model.arguments[0])
    assert [t.name for t in found.tensors] == list(model.weights)
    for each in found.tensors:
        array = tensor(model.weights[each.name])
        norm, roundings = twin.norm(array), gamma(2 * (array.numel() + 4), "float64")
        assert abs(each.norm - norm) <= roundings * norm
        assert each.largest == twin.largest(array)
        assert each.non_finite == twin.non_finite(array)
        assert each.shape == tuple(array.shape)
        norms = twin.feature_norms(array)
        loud = numbers(twin.outliers(norms, OUTLIER))
        limit = OUTLIER * np.median(numbers(norms))
        sure = np.abs(numbers(norms) - limit) > roundings * (numbers(norms) + limit)
        sure |= numbers(norms) == 0  # is nothing, and no outlier however small the others are
        listed = np.isin(np.arange(len(loud)), each.outliers)
        assert np.array_equal(listed[sure], loud[sure])
        assert len(set(each.outliers)) == len(each.outliers)
    wte = tensor(model.weights["wte.weight"])
    assert [list(group) for group in found.duplicated] == twin.duplicated(wte)
    if model.config["tie_word_embeddings"]:
        assert found.untied_rows is None
    else:
        assert found.untied_rows == twin.untied_rows(tensor(model.weights["lm_head.weight"]), wte)
