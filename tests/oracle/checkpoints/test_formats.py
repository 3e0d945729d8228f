"""Files that the oracle writes, read by the formats' own libraries, and by npgpt as a peer."""

import json

import gguf
import numpy as np
import pytest
import tokenizers
from hypothesis import given
from hypothesis import strategies as st

from npgpt.checkpoints import load
from npgpt.model._parameters import to_arrays
from npgpt.tokenizer._training import train
from oracle.checkpoints import FORMATS, CheckpointError, Tokenizer, read_folder, write
from oracle.checkpoints._gguf import gguf_name
from oracle.strategies import build_weights, configs, weights
from tests.helpers.tiny_models import whole_models

CONFIG = {
    "vocab_size": 260,
    "n_positions": 7,
    "n_embd": 8,
    "n_layer": 2,
    "n_head": 2,
    "n_inner": None,
    "activation_function": "gelu_new",
    "layer_norm_epsilon": 1e-5,
    "scale_attn_weights": True,
    "scale_attn_by_inverse_layer_idx": False,
    "reorder_and_upcast_attn": False,
    "tie_word_embeddings": True,
}
TRAINED = train(["to be or not to be, café"], vocab_size=260)
TOKENIZER = Tokenizer(
    TRAINED.vocab | TRAINED.special_tokens, list(TRAINED.merges), list(TRAINED.special_tokens)
)
WEIGHTS = build_weights("trained", 0, CONFIG)


def path_of(folder, name):
    return folder / f"model{FORMATS[name].suffix}"


@pytest.mark.parametrize("name", FORMATS)
@whole_models
@given(st.data())
def test_npgpt_reads_any_model(tmp_path_factory, name, data):
    config = data.draw(configs())
    if FORMATS[name].cannot_hold(config):
        config |= {key: values[0] for key, values in FORMATS[name].only.items()}
    drawn = data.draw(weights(config))
    path = path_of(tmp_path_factory.mktemp("written"), name)
    write(path, config, drawn, format=name)
    found = load(path)
    for key in ("vocab_size", "n_positions", "n_embd", "n_layer", "n_head", "tie_word_embeddings"):
        assert getattr(found.config, key) == config[key], key
    assert np.float32(found.config.layer_norm_epsilon) == np.float32(config["layer_norm_epsilon"])
    arrays = to_arrays(found.parameters)
    assert arrays.keys() == drawn.keys()
    for key, array in arrays.items():
        assert np.asarray(array).tobytes() == np.ascontiguousarray(drawn[key]).tobytes(), key


@pytest.mark.parametrize("name", ["safetensors", "gguf"])
def test_npgpt_reads_the_tokenizer(tmp_path, name):
    path = path_of(tmp_path, name)
    write(path, {**CONFIG, "eos_token_id": 259}, WEIGHTS, TOKENIZER, format=name)
    found = load(path)
    text = "not to be, caf\u00e9\n\u4f60"
    assert found.tokenizer.encode(text) == TOKENIZER.encode(text)
    assert found.config.eos_token_id == 259


@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize("tied", [True, False])
def test_gguf_is_what_its_own_library_reads(tmp_path, dtype, tied):
    config = {**CONFIG, "tie_word_embeddings": tied, "n_inner": 11}
    drawn = build_weights("trained", 1, config)
    path = write(tmp_path / "a.gguf", config, drawn, TOKENIZER, format="gguf", dtype=dtype)
    found = gguf.GGUFReader(path)
    fields = {key: field.contents() for key, field in found.fields.items()}
    assert fields["general.architecture"] == "gpt2"
    assert fields["gpt2.feed_forward_length"] == 11
    assert fields["tokenizer.ggml.tokens"][:2] == list(TOKENIZER.vocabulary)[:2]
    assert fields["tokenizer.ggml.merges"] == [" ".join(pair) for pair in TOKENIZER.merges]
    names = gguf.MODEL_TENSORS[gguf.MODEL_ARCH.GPT2]
    known = {gguf.TENSOR_NAMES[kind] for kind in names}
    tensors = {tensor.name: tensor for tensor in found.tensors}
    assert len(tensors) == len(drawn)
    for name, array in drawn.items():
        tensor = tensors[gguf_name(name)]
        stem = tensor.name.rpartition(".")[0]
        assert any(stem in (k.format(bid=0), k.format(bid=1)) for k in known), stem
        half = dtype == "float16" and array.ndim == 2 and name != "wpe.weight"
        assert tensor.data.dtype == (np.float16 if half else np.float32)
        wanted = array.T if name.startswith("h.") and array.ndim == 2 else array
        np.testing.assert_array_equal(tensor.data, wanted.astype(tensor.data.dtype))


