import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from npgpt.audit._verification import error_ratios
from npgpt.errors import SettingError
from npgpt.ops._layer_norm import layer_norm_given_scale
from npgpt.trace import INSIDE_BLOCKS, Recorder
from tests.helpers.tiny_models import whole_models
from tests.helpers.traced_models import one_traced_model, traced_models

# What a pass starts from cannot be recomputed from other activations.
GIVEN = {"token_embedding", "position_embedding"}


@whole_models
@given(traced_models())
def test_recorded_arrays_recompute_one_another(traced):
    model, _, trace = traced
    found = error_ratios(trace, *model.arguments)
    missing = {name for name, _ in trace.arrays} - {name for name, _ in found}
    assert missing == (GIVEN if model.config["n_layer"] else GIVEN | {"ln_f", "ln_f_scale"})
    assert {key: ratio for key, ratio in found.items() if not ratio <= 1} == {}


@whole_models
@given(st.data(), traced_models(n_layer=2))
def test_an_array_that_is_not_the_models_is_found(data, traced):
    model, _, trace = traced
    name, layer = data.draw(st.sampled_from([*((n, 1) for n in INSIDE_BLOCKS), ("logits", None)]))
    wrong = trace[name, layer].copy()
    place = np.unravel_index(data.draw(st.integers(0, wrong.size - 1)), wrong.shape)
    # Larger than any number here, and than what rounding makes of any sum of them.
    wrong[place] = 1e30
    arrays = trace.arrays | {(name, layer): wrong}
    assume(all(np.isfinite(a).all() for (n, _), a in trace.arrays.items() if n != "scores"))
    assert error_ratios(Recorder(arrays=arrays), *model.arguments)[name, layer] > 1


def test_a_scale_that_a_tap_gives_is_what_the_norm_divides_by():
    model, tokens, trace = one_traced_model()
    parameters, _ = model.arguments
    scale = 2 * trace["ln_2_scale", 0]
    seen = Recorder(("ln_2",))

    def tap(name, layer, array):
        is_it = (name, layer) == ("ln_2_scale", 0)
        return seen(name, layer, scale if is_it else array)

    model.run(tokens, tap=tap)
    ln = parameters.h[0].ln_2
    expected = layer_norm_given_scale(trace["resid_mid", 0], scale, ln.weight, ln.bias)
    assert np.array_equal(seen["ln_2", 0], expected)


def test_a_trace_of_another_model_is_a_named_error():
    model, _, trace = one_traced_model()
    wrong = trace["mlp_pre", 0][..., 1:]
    arrays = trace.arrays | {("mlp_pre", 0): wrong}
    with pytest.raises(SettingError, match=r"'mlp_pre' of layer 0 has shape .* another model"):
        error_ratios(Recorder(arrays=arrays), *model.arguments)
