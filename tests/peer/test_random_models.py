"""Small models with every field of the config that changes the forward pass, and random weights."""

from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from npgpt import GPT
from npgpt._config import Config
from npgpt.model._parameters import from_arrays
from oracle.bounds._compare import excess
from oracle.bounds._noise import measure, noise_floor
from oracle.strategies._configs import configs
from oracle.strategies._tokens import batches
from oracle.strategies._weights import weights
from tests.helpers.decision_verdicts import few_ties
from tests.helpers.transformers_gpt2 import build, judge, logits_of, padded

EXAMPLES = 50
# transformers knows no more columns than positions, so no row is wider than the context here.
PADDINGS = ("none", "left", "right", "middle")


def ours(arrays: dict, config: dict, dtype: str) -> GPT:
    known = Config(**config)
    return GPT(known, from_arrays({n: a.astype(dtype) for n, a in arrays.items()}, known))


def theirs(arrays: dict, config: dict, **options) -> object:
    # In float64 transformers cannot run with this flag (see test_model_differences.py).
    upcast = config["reorder_and_upcast_attn"] and options.get("dtype") is torch.float32
    return build(arrays, {**config, "reorder_and_upcast_attn": upcast}, **options)


@settings(max_examples=EXAMPLES)
@given(st.data())
def test_logits_of_padded_batches(data):
    config = data.draw(configs())
    arrays = data.draw(weights(config))
    batch = data.draw(batches(config, max_padding=0, paddings=PADDINGS))
    tokens, mask = batch.tokens, batch.mask
    reference = logits_of(theirs(arrays, config), tokens, mask)
    candidates = {
        "float32": (
            ours(arrays, config, "float32").logits(tokens, mask),
            logits_of(theirs(arrays, config, dtype=torch.float32), tokens, mask),
        ),
        "float64": (ours(arrays, config, "float64").logits(tokens, mask),),
    }
    for dtype, found in candidates.items():
        judged, allowed = noise_floor(arrays, config, tokens, mask, dtype=dtype)
        # In float64 the reference rounds as much as the candidate does.
        sides = 2 if dtype == "float64" else 1
        allowed = np.broadcast_to(sides * allowed, reference.shape)[mask]
        for logits in found:
            assert excess(logits[mask], reference[mask], allowed) <= 1
        # And so is the project's own oracle, in float64 whatever the floor is that of.
        assert excess(judged[mask], reference[mask], allowed) <= 1


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_greedy_generation_of_ragged_rows(dtype):
    """With a cache, and rows that end at different times; ties are counted over all examples."""
    verdicts = Counter()

    @settings(max_examples=EXAMPLES, database=None)
    @given(st.data())
    def generates(data):
        config = data.draw(configs(max_positions=10).filter(lambda c: c["n_positions"] > 2))
        arrays = data.draw(weights(config, kinds=("trained",)))
        batch = data.draw(batches({**config, "n_positions": config["n_positions"] // 2}))
        told = {"eos_token_id": 0, "repetition_penalty": data.draw(st.sampled_from([1.0, 1.5]))}
        prompts = [row.tolist() for row in batch.rows]
        result = ours(arrays, config, dtype).generate(
            prompts, max_length=config["n_positions"], **told
        )
        tokens, mask = padded(result.sequences, "right")
        logits = logits_of(theirs(arrays, config), tokens, mask)
        for index, row in enumerate(result.sequences):
            noise = measure(arrays, config, np.array(row), dtype=dtype)
            limit = noise.allowed() * (2 if dtype == "float64" else 1)
            verdicts.update(judge(told, row, len(prompts[index]), logits[index], limit))

    generates()
    assert few_ties(verdicts), verdicts
