"""Random tiny models, and npgpt run on them."""

from dataclasses import dataclass

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st

from npgpt._config import from_json
from npgpt.model._forward import forward
from npgpt.model._parameters import from_arrays
from oracle.bounds._noise import measure
from oracle.strategies._configs import configs
from oracle.strategies._weights import weights
from tests.helpers.device import DEVICE

# A model takes hundreds of times longer than an op: 50 examples where the ops get 200.
whole_models = settings(max_examples=settings.default.max_examples // 4)


@dataclass(frozen=True)
class TinyModel:
    """A configuration and weights, drawn at random, and the dtype npgpt is to compute in."""

    config: dict
    weights: dict
    dtype: str

    @property
    def arguments(self):
        """npgpt's (parameters, config). The parameters are read-only: writing to them fails."""
        config = from_json(self.config)
        arrays = {name: array.astype(self.dtype) for name, array in self.weights.items()}
        for array in arrays.values():
            array.flags.writeable = False
        return from_arrays(arrays, config), config

    def run(self, tokens, **options):
        return forward(tokens, *self.arguments, **options)

    def measure(self, row, **options):
        return measure(self.weights, self.config, row, dtype=self.dtype, device=DEVICE, **options)


@st.composite
def tiny_models(draw, **fixed):
    config = draw(configs(**fixed))
    return TinyModel(config, draw(weights(config)), draw(st.sampled_from(["float32", "float64"])))


@st.composite
def rows(draw, model, *, least=1):
    """Token ids (query,) that fit the model's context."""
    length = draw(st.integers(least, model.config["n_positions"]))
    seed = draw(st.integers(0, 2**32 - 1))
    return np.random.default_rng(seed).integers(0, model.config["vocab_size"], length)
