"""A model of the real 124M size with random weights, in each form that transformers saves."""

import functools
import shutil

import numpy as np
import pytest
import torch

import npgpt
from npgpt.model._parameters import to_arrays
from oracle.bounds._compare import excess
from oracle.bounds._noise import measure
from tests.helpers.transformers_gpt2 import logits_of, open_folder, plain_weights, transformers

PROMPT = [50256, 464, 3290, 318, 262]
FORMS = ("safetensors", "sharded", "bin")


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """Folders by form, half a gigabyte each, deleted as soon as this module is done."""
    home = tmp_path_factory.mktemp("released_size")
    torch.manual_seed(0)
    model = transformers.GPT2LMHeadModel(transformers.GPT2Config())
    model.save_pretrained(home / "safetensors")
    model.save_pretrained(home / "sharded", max_shard_size="100MB")
    if transformers.__version__.startswith("4."):
        model.save_pretrained(home / "bin", safe_serialization=False)
    else:  # these releases write safetensors only
        model.config.save_pretrained(home / "bin")
        torch.save(model.state_dict(), home / "bin" / "pytorch_model.bin")
    yield home
    shutil.rmtree(home)


@functools.cache
def measured(folder):
    """transformers' logits in float64, and what a float32 model may differ by."""
    model = open_folder(folder)
    weights = {name: array.astype(np.float32) for name, array in plain_weights(model).items()}
    noise = measure(weights, {}, np.array(PROMPT), dtype="float32")
    return weights, logits_of(model, np.array([PROMPT])), noise.allowed()


@pytest.mark.parametrize("form", FORMS)
def test_arrays_and_logits(saved, form):
    weights, reference, allowed = measured(saved / "safetensors")
    gpt = npgpt.load(saved / form)
    assert gpt.config.n_layer == 12
    found = to_arrays(gpt.parameters)
    assert found.keys() == weights.keys()
    assert all(np.array_equal(found[name], array) for name, array in weights.items())
    assert sum(array.size for array in found.values()) == 124_439_808
    assert excess(gpt.logits([PROMPT]), reference, allowed) <= 1


def test_what_was_saved_is_what_the_names_say(saved):
    files = {form: sorted(path.suffix for path in (saved / form).iterdir()) for form in FORMS}
    assert files["safetensors"].count(".safetensors") == 1
    assert files["sharded"].count(".safetensors") > 1
    assert ".bin" in files["bin"]
    assert ".safetensors" not in files["bin"]
    assert (saved / "sharded" / "model.safetensors.index.json").exists()


def test_generation_defaults_of_the_folder(saved):
    """GPT2Config's end of text ends a row: its generation_config.json says so."""
    assert npgpt.load(saved / "safetensors").settings().eos_token_id == 50256
