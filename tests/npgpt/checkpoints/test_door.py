"""What npgpt.checkpoints offers and shows of itself, and what opening a model leaves unloaded."""

import json
import subprocess
import sys

import numpy as np
import pytest

import npgpt.checkpoints
from npgpt._config import Config
from npgpt._gpt import shipped
from npgpt.checkpoints import DIALECTS, FORMATS, inspect, list_tensors, load, save
from npgpt.checkpoints._tensors import FLOAT32, Stored
from npgpt.checkpoints._weights import read_weights
from npgpt.model._parameters import to_arrays
from tests.helpers.command_line import output


@pytest.fixture(scope="module")
def checkpoint():
    return load(shipped())


def test_all_is_there():
    for name in npgpt.checkpoints.__all__:
        assert getattr(npgpt.checkpoints, name).__doc__ or name in ("FORMATS", "DIALECTS")
        assert name in dir(npgpt.checkpoints)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        npgpt.checkpoints.nothing  # noqa: B018


def test_saved_and_loaded(checkpoint, tmp_path):
    save(tmp_path, checkpoint.config, checkpoint.parameters, checkpoint.tokenizer)
    again = load(tmp_path)
    assert (again.config, again.tokenizer) == (checkpoint.config, checkpoint.tokenizer)
    arrays = to_arrays(again.parameters)
    for name, array in to_arrays(checkpoint.parameters).items():
        assert np.array_equal(arrays[name], array)


def test_inspected_is_what_the_command_prints():
    printed = json.loads(output("inspect", "--json"))
    assert printed.pop("schema").startswith("npgpt.inspect/")
    assert json.loads(json.dumps(inspect(shipped()))) == printed


def test_inspected_where_it_is_refused(tmp_path):
    (tmp_path / "model.safetensors").write_bytes(b"\x80\4garbage")
    facts = inspect(tmp_path)
    assert (facts["format"], facts["safe"]) == ("pickle", False)
    assert "a bare pickle" in facts["refused"]


def test_what_is_shown_fits_a_screen(checkpoint):
    weights = read_weights(shipped())
    opened = [checkpoint, checkpoint.tokenizer, checkpoint.config, checkpoint.listing, weights]
    for value in [*opened, *weights.tensors.values(), *FORMATS, *DIALECTS]:
        assert len(repr(value)) < 800


def test_equality_and_hash_raise_nothing(checkpoint):
    stored = [Stored(FLOAT32, np.zeros(2, "<f4"), shipped()) for _ in range(2)]
    for one, other in ([checkpoint, load(shipped())], stored):
        assert one == one
        assert one != other
        assert len({one, other}) == 2
    again = load(shipped())
    for one, other in (
        [checkpoint.config, again.config],
        [checkpoint.tokenizer, again.tokenizer],
        [list_tensors(shipped()), checkpoint.listing],
    ):
        assert one == other
        assert hash(one) == hash(other)
    assert checkpoint.config != Config()
    assert {DIALECTS[0]: 1, FORMATS[0]: 2}


def test_opening_a_model_loads_no_more_than_it_needs():
    program = "import sys, npgpt._cli.program; npgpt.load(); print(*sys.modules)"
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    loaded = set(ran.stdout.split())
    assert "npgpt.checkpoints._safetensors" in loaded
    for name in ("inspection", "llmc", "torch", "hub.fetch", "hub.library", "gguf",
                 "tensorflow.bundle"):  # fmt: skip
        assert f"npgpt.checkpoints.{name}" not in loaded
    assert "zipfile" not in loaded
