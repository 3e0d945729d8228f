import mmap
import sys

import numpy as np
import pytest

from npgpt.checkpoints._files import map_file
from npgpt.model._paging import is_mapped, release, resident

PAGING = sys.modules[resident.__module__]
LINUX = pytest.mark.skipif(resident() is None, reason="no /proc/self/statm, or no madvise")
COUNT = 2**24  # float32: 64 MB, next to which what else the process does is nothing


@pytest.fixture
def array(tmp_path):
    path = tmp_path / "numbers"
    np.arange(COUNT, dtype=np.float32).tofile(path)
    return np.frombuffer(map_file(path), np.float32)


def test_views_of_a_file_without_gaps_are_mapped(array):
    for view in (array, array[5:], array.reshape(4, -1), array.reshape(4, -1).T):
        assert is_mapped(view)
    for other in (array[::2], array + 1, np.zeros(3), np.frombuffer(b"1234", np.uint8)):
        assert not is_mapped(other)


@LINUX
def test_what_is_released_takes_no_memory_and_comes_back(array):
    total = float(array.sum(dtype=np.float64))
    full = resident()
    release(array[: COUNT // 2])
    half = resident()
    release(array.reshape(2, -1).T)
    none = resident()
    for before, after in ((full, half), (half, none)):
        assert COUNT < before - after < 3 * COUNT  # 2 * COUNT bytes
    assert float(array.sum(dtype=np.float64)) == total


def test_nothing_happens_to_other_arrays(array):
    for other in (np.ones(9), array[:0], array[::2], np.ones((2, 0))):
        release(other)
    assert (np.ones(9) == 1).all()
    assert array[COUNT - 1] == COUNT - 1


def test_a_stretch_in_the_middle_of_a_page(array):
    for start in (1, mmap.PAGESIZE // 4 - 1, mmap.PAGESIZE // 4, COUNT - 1):
        release(array[start : start + 1])
        assert array[start] == start


def test_without_madvise_nothing_is_given_back(array, monkeypatch):
    monkeypatch.setattr(PAGING, "_ADVICE", None)
    release(array)
    assert resident() is None


def test_without_proc_nothing_is_told(monkeypatch, tmp_path):
    monkeypatch.setattr(PAGING, "_STATUS", tmp_path / "statm")
    assert resident() is None
