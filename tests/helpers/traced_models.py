"""Tiny models with everything that a pass of theirs records."""

import numpy as np
from hypothesis import strategies as st

from npgpt.trace import Recorder
from oracle.strategies._weights import build_weights
from tests.helpers.tiny_models import TinyModel, rows, tiny_models


@st.composite
def traced_models(draw, **fixed):
    """A model, tokens (batch, query), and the Recorder of its pass on them."""
    model = draw(tiny_models(**({"max_layer": 2, "max_positions": 6} | fixed)))
    return traced(model, draw(rows(model)))


def one_traced_model():
    """The same, of one model: where any will do."""
    config = {
        "vocab_size": 7, "n_positions": 6, "n_embd": 6, "n_layer": 2, "n_head": 3, "n_inner": 5,
        "tie_word_embeddings": True,
    }  # fmt: skip
    model = TinyModel(config, build_weights("trained", 0, config), "float32")
    return traced(model, np.array([3, 1, 4, 1]))


def traced(model, row):
    tokens = (row[None] + [[0], [1]]) % model.config["vocab_size"]
    trace = Recorder()
    model.run(tokens, tap=trace)
    return model, tokens, trace
