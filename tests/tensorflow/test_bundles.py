"""What TensorFlow writes, npgpt reads to the same numbers; run by `tox -e tf`."""

import itertools
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from npgpt.checkpoints._tensorflow.bundle import read_bundle
from npgpt.checkpoints._tensorflow.crc32c import crc32c, masked
from npgpt.checkpoints._tensorflow.sidecars import index_of
from npgpt.errors import CheckpointError
from tests.helpers.make_tensorflow_bundles import SAMPLES

tf = pytest.importorskip(
    "tensorflow", reason="compares with TensorFlow, which only `tox -e tf` installs"
)
KINDS = ("float16", "float32", "float64", "int8", "int16", "int32", "int64", "uint8", "bool")
ROOT = Path(__file__).parents[2]

names = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=20)
arrays = st.sampled_from(KINDS).flatmap(
    lambda kind: npst.arrays(kind, npst.array_shapes(min_dims=0, max_dims=4, min_side=0))
)
bundles = st.dictionaries(names, arrays, min_size=1, max_size=8)


@pytest.fixture(scope="module")
def new_prefix(tmp_path_factory):
    """A function that gives a path at which there is nothing yet, another one at each call."""
    folder = tmp_path_factory.mktemp("bundles")
    numbers = itertools.count()
    return lambda: folder / str(next(numbers)) / "model.ckpt"


def save(prefix, tensors):
    tf.raw_ops.SaveV2(
        prefix=str(prefix),
        tensor_names=list(tensors),
        shape_and_slices=[""] * len(tensors),
        tensors=[tf.constant(t) if isinstance(t, np.ndarray) else t for t in tensors.values()],
    )


def index(prefix):
    return prefix.with_name(f"{prefix.name}.index")


def check(stored, array):
    assert stored.dtype.name == array.dtype.name
    assert stored.data.shape == array.shape
    assert stored.data.tobytes() == array.tobytes()


def check_all(prefix, expected):
    tensors = read_bundle(index(prefix)).tensors
    assert list(tensors) == sorted(expected, key=str.encode)
    for name, array in expected.items():
        check(tensors[name], array)


@given(bundles)
def test_any_tensors(new_prefix, tensors):
    prefix = new_prefix()
    save(prefix, tensors)
    check_all(prefix, tensors)


@given(bundles, st.data())
@settings(max_examples=100)
def test_several_files(new_prefix, tensors, data):
    prefix = new_prefix()
    groups = {}
    for name, array in tensors.items():
        groups.setdefault(data.draw(st.integers(0, 2)), {})[name] = array
    parts = [prefix.with_name(f"part-{number}") for number in groups]
    for part, group in zip(parts, groups.values(), strict=True):
        save(part, group)
    tf.raw_ops.MergeV2Checkpoints(
        checkpoint_prefixes=list(map(str, parts)), destination_prefix=str(prefix)
    )
    check_all(prefix, tensors)
    assert len(read_bundle(index(prefix)).files) == 1 + len(groups)


@given(npst.arrays(np.uint16, npst.array_shapes(max_dims=2)))
@settings(max_examples=100)
def test_bfloat16(new_prefix, bits):
    prefix = new_prefix()
    save(prefix, {"a": tf.bitcast(tf.constant(bits), tf.bfloat16)})
    stored = read_bundle(index(prefix)).tensors["a"]
    assert stored.dtype.name == "bfloat16"
    assert stored.data.shape == bits.shape
    assert stored.data.tobytes() == bits.tobytes()


def test_an_index_of_several_blocks(new_prefix):
    """TensorFlow ends a block at 256 kB."""
    rng = np.random.default_rng(0)
    tensors = {rng.bytes(100).hex(): rng.standard_normal(i % 4) for i in range(2500)}
    prefix = new_prefix()
    save(prefix, tensors)
    assert index(prefix).stat().st_size > 2 * 2**18
    check_all(prefix, tensors)


@pytest.mark.parametrize("size", [10**4, 10**6, 20_000_003])
def test_large_tensors(new_prefix, size):
    prefix = new_prefix()
    tensors = {"a": np.random.default_rng(size).integers(0, 256, size, np.uint8), "b": np.ones(3)}
    save(prefix, tensors)
    check_all(prefix, tensors)


def test_checksums(new_prefix):
    """A checksum that is right for TensorFlow is right here; a changed byte is wrong for both."""
    prefix = new_prefix()
    array = np.arange(10**5, dtype=np.float32)
    save(prefix, {"a": array})
    data = prefix.with_name("model.ckpt.data-00000-of-00001")
    changed = bytearray(data.read_bytes())
    changed[123_456] ^= 1
    data.write_bytes(changed)
    with pytest.raises(CheckpointError, match="tensor 'a' has the checksum"):
        read_bundle(index(prefix))
    with pytest.raises(tf.errors.OpError, match="Checksum does not match"):
        tf.train.load_checkpoint(str(prefix)).get_tensor("a")


def test_what_npgpt_refuses(new_prefix):
    for tensor, slices, said in (
        (tf.constant(["a"]), "", "holds texts"),
        (tf.constant([1j]), "", "has dtype 18"),
        (tf.constant([[1.0, 2.0]]), "4 2 0,1:-", "slices of partitioned variables"),
    ):
        prefix = new_prefix()
        tf.raw_ops.SaveV2(
            prefix=str(prefix), tensor_names=["a"], shape_and_slices=[slices], tensors=[tensor]
        )
        with pytest.raises(CheckpointError, match=said):
            read_bundle(index(prefix))


@pytest.mark.parametrize("relative", [True, False])
def test_a_saver_names_the_latest(new_prefix, relative):
    prefix = new_prefix()
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        variable = tf.compat.v1.get_variable("a", initializer=tf.constant([1.0, 2.0]))
        session.run(tf.compat.v1.global_variables_initializer())
        saver = tf.compat.v1.train.Saver([variable], save_relative_paths=relative)
        for step in (1, 20):
            saver.save(session, str(prefix), global_step=step)
    if not relative:
        with pytest.raises(CheckpointError, match=r"model\.ckpt-20', which is not a name in this"):
            index_of(prefix.parent)
        return
    found = index_of(prefix.parent)
    assert found == prefix.with_name("model.ckpt-20.index")
    check(read_bundle(found).tensors["a"], np.array([1, 2], np.float32))


@pytest.mark.parametrize("name", ["gpt2", "shards", "kinds", "one_by_one"])
def test_tensorflow_reads_the_samples_alike(name):
    prefix = ROOT / SAMPLES / name / "model.ckpt"
    theirs = tf.train.load_checkpoint(str(prefix))
    ours = read_bundle(index(prefix)).tensors
    assert theirs.get_variable_to_shape_map().keys() == ours.keys()
    for key, stored in ours.items():
        assert stored.data.tobytes() == theirs.get_tensor(key).tobytes()


def test_crc_of_tfrecord_files(tmp_path):
    """Each record has the masked CRC-32C of its length and of its data."""
    path = tmp_path / "records"
    data = np.random.default_rng(2).bytes(10**6)
    with tf.io.TFRecordWriter(str(path)) as writer:
        writer.write(data)
    written = path.read_bytes()
    assert int.from_bytes(written[8:12], "little") == masked(crc32c(written[:8]))
    assert int.from_bytes(written[-4:], "little") == masked(crc32c(data))
