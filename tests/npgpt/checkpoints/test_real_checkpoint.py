"""A real checkpoint, saved by transformers on a GPU in 2024, against torch's own reader."""

import numpy as np
import pytest
import torch

from npgpt.checkpoints._listing import list_tensors
from npgpt.checkpoints._loading import load as load_checkpoint
from npgpt.checkpoints._saving import save
from npgpt.model._parameters import to_arrays
from tests.helpers.real_data import mgm_checkpoint


@pytest.fixture(scope="module")
def folder():
    return mgm_checkpoint()


@pytest.fixture(scope="module")
def theirs(folder):
    return torch.load(folder / "pytorch_model.bin", map_location="cpu", weights_only=True)


def test_every_weight_is_what_torch_reads(folder, theirs):
    checkpoint = load_checkpoint(folder)
    assert checkpoint.config.vocab_size == 9669
    assert checkpoint.generation_config["pad_token_id"] == 0
    arrays = to_arrays(checkpoint.parameters)
    assert len(arrays) == 100
    for name, array in arrays.items():
        assert np.array_equal(array, theirs[f"transformer.{name}"].numpy()), name
    assert checkpoint.parameters.lm_head is checkpoint.parameters.wte
    assert np.array_equal(checkpoint.parameters.wte.weight, theirs["lm_head.weight"].numpy())


def test_the_listing(folder, theirs):
    listing = list_tensors(folder)
    assert (listing.format, listing.prefix) == ("torch zip", "transformer.")
    assert {(e.name, e.shape) for e in listing.tensors} == {
        (name, tuple(tensor.shape)) for name, tensor in theirs.items()
    }


def test_saved_as_safetensors(folder, tmp_path):
    checkpoint = load_checkpoint(folder)
    save(tmp_path, checkpoint.config, checkpoint.parameters)
    again = to_arrays(load_checkpoint(tmp_path).parameters)
    for name, array in to_arrays(checkpoint.parameters).items():
        assert np.array_equal(again[name], array), name
