import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from npgpt.checkpoints._files import map_file
from npgpt.checkpoints._tensorflow.crc32c import _CHUNK, _LEVELS, crc32c, masked
from tests.helpers.tensorflow_making import bytewise_crc, slow_crc, slow_mask

# RFC 3720, appendix B.4, and the catalogue of parametrised CRC algorithms.
KNOWN = {
    b"": 0,
    b"123456789": 0xE3069283,
    bytes(32): 0x8A9136AA,
    b"\xff" * 32: 0x62A8AB43,
    bytes(range(32)): 0x46DD794E,
    bytes(reversed(range(32))): 0x113FDB5C,
}
# Where another way of folding begins, and where chunks end.
LIMITS = [distance[-1] for distance in _LEVELS]
CHUNK = _LEVELS[0][0] * _CHUNK


@pytest.mark.parametrize(("data", "crc"), KNOWN.items())
def test_known_answers(data, crc):
    assert crc32c(data) == crc
    assert slow_crc(data) == bytewise_crc(data) == crc


@given(st.binary(max_size=2000))
def test_short_messages(data):
    assert crc32c(data) == slow_crc(data)


@pytest.mark.parametrize("limit", LIMITS)
@pytest.mark.parametrize("more", [-5, -4, -3, -1, 0, 1, 700])
def test_lengths_near_the_limits(limit, more):
    data = np.random.default_rng(limit).bytes(limit + more)
    assert crc32c(data) == slow_crc(data)


@pytest.mark.parametrize("size", [CHUNK + LIMITS[0] - 5, CHUNK + LIMITS[0], 3 * CHUNK + 12345])
def test_long_messages(size):
    data = np.random.default_rng(size).bytes(size)
    assert crc32c(data) == bytewise_crc(data)


def test_each_byte_of_a_long_message_counts():
    size = CHUNK + LIMITS[0] + 1000
    data = np.zeros(size, np.uint8)
    plain = crc32c(data)
    seen = set()
    for at in range(0, size, size // 100):
        data[at] = 1
        seen.add(crc32c(data))
        data[at] = 0
    assert plain not in seen
    assert len(seen) == len(range(0, size, size // 100))


@given(st.integers(0, 2**32 - 1))
def test_masked(crc):
    assert masked(crc).to_bytes(4, "little") == slow_mask(crc)


def test_mapped_memory_and_odd_offsets(tmp_path):
    data = np.random.default_rng(1).bytes(CHUNK)
    path = tmp_path / "data"
    path.write_bytes(data)
    stretch = np.frombuffer(map_file(path), np.uint8, CHUNK - 8, 3)
    assert crc32c(stretch) == crc32c(data[3:-5])
    assert stretch.tobytes() == data[3:-5]
