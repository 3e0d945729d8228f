import numpy as np
from hypothesis import given

from npgpt.audit._logit_lens import depths, lens_logits
from tests.helpers.tiny_models import whole_models
from tests.helpers.traced_models import one_traced_model, traced_models


@whole_models
@given(traced_models())
def test_the_last_depth_gives_the_models_logits_bit_for_bit(traced):
    model, _, trace = traced
    parameters, config = model.arguments
    found = depths(trace, config)
    assert [name for name, _ in found] == [
        *(f"resid_pre {layer}" for layer in range(config.n_layer)),
        f"resid_post {config.n_layer - 1}"
        if config.n_layer
        else "token_embedding + position_embedding",
    ]
    assert np.array_equal(lens_logits(found[-1][1], parameters, config), trace["logits"])


def test_a_block_that_adds_nothing_leaves_what_the_lens_sees():
    model, tokens, trace = one_traced_model()
    parameters, config = model.arguments
    pre = trace["resid_pre", 1]
    silent = model.run(
        tokens,
        tap=lambda name, layer, array: (
            np.zeros_like(array) if layer == 1 and name in ("attn_out", "mlp_out") else array
        ),
    )
    assert np.array_equal(lens_logits(pre, parameters, config), silent.logits)
