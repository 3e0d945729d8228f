import math

import numpy as np
import pytest
from hypothesis import given

from npgpt._config import Config
from npgpt.audit._weights_report import OUTLIER, report_weights
from npgpt.model._parameters import from_arrays, shapes
from oracle.bounds._rounding import gamma
from tests.helpers.tiny_models import tiny_models, whole_models

CONFIG = Config(vocab_size=6, n_positions=3, n_embd=4, n_layer=1, n_head=2)


def weights(**changes):
    rng = np.random.default_rng(0)
    sizes = shapes(CONFIG).items()
    arrays = {name: rng.uniform(1, 2, shape).astype(np.float32) for name, shape in sizes}
    return from_arrays(arrays | changes, CONFIG)


def of(found, name):
    return next(tensor for tensor in found.tensors if tensor.name == name)


@whole_models
@given(tiny_models())
def test_norms_and_counts_are_their_definitions(model):
    parameters, config = model.arguments
    found = report_weights(parameters)
    assert {t.name: t.shape for t in found.tensors} == shapes(config)
    for tensor in found.tensors:
        numbers = model.weights[tensor.name].astype(np.float64).ravel().tolist()
        norm = math.sqrt(math.fsum(x * x for x in numbers))
        assert abs(tensor.norm - norm) <= gamma(len(numbers) + 8, np.float64) * norm
        assert tensor.largest == max(map(abs, numbers))
        assert tensor.non_finite == 0
    assert (found.untied_rows is None) == config.tie_word_embeddings
    wte = model.weights["wte.weight"]
    twins = {(a, b) for a in range(len(wte)) for b in range(a) if np.array_equal(wte[a], wte[b])}
    listed = {(a, b) for group in found.duplicated for a in group for b in group if b < a}
    assert listed == twins


def test_a_clean_model_has_nothing_to_report():
    found = report_weights(weights())
    assert not found.duplicated
    assert found.untied_rows is None
    assert not any(tensor.outliers or tensor.non_finite for tensor in found.tensors)


@pytest.mark.parametrize("times", [OUTLIER / 2, 2 * OUTLIER])
def test_a_loud_feature_is_an_outlier(times):
    wte = np.ones((6, 4), np.float32)
    wte[:, 2] = times
    found = of(report_weights(weights(**{"wte.weight": wte})), "wte.weight")
    assert found.outliers == ((2,) if times > OUTLIER else ())


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_counted_and_left_out(bad):
    bias = np.array([bad, 3, 4, 0], np.float32)
    found = of(report_weights(weights(**{"ln_f.bias": bias})), "ln_f.bias")
    assert (found.non_finite, found.norm, found.largest) == (1, 5.0, 4.0)


def test_a_head_that_is_not_the_embedding_is_compared_with_it():
    config = Config(
        vocab_size=6, n_positions=3, n_embd=4, n_layer=1, n_head=2, tie_word_embeddings=False
    )
    arrays = {name: np.ones(shape, np.float32) for name, shape in shapes(config).items()}
    arrays["lm_head.weight"][[1, 4], 0] = 2
    assert report_weights(from_arrays(arrays, config)).untied_rows == 2


def test_weights_kept_in_16_bits_are_read_as_what_they_stand_for():
    half = np.full((6, 4), 0.5, np.float16)
    assert of(report_weights(weights(**{"wte.weight": half})), "wte.weight").largest == 0.5
    bits = np.full((6, 4), 0xC000, np.uint16)  # -2 in bfloat16
    assert of(report_weights(weights(**{"wte.weight": bits})), "wte.weight").largest == 2.0
