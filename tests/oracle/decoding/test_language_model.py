"""GPT-2 behind the decoders, on the device under test."""

import pytest
import torch

from oracle import model
from oracle.decoding._decoders import generate
from oracle.decoding._language_model import from_weights
from oracle.strategies._weights import build_weights
from tests.helpers.device import DEVICE

CONFIG = {"vocab_size": 11, "n_positions": 12, "n_embd": 8, "n_layer": 2, "n_head": 2}
CONFIG |= {"n_inner": 16, "tie_word_embeddings": True}
ROWS = [[1, 2, 3], [4], [5, 6, 7, 8, 9], [10, 0]]


def weights(dtype=torch.float64, seed=0):
    arrays = build_weights("trained", seed, CONFIG)
    return {name: torch.tensor(array).to(DEVICE, dtype) for name, array in arrays.items()}


@pytest.mark.parametrize("rows_at_once", [1, 3, 64])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_rows_together_are_the_rows_alone(dtype, rows_at_once):
    tensors = weights(dtype)
    found = from_weights(tensors, CONFIG, rows_at_once=rows_at_once)
    logits, hidden = found.logits_of(ROWS), found.hidden_of(ROWS)
    assert (logits.dtype, logits.device.type) == (dtype, DEVICE.type)
    # What padding leaves over is rounding: far less than what another place or row would give.
    room = 64 * torch.finfo(dtype).eps
    for row, got, states in zip(ROWS, logits, hidden, strict=True):
        alone = model.forward(tensors, CONFIG, torch.tensor([row], device=DEVICE))
        scale = alone.logits.abs().max() + 1
        assert (got - alone.logits[0, -1]).abs().max() <= room * scale
        assert states.shape == (len(row), 8)
        assert (states - alone.hidden[0]).abs().max() <= room * (alone.hidden.abs().max() + 1)


@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"do_sample": True, "top_p": 0.9},
        {"num_beams": 3, "num_return_sequences": 2, "eos_token_id": 3},
        {"num_beams": 2, "do_sample": True},
        {"num_beams": 4, "num_beam_groups": 2, "diversity_penalty": 1.0},
        {"num_beams": 3, "force_words_ids": [[7, 7]]},
        {"penalty_alpha": 0.6, "top_k": 4},
        {"prompt_lookup_num_tokens": 3},
    ],
    ids=str,
)
def test_every_decoder_runs_on_it_up_to_the_last_position(asked):
    language_model = from_weights(weights(), CONFIG)
    generator = torch.Generator().manual_seed(0)
    us = torch.rand(4, 12, 6, generator=generator).double().numpy()
    us = us if asked.get("num_beams") else us[..., 0]
    found = generate(language_model, ROWS, {"max_length": 12, **asked}, uniforms=us)
    assert max(map(len, found.sequences)) == 12
    for row, logprobs in zip(found.sequences, found.logprobs, strict=True):
        logits = model.logits(weights(), CONFIG, torch.tensor([row], device=DEVICE))[0]
        own = logits.log_softmax(-1)[range(len(row) - 1), row[1:]][-len(logprobs) :]
        assert (own.cpu() - torch.tensor(logprobs, dtype=torch.float64)).abs().max() <= 2.0**-40


@pytest.mark.parametrize("seed", range(4))
def test_dtypes_agree_within_the_margins(seed):
    """float32 decides as float64 does wherever its logits are off by less than the margins."""
    narrow, wide = weights(torch.float32, seed), weights(torch.float64, seed)
    asked = {"max_new_tokens": 4, "num_beams": 3}
    found = generate(from_weights(wide, CONFIG), ROWS, asked)
    other = generate(from_weights(narrow, CONFIG), ROWS, asked)
    for row, again, margins in zip(found.sequences, other.sequences, found.margins, strict=True):
        met = [row[:n] for n in range(1, len(row) + 1)]
        exact, near = (from_weights(w, CONFIG).logits_of(met) for w in (wide, narrow))
        off = (exact - near.double()).abs().max()
        # Texts that were not returned may be off by more, though hardly by twice as much.
        assert row == again or min(margins) <= 2 * off
