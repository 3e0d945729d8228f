"""Weights that stay in 16 bits, and checkpoints opened within a memory."""

import json
import warnings

import numpy as np
import pytest
import torch

from npgpt._config import to_json
from npgpt.checkpoints._loading import load as load_checkpoint
from npgpt.checkpoints._safetensors import write_safetensors
from npgpt.checkpoints._saving import save
from npgpt.checkpoints._tensors import from_bfloat16
from npgpt.errors import NonFiniteWarning, SettingError
from npgpt.model._paging import resident
from npgpt.model._parameters import to_arrays
from tests.helpers.checkpoint_making import (
    TINY,
    UNTIED,
    is_mapped,
    random_arrays,
    random_parameters,
)

LINUX = pytest.mark.skipif(resident() is None, reason="no /proc/self/statm, or no madvise")
KEPT = {"float16": np.float16, "bfloat16": np.uint16}
PLENTY = 10**12


def saved(folder, stored, config=TINY):
    save(folder, config, random_parameters(config), dtype=stored)
    return folder


def floats(array):
    return from_bfloat16(array) if array.dtype == np.uint16 else array


@pytest.mark.parametrize("config", [TINY, UNTIED], ids=["tied", "untied"])
@pytest.mark.parametrize("stored", KEPT)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_matrices_stay_in_the_file_and_vectors_are_widened(tmp_path, config, stored, dtype):
    saved(tmp_path, stored, config)
    kept = load_checkpoint(tmp_path, dtype=dtype, widen=False).parameters
    wide = to_arrays(load_checkpoint(tmp_path, dtype=dtype).parameters)
    assert kept.dtype == dtype
    for name, array in to_arrays(kept).items():
        assert array.dtype == (KEPT[stored] if array.ndim > 1 else dtype)
        assert is_mapped(array) == (array.ndim > 1)
        assert not array.flags.writeable
        assert np.array_equal(floats(array), wide[name])


@pytest.mark.parametrize("stored", ["float32", "float64"])
def test_wide_ones_are_what_they_are_otherwise(tmp_path, stored):
    saved(tmp_path, stored)
    for dtype in (np.float32, np.float64):
        parameters = load_checkpoint(tmp_path, dtype=dtype, widen=False).parameters
        for array in to_arrays(parameters).values():
            assert array.dtype == dtype
            assert is_mapped(array) == (dtype == np.dtype(stored))


@pytest.mark.parametrize("stored", KEPT)
def test_archives_of_torch_too(tmp_path, stored):
    form = getattr(torch, stored)
    arrays = {name: torch.from_numpy(a).to(form) for name, a in random_arrays(TINY).items()}
    arrays["wpe.weight"] = arrays["wpe.weight"].T.contiguous().T  # columns lie together
    (tmp_path / "config.json").write_text(json.dumps(to_json(TINY)))
    torch.save(arrays, tmp_path / "pytorch_model.bin")
    for name, array in to_arrays(load_checkpoint(tmp_path, widen=False).parameters).items():
        assert np.array_equal(floats(array), arrays[name].float().numpy())
        assert array.flags.forc
        assert array.ndim == 1 or array.dtype == KEPT[stored]
        assert is_mapped(array) == (array.ndim > 1)


@pytest.mark.parametrize("stored", KEPT)
@pytest.mark.parametrize("again", ["float16", "bfloat16", "float32"])
def test_what_is_kept_can_be_saved(tmp_path, stored, again):
    kept = load_checkpoint(saved(tmp_path / "a", stored), widen=False)
    wide = load_checkpoint(tmp_path / "a")
    for folder, checkpoint in (("b", kept), ("c", wide)):
        save(tmp_path / folder, TINY, checkpoint.parameters, dtype=again)
    b, c = ((tmp_path / folder / "model.safetensors").read_bytes() for folder in "bc")
    assert b == c


@pytest.mark.parametrize("options", [{"widen": False}, {"memory": PLENTY}])
@pytest.mark.parametrize("stored", KEPT)
def test_infinite_weights_are_said(tmp_path, stored, options):
    if "memory" in options and resident() is None:
        pytest.skip("no /proc/self/statm, or no madvise")
    arrays = random_arrays(TINY)
    arrays["wte.weight"][1, 1] = np.nan
    arrays["h.1.mlp.c_fc.weight"][0, 0] = -np.inf
    (tmp_path / "config.json").write_text(json.dumps(to_json(TINY)))
    write_safetensors(tmp_path / "model.safetensors", arrays, dtype=stored)
    with pytest.warns(NonFiniteWarning, match=r"infinity in wte.weight, h.1.mlp.c_fc.weight; "):
        load_checkpoint(tmp_path, **options)


@LINUX
@pytest.mark.parametrize("stored", [*KEPT, "float32"])
def test_a_memory_keeps_everything_as_it_is_stored(tmp_path, stored):
    saved(tmp_path, stored)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        parameters = load_checkpoint(tmp_path, memory=PLENTY).parameters
    for array in to_arrays(parameters).values():
        assert array.ndim == 1 or is_mapped(array)
        assert array.dtype == (np.float32 if array.ndim == 1 else KEPT.get(stored, np.float32))


@pytest.mark.parametrize(("stored", "dtype"), [("float32", "float64"), ("float64", "float32")])
def test_weights_that_would_be_converted_as_a_whole_fit_no_memory(tmp_path, stored, dtype):
    saved(tmp_path, stored)
    with pytest.raises(SettingError, match=rf"memory is {PLENTY}, .*wte.weight is {stored}; "):
        load_checkpoint(tmp_path, dtype=dtype, memory=PLENTY)
