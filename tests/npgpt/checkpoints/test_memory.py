"""No file makes a reader take much more memory than the file's own size."""

import tracemalloc

import pytest

from npgpt.checkpoints._files import JSON_LIMIT
from npgpt.checkpoints._safetensors import read_safetensors
from npgpt.checkpoints._torch.inert_pickle import PICKLE_LIMIT
from npgpt.checkpoints._torch.zip import read_torch_zip
from npgpt.errors import CheckpointError
from tests.helpers.checkpoint_making import (
    ORDERED_DICT,
    integers,
    pickled,
    state,
    tensor,
    torch_bytes,
)

MUCH = 64 * 2**20


def repeated(unit, start, end, limit):
    count = (limit - len(start) - len(end)) // len(unit)
    return start + unit * count + end


JSON = {
    "objects": repeated(b'{"":{}},', b'{"a":[', b"0]}", JSON_LIMIT),
    "wide characters": repeated("\U0001f600".encode(), b'{"', b'":0}', JSON_LIMIT - 4),
    "many fields": b"{" + b",".join(b'"%d":{}' % i for i in range(80_000)) + b"}",
}
PICKLES = {
    "dicts in a tuple": repeated(b"}", b"\x80\2(", b"t.", PICKLE_LIMIT),
    "ordered dicts": repeated(
        b"h\0)R", pickled(ORDERED_DICT + b"q\0")[:-1], b".", PICKLE_LIMIT),
    "tensors": state(**{
        str(i): tensor(shape=integers([1] * 32), strides=integers([i] * 32)) for i in range(1400)
    }),
}  # fmt: skip


def peak(read, path):
    tracemalloc.start()
    try:
        read(path)
    except CheckpointError:
        pass
    finally:
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    return most


@pytest.mark.parametrize("header", JSON.values(), ids=JSON)
def test_safetensors(tmp_path, header):
    assert len(header) <= JSON_LIMIT
    path = tmp_path / "a.safetensors"
    path.write_bytes(len(header).to_bytes(8, "little") + header)
    assert peak(read_safetensors, path) < path.stat().st_size + MUCH


@pytest.mark.parametrize("pickle", PICKLES.values(), ids=PICKLES)
def test_torch_pickles(tmp_path, pickle):
    assert len(pickle) <= PICKLE_LIMIT
    path = tmp_path / "a.bin"
    path.write_bytes(torch_bytes(pickle))
    assert peak(read_torch_zip, path) < path.stat().st_size + MUCH


def test_an_expanded_tensor_is_not_filled_in(tmp_path):
    wide = tensor(shape=integers([2**23]), strides=integers([0]))  # 32 MB of 4 bytes
    path = tmp_path / "a.bin"
    path.write_bytes(torch_bytes(state(a=wide)))
    assert peak(read_torch_zip, path) < 2**20
    assert read_torch_zip(path).tensors["a"].data.nbytes == 2**25
