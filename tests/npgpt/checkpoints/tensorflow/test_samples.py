"""What TensorFlow wrote (see make_tensorflow_bundles.py), npgpt reads to the same numbers."""

import pytest

from npgpt.checkpoints._tensorflow.bundle import FORM, read_bundle
from npgpt.checkpoints._tensorflow.sidecars import index_of
from tests.helpers.checkpoint_making import is_mapped
from tests.helpers.make_tensorflow_bundles import HPARAMS, SAMPLES, gpt2, kinds, one_by_one

FOLDER = SAMPLES.name
EXPECTED = {"gpt2": gpt2, "shards": gpt2, "kinds": kinds, "one_by_one": one_by_one}
NAMES = {"uint16": "bfloat16"}  # in which its bits are expected


@pytest.fixture
def samples(request):
    return request.path.parent / FOLDER


@pytest.mark.parametrize("name", EXPECTED)
@pytest.mark.parametrize("check_sums", [True, False])
def test_samples(samples, name, check_sums):
    index = samples / name / "model.ckpt.index"
    assert index_of(samples / name) == index
    weights = read_bundle(index, check_sums=check_sums)
    expected = EXPECTED[name]()
    assert list(weights.tensors) == sorted(expected)
    assert weights.form == FORM
    assert set(weights.files) == set((samples / name).glob("model.ckpt.*"))
    for key, array in expected.items():
        stored = weights.tensors[key]
        assert stored.dtype.name == NAMES.get(array.dtype.name, array.dtype.name)
        assert stored.data.shape == array.shape
        assert stored.data.tobytes() == array.tobytes()
        assert is_mapped(stored.data) == bool(array.size)
        assert stored.file in weights.files


def test_config(samples):
    config = read_bundle(samples / "gpt2" / "model.ckpt.index").config
    assert config == {
        "vocab_size": HPARAMS["n_vocab"],
        "n_positions": HPARAMS["n_ctx"],
        "n_embd": HPARAMS["n_embd"],
        "n_head": HPARAMS["n_head"],
        "n_layer": HPARAMS["n_layer"],
        "activation_function": "gelu_new",
        "layer_norm_epsilon": 1e-5,
        "tie_word_embeddings": True,
    }
    assert read_bundle(samples / "shards" / "model.ckpt.index").config is None


def test_samples_are_small(samples):
    assert sum(path.stat().st_size for path in samples.rglob("*") if path.is_file()) < 60_000
