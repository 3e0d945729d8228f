import zipfile
from collections import OrderedDict

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from npgpt.checkpoints._torch.zip import read_torch_zip
from tests.helpers.checkpoint_making import is_mapped, zip_bytes

DTYPES = (
    torch.float64, torch.float32, torch.float16, torch.bfloat16,
    torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.bool,
)  # fmt: skip


def bits(tensor):
    """A tensor's numbers as whole numbers, the same for the same bits."""
    tensor = tensor.detach()
    if tensor.dtype == torch.bool:
        return tensor.to(torch.uint8).numpy()
    return tensor.view({1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}[
        tensor.element_size()
    ]).numpy()  # fmt: skip


def assert_same(found, state):
    assert list(found) == list(state)
    for name, tensor in state.items():
        stored = found[name]
        assert f"torch.{stored.dtype.name}" == str(tensor.dtype)
        assert stored.data.shape == tensor.shape
        expected = bits(tensor)
        assert np.array_equal(stored.data.view(expected.dtype), expected)


def saved(path, state, **options):
    torch.save(state, path, **options)
    return read_torch_zip(path).tensors


@st.composite
def tensors(draw):
    """A tensor of any dtype and strides: a view of a larger one, transposed, expanded, stepped."""
    shape = draw(st.lists(st.integers(0, 4), max_size=4))
    count = int(np.prod(shape))
    # Small whole numbers are exact in every dtype.
    tensor = torch.arange(count).remainder(100).reshape(shape).to(draw(st.sampled_from(DTYPES)))
    if shape and draw(st.booleans()):
        tensor = tensor.transpose(0, -1)
    if shape and draw(st.booleans()):
        tensor = tensor[draw(st.integers(0, shape[-1])) :: draw(st.integers(1, 3))]
    if draw(st.booleans()):
        tensor = tensor.unsqueeze(0).expand(draw(st.integers(0, 3)), *tensor.shape)
    return tensor


@given(st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), tensors(), max_size=4),
       st.sampled_from([dict, OrderedDict]), st.integers(2, 5))  # fmt: skip
def test_what_torch_saves(new_path, state, kind, protocol):
    assert_same(saved(new_path(), kind(state), pickle_protocol=protocol), state)


def test_the_state_dict_of_a_module_with_its_metadata(tmp_path):
    module = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.LayerNorm(2))
    state = module.state_dict()
    assert state._metadata
    assert_same(saved(tmp_path / "a.bin", state), state)


def test_parameters(tmp_path):
    frozen = torch.nn.Parameter(torch.ones(3), requires_grad=False)
    state = {"a": torch.nn.Parameter(torch.arange(4.0)), "b": frozen}
    assert_same(saved(tmp_path / "a.bin", state), state)


def test_numbers_that_are_not(tmp_path):
    odd = torch.tensor([float("nan"), float("inf"), -0.0, 5e-324], dtype=torch.float64)
    state = {str(dtype): odd.to(dtype) for dtype in DTYPES[:4]}
    assert_same(saved(tmp_path / "a.bin", state), state)


def test_shared_storage_is_shared(tmp_path):
    whole = torch.arange(20.0)
    grid = whole.view(4, 5)
    state = {"whole": whole, "part": whole[2:8], "t": grid.T, "again": whole, "grid": grid}
    found = saved(tmp_path / "a.bin", state)
    assert_same(found, state)
    assert found["whole"] is found["again"]
    for name in state:
        assert np.shares_memory(found[name].data, found["whole"].data)


def test_tensors_stay_in_the_file_and_are_read_only(tmp_path):
    found = saved(tmp_path / "a.bin", {"a": torch.ones(3), "b": torch.ones(2, 3).T})
    for stored in found.values():
        assert is_mapped(stored.data)
        with pytest.raises(ValueError, match="read-only"):
            stored.data[...] = 0


def rewritten(path, change):
    """The archive of torch.save with its members changed."""
    with zipfile.ZipFile(path) as archive:
        records = {name: archive.read(name) for name in archive.namelist()}
    return zip_bytes({name: change(name, data) for name, data in records.items()})


@pytest.mark.parametrize("location", ["cuda:0", "cuda:17", "mps", "meta", "xla:0", ""])
def test_tensors_of_any_device(tmp_path, location):
    path, moved = tmp_path / "a.bin", tmp_path / "b.bin"
    state = {"a": torch.arange(3.0)}
    torch.save(state, path)
    new = location.encode()

    def move(name, data):
        return data.replace(b"X\3\0\0\0cpu", b"X" + bytes([len(new), 0, 0, 0]) + new)

    moved.write_bytes(rewritten(path, move))
    assert_same(read_torch_zip(moved).tensors, state)


def test_an_archive_without_checksums(tmp_path):
    torch.serialization.set_crc32_options(False)
    try:
        assert_same(saved(tmp_path / "a.bin", {"a": torch.ones(3)}), {"a": torch.ones(3)})
    finally:
        torch.serialization.set_crc32_options(True)


def test_archives_before_the_byteorder_record(tmp_path):
    state = {"a": torch.arange(3.0)}
    torch.save(state, tmp_path / "a.bin")
    with zipfile.ZipFile(tmp_path / "a.bin") as archive:
        old = {n: archive.read(n) for n in archive.namelist() if n.count(".") == 0 or "pkl" in n}
    old.pop("a/byteorder")
    (tmp_path / "b.bin").write_bytes(zip_bytes(old))
    assert_same(read_torch_zip(tmp_path / "b.bin").tensors, state)
