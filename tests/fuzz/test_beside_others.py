"""What npgpt takes of files with some bytes changed, others read the same numbers from."""

import contextlib
import os
import random

import pytest
import safetensors.torch
import torch

from npgpt.checkpoints._weights import read_weights
from npgpt.errors import NpgptError
from tests.helpers.checkpoint_making import safetensors_bytes, torch_bytes
from tests.helpers.fuzz_seeds import SEEDS, WORDS, mutated

RUNS = int(os.environ.get("NPGPT_FUZZ_RUNS", "600"))
_SEPARATOR = b"\n=\n"


def described(tensors):
    """Of each tensor: its dtype, its shape, its bytes."""
    return {
        name: (
            str(tensor.dtype).removeprefix("torch."),
            tuple(tensor.shape),
            bytes(tensor.detach().contiguous().flatten().view(torch.uint8).numpy()),
        )
        for name, tensor in tensors.items()
    }


def theirs_of_safetensors(path):
    return described(safetensors.torch.load(path.read_bytes()))


def theirs_of_torch(path):
    try:
        found = torch.load(path, weights_only=True, map_location="cpu")
    except RuntimeError as error:
        # The one thing that torch needs and npgpt does not: the version of an archive.
        assert 'hasRecord("version")' in str(error)  # noqa: PT017
        return None
    return described(found["model"] if isinstance(found.get("model"), dict) else found)


def in_safetensors(data):
    header, _, numbers = data[1:].partition(_SEPARATOR)
    return safetensors_bytes(header, numbers) if data[:1] == b"h" else data[1:]


def in_zip(data):
    pickle, _, numbers = data[1:].partition(_SEPARATOR)
    return torch_bytes(pickle, {"data/0": numbers}) if data[:1] == b"p" else data[1:]


CASES = {
    "safetensors": (in_safetensors, theirs_of_safetensors),
    "torch_zip": (in_zip, theirs_of_torch),
    "torch_legacy": (bytes, theirs_of_torch),
}


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@pytest.mark.parametrize("reader", CASES)
def test_the_same_numbers(new_path, reader):
    made, theirs_of = CASES[reader]
    rng, seeds, taken = random.Random(f"beside {reader}"), SEEDS[reader](), 0
    for _ in range(RUNS):
        path = new_path()
        path.write_bytes(made(mutated(seeds, WORDS[reader], rng)) or b" ")
        with contextlib.suppress(NpgptError):
            ours = read_weights(path).tensors
            taken += 1
            theirs = theirs_of(path)
            assert theirs is None or theirs == {
                name: (stored.dtype.name, stored.data.shape, stored.data.tobytes())
                for name, stored in ours.items()
            }, path
        path.unlink()
    assert taken > RUNS // 200
