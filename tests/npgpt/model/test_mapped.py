import mmap

import numpy as np
import pytest

from npgpt.checkpoints.files import map_file
from npgpt.model import mapped

LINUX = pytest.mark.skipif(mapped.resident() is None, reason="no /proc/self/statm, or no madvise")
COUNT = 2**24  # float32: 64 MB, next to which what else the process does is nothing


@pytest.fixture
def array(tmp_path):
    path = tmp_path / "numbers"
    np.arange(COUNT, dtype=np.float32).tofile(path)
    return np.frombuffer(map_file(path), np.float32)


def test_views_of_a_file_without_gaps_are_mapped(array):
    for view in (array, array[5:], array.reshape(4, -1), array.reshape(4, -1).T):
        assert mapped.is_mapped(view)
    for other in (array[::2], array + 1, np.zeros(3), np.frombuffer(b"1234", np.uint8)):
        assert not mapped.is_mapped(other)


@LINUX
def test_what_is_released_takes_no_memory_and_comes_back(array):
    total = float(array.sum(dtype=np.float64))
    full = mapped.resident()
    mapped.release(array[: COUNT // 2])
    half = mapped.resident()
    mapped.release(array.reshape(2, -1).T)
    none = mapped.resident()
    for before, after in ((full, half), (half, none)):
        assert COUNT < before - after < 3 * COUNT  # 2 * COUNT bytes
    assert float(array.sum(dtype=np.float64)) == total


def test_nothing_happens_to_other_arrays(array):
    for other in (np.ones(9), array[:0], array[::2], np.ones((2, 0))):
        mapped.release(other)
    assert (np.ones(9) == 1).all()
    assert array[COUNT - 1] == COUNT - 1


def test_a_stretch_in_the_middle_of_a_page(array):
    for start in (1, mmap.PAGESIZE // 4 - 1, mmap.PAGESIZE // 4, COUNT - 1):
        mapped.release(array[start : start + 1])
        assert array[start] == start


def test_without_madvise_nothing_is_given_back(array, monkeypatch):
    monkeypatch.setattr(mapped, "_ADVICE", None)
    mapped.release(array)
    assert mapped.resident() is None


def test_without_proc_nothing_is_told(monkeypatch, tmp_path):
    monkeypatch.setattr(mapped, "_STATUS", tmp_path / "statm")
    assert mapped.resident() is None
