"""Where transformers' models and tokenizers mean something else than npgpt's: docs/differences.md.

Each test shows both sides, so that a release of transformers that changes its mind is noticed.
"""

import numpy as np
import pytest
import torch

from npgpt import GPT
from npgpt._config import Config
from npgpt.errors import ContextLengthError, TokenizerError
from npgpt.model._parameters import from_arrays
from npgpt.tokenizer._files import load as load_tokenizer
from npgpt.tokenizer._files import save as save_tokenizer
from oracle.bounds._compare import excess
from oracle.bounds._noise import measure
from oracle.strategies._weights import build_weights
from tests.helpers.real_data import gpt2_tokenizer
from tests.helpers.transformers_gpt2 import VERSION, build, logits_of, padded, transformers

CONFIG = {
    "vocab_size": 20,
    "n_positions": 8,
    "n_embd": 6,
    "n_layer": 2,
    "n_head": 2,
    "n_inner": None,
    "tie_word_embeddings": True,
}
FLAGS = [{"scale_attn_weights": False}, {"scale_attn_by_inverse_layer_idx": True}]
WEIGHTS = build_weights("trained", 0, CONFIG)
ROW = [5, 0, 12, 3]
END = "<|endoftext|>"


def ours(config: dict, tokens, mask=None) -> np.ndarray:
    wide = {name: array.astype(np.float64) for name, array in WEIGHTS.items()}
    return GPT(Config(**config), from_arrays(wide, Config(**config))).logits(tokens, mask)


def rounding(config: dict) -> float:
    """How far apart two models in float64 may be after ROW."""
    return 2 * measure(WEIGHTS, config, np.array(ROW), dtype="float64").allowed()


def test_forward_numbers_pads_as_positions():
    tokens, mask = padded([ROW, [1] * 6], "left")
    told = logits_of(build(WEIGHTS, CONFIG), tokens, mask)[0, 2:]
    with torch.no_grad():
        output = build(WEIGHTS, CONFIG)(
            torch.from_numpy(tokens), attention_mask=torch.from_numpy(mask.astype(np.int64))
        )
    assert excess(output.logits[0, 2:].numpy(), told, rounding(CONFIG)) > 1
    assert excess(ours(CONFIG, tokens, mask)[0, 2:], told, rounding(CONFIG)) <= 1


@pytest.mark.parametrize("flag", FLAGS, ids=str)
def test_scale_flags_under_sdpa(flag):
    """sdpa is the default of both; version 4.49 forgets the flags there."""
    tokens, config = np.array([ROW]), CONFIG | flag
    eager, sdpa = (
        logits_of(build(WEIGHTS, config, attn_implementation=name), tokens)
        for name in ("eager", "sdpa")
    )
    assert (
        transformers.GPT2LMHeadModel(transformers.GPT2Config(**CONFIG)).config._attn_implementation
        == "sdpa"
    )
    assert excess(ours(config, tokens), eager, rounding(config)) <= 1
    assert (excess(sdpa, eager, rounding(config)) <= 1) == (VERSION[0] > 4)


def test_upcast_in_float64():
    """Asked for attention scores in float32 at least, theirs can be no more precise than that."""
    tokens, config = np.array([ROW]), CONFIG | {"reorder_and_upcast_attn": True}
    with pytest.raises(RuntimeError, match="Error with upcasting"):
        logits_of(build(WEIGHTS, config), tokens)
    plain = logits_of(build(WEIGHTS, CONFIG), tokens)
    assert excess(ours(config, tokens), plain, rounding(CONFIG)) <= 1


def test_past_n_positions():
    tokens = np.ones((1, CONFIG["n_positions"] + 1), np.int64)
    with pytest.raises(IndexError, match="out of range"):
        logits_of(build(WEIGHTS, CONFIG | {"n_positions": 8}), tokens)
    with pytest.raises(ContextLengthError, match="n_positions = 8"):
        ours(CONFIG, tokens)


@pytest.fixture(scope="module")
def tokenizers(tmp_path_factory):
    folder, tokenizer = tmp_path_factory.mktemp("real"), load_tokenizer(gpt2_tokenizer())
    save_tokenizer(tokenizer, folder)
    return tokenizer, transformers.GPT2TokenizerFast.from_pretrained(folder)


def test_special_tokens_in_a_text(tokenizers):
    """Theirs obeys whoever wrote the text; npgpt only whom the caller allows."""
    mine, other = tokenizers
    assert other.encode(f"a{END}") == [64, 50256]
    assert 50256 not in mine.encode(f"a{END}")
    assert mine.encode(f"a{END}", allowed_special="all") == [64, 50256]


def test_an_unknown_id(tokenizers):
    mine, other = tokenizers
    assert other.decode([64, 50257]) == "a"
    with pytest.raises(TokenizerError, match="50257"):
        mine.decode([64, 50257])