def test_the_tokenizers_library_reads_the_folder(tmp_path):
    write(tmp_path / "m", {**CONFIG, "eos_token_id": 259}, WEIGHTS, TOKENIZER)
    found = tokenizers.Tokenizer.from_file(str(tmp_path / "m" / "tokenizer.json"))
    text = "be  not 'll caf\u00e9\n\n"
    assert found.encode(text).ids == TOKENIZER.encode(text)
    assert found.encode("to<|endoftext|>").ids[-1] == 259


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_the_oracle_reads_its_own_folder(tmp_path, dtype):
    write(tmp_path / "m", {**CONFIG, "eos_token_id": 259}, WEIGHTS, TOKENIZER, dtype=dtype)
    found = read_folder(tmp_path / "m")
    assert found.config == {**CONFIG, "eos_token_id": 259}
    assert found.tokenizer == TOKENIZER
    for name, array in WEIGHTS.items():
        np.testing.assert_array_equal(found.weights[name], array.astype(dtype).astype("float32"))


def change(name, value):
    def act(folder):
        config = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps({**config, name: value}))

    return act


BAD_FOLDERS = {
    "it is not there": (lambda f: f.rename(f.parent / "b"), "is not there; the oracle reads"),
    "config.json": (lambda f: (f / "config.json").unlink(), "has no config.json; the oracle reads"),
    "other format": (
        lambda f: (f / "model.safetensors").rename(f / "pytorch_model.bin"),
        "has pytorch_model.bin but no model.safetensors; the oracle reads",
    ),
    "damaged": (lambda f: (f / "model.safetensors").write_bytes(b"?"), "cannot be read"),
    "no JSON": (lambda f: (f / "config.json").write_text("{"), "config.json cannot be read"),
    "llama": (change("model_type", "llama"), "model_type is 'llama'"),
    "tanh": (change("activation_function", "tanh"), "activation_function is 'tanh'"),
    "layers": (change("n_layer", 3), "tensor h.2.ln_1.weight is missing"),
    "few layers": (change("n_layer", 1), "tensor h.1.attn.c_attn.bias is not one of a GPT-2"),
    "width": (change("vocab_size", 261), "tensor wte.weight has shape (260, 8)"),
    "a text": (change("n_embd", "8"), "n_embd is '8'; expected a whole number above 0"),
    "heads": (change("n_head", 3), "n_embd is 8; expected a multiple of n_head, 3"),
}


@pytest.mark.parametrize("fault", BAD_FOLDERS)
def test_bad_folders_are_refused_in_a_line(tmp_path, fault):
    act, says = BAD_FOLDERS[fault]
    write(tmp_path / "a", CONFIG, WEIGHTS)
    act(tmp_path / "a")
    with pytest.raises(CheckpointError) as caught:
        read_folder(tmp_path / "a")
    assert str(caught.value).startswith(f"{tmp_path / 'a'}: ")
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "options", "says"),
    [
        ({}, {"format": "onnx"}, "'onnx' is no format; expected one of safetensors, gguf,"),
        ({}, {"format": "llmc", "dtype": "float16"}, "llm.c's .bin is not written in 'float16'"),
        ({"activation_function": "relu"}, {"format": "gguf"}, "GGUF holds no model with activ"),
        ({"layer_norm_epsilon": 1e-6}, {"format": "llmc"}, "layer_norm_epsilon 1e-06, but with"),
        ({"n_positions": 8}, {}, "tensor wpe.weight has shape (7, 8); the config says (8, 8)"),
    ],
)
def test_what_cannot_be_written(tmp_path, changes, options, says):
    with pytest.raises(CheckpointError) as caught:
        write(tmp_path / "a", {**CONFIG, **changes}, WEIGHTS, **options)
    assert says in str(caught.value)
