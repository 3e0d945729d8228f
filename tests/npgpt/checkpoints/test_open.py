import dataclasses
import json
import re
import warnings

import numpy as np
import pytest
import torch

from npgpt._config import to_json
from npgpt.checkpoints._loading import load as load_checkpoint
from npgpt.checkpoints._safetensors import write_safetensors
from npgpt.checkpoints._saving import save
from npgpt.errors import CheckpointError, ConfigError, NonFiniteWarning, SettingError
from npgpt.model._parameters import to_arrays
from npgpt.tokenizer._training import train
from tests.helpers.checkpoint_making import (
    TINY,
    UNTIED,
    is_mapped,
    random_arrays,
    random_parameters,
)


def put_config(folder, config=TINY, **changes):
    (folder / "config.json").write_text(json.dumps(to_json(config) | changes))


def put_torch(folder, arrays, name="pytorch_model.bin"):
    torch.save({n: torch.from_numpy(np.array(a)) for n, a in arrays.items()}, folder / name)


def put_safetensors(folder, arrays, **options):
    write_safetensors(folder / "model.safetensors", arrays, **options)


def prefixed(arrays, head="lm_head.weight"):
    return {n if n == head else f"transformer.{n}": a for n, a in arrays.items()}


def assert_holds(checkpoint, arrays, dtype=np.float32):
    found = to_arrays(checkpoint.parameters)
    assert found.keys() == arrays.keys()
    for name, array in found.items():
        assert array.dtype == dtype
        assert not array.flags.writeable
        assert np.array_equal(array, arrays[name])


@pytest.mark.parametrize("config", [TINY, UNTIED], ids=["tied", "untied"])
@pytest.mark.parametrize("rename", [dict, prefixed], ids=["bare", "prefixed"])
@pytest.mark.parametrize("put", [put_safetensors, put_torch])
def test_formats_and_names(tmp_path, config, rename, put):
    arrays = random_arrays(config)
    put_config(tmp_path, config)
    put(tmp_path, rename(arrays))
    checkpoint = load_checkpoint(tmp_path)
    assert_holds(checkpoint, arrays)
    assert checkpoint.config == config
    assert checkpoint.tokenizer is None
    assert checkpoint.generation_config == {}
    assert checkpoint.listing.prefix == ("transformer." if rename is prefixed else "")
    assert {e.name for e in checkpoint.listing.tensors} == set(rename(arrays))


@pytest.mark.parametrize("name", ["", "model.safetensors", "config.json", "generation_config.json"])
def test_a_folder_or_a_file_of_it(tmp_path, name):
    save(tmp_path, TINY, random_parameters(TINY))
    assert_holds(load_checkpoint(tmp_path / name), random_arrays(TINY))
    assert_holds(load_checkpoint(str(tmp_path / name)), random_arrays(TINY))


def test_a_file_by_its_own_name(tmp_path):
    put_config(tmp_path)
    put_torch(tmp_path, random_arrays(TINY), "step_1000.pt")
    assert_holds(load_checkpoint(tmp_path / "step_1000.pt"), random_arrays(TINY))


def test_shards(tmp_path):
    put_config(tmp_path)
    arrays = prefixed(random_arrays(TINY))
    parts = [dict(list(arrays.items())[i::3]) for i in range(3)]
    for i, part in enumerate(parts):
        write_safetensors(tmp_path / f"{i}.safetensors", part)
    places = {name: f"{i}.safetensors" for i, part in enumerate(parts) for name in part}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": places}))
    assert_holds(load_checkpoint(tmp_path), random_arrays(TINY))


def test_legacy_buffers_are_ignored(tmp_path):
    put_config(tmp_path)
    arrays = random_arrays(TINY)
    buffers = {
        "h.0.attn.bias": np.tril(np.ones((1, 1, 5, 5), bool)),
        "h.1.attn.bias": np.tril(np.ones((1, 1, 5, 5), np.uint8)),
        "h.0.attn.masked_bias": np.float32(-1e4),
        "h.9.attn.masked_bias": np.float32(-np.inf),
    }
    put_torch(tmp_path, prefixed(buffers | arrays))
    assert_holds(load_checkpoint(tmp_path), arrays)


@pytest.mark.parametrize("stored", ["float64", "float32", "float16", "bfloat16"])
@pytest.mark.parametrize("compute", [np.float32, np.float64])
def test_dtypes(tmp_path, stored, compute):
    rounded = {
        name: torch.from_numpy(array).to(getattr(torch, stored))
        for name, array in random_arrays(TINY, np.float64).items()
    }
    exact = {name: tensor.double().numpy().astype(compute) for name, tensor in rounded.items()}
    put_config(tmp_path)
    torch.save(rounded, tmp_path / "pytorch_model.bin")
    checkpoint = load_checkpoint(tmp_path, dtype=compute)
    assert_holds(checkpoint, exact, compute)
    assert {entry.dtype for entry in checkpoint.listing.tensors} == {stored}


def test_tensors_of_several_dtypes(tmp_path):
    arrays = random_arrays(TINY)
    arrays["wpe.weight"] = arrays["wpe.weight"].astype(np.float16)
    arrays["ln_f.bias"] = arrays["ln_f.bias"].astype(np.float64)
    put_config(tmp_path)
    put_safetensors(tmp_path, arrays)
    assert_holds(load_checkpoint(tmp_path), arrays)


@pytest.mark.parametrize("put", [put_safetensors, put_torch])
def test_float32_stays_in_the_file(tmp_path, put):
    put_config(tmp_path)
    put(tmp_path, random_arrays(TINY))
    for name, array in to_arrays(load_checkpoint(tmp_path).parameters).items():
        assert is_mapped(array), name
    for name, array in to_arrays(load_checkpoint(tmp_path, dtype=np.float64).parameters).items():
        assert not is_mapped(array), name


def test_transposed_tensors_are_read(tmp_path):
    arrays = random_arrays(TINY)
    state = {
        name: torch.from_numpy(array.T.copy()).permute(*reversed(range(array.ndim)))
        for name, array in arrays.items()
    }
    put_config(tmp_path)
    torch.save(state, tmp_path / "pytorch_model.bin")
    checkpoint = load_checkpoint(tmp_path)
    assert_holds(checkpoint, arrays)
    assert all(array.flags.forc for array in to_arrays(checkpoint.parameters).values())


@pytest.mark.parametrize("keep", ["wte.weight", "lm_head.weight", "both", "shared"])
def test_a_tied_head(tmp_path, keep):
    arrays = random_arrays(TINY)
    table = arrays.pop("wte.weight")
    tensors = {name: torch.from_numpy(array) for name, array in arrays.items()}
    tensors |= {n: torch.from_numpy(table.copy()) for n in ("wte.weight", "lm_head.weight")}
    if keep == "shared":
        tensors["lm_head.weight"] = tensors["wte.weight"]
    elif keep != "both":
        del tensors["lm_head.weight" if keep == "wte.weight" else "wte.weight"]
    put_config(tmp_path)
    torch.save(tensors, tmp_path / "pytorch_model.bin")
    checkpoint = load_checkpoint(tmp_path)
    assert_holds(checkpoint, {"wte.weight": table, **arrays})
    assert checkpoint.parameters.lm_head is checkpoint.parameters.wte


def test_a_head_of_its_own_that_shares_its_storage_stays_one_array(tmp_path):
    tensors = {n: torch.from_numpy(a).half() for n, a in random_arrays(UNTIED).items()}
    tensors["lm_head.weight"] = tensors["wte.weight"]
    put_config(tmp_path, UNTIED)
    torch.save(tensors, tmp_path / "pytorch_model.bin")
    parameters = load_checkpoint(tmp_path).parameters
    assert parameters.lm_head.weight is parameters.wte.weight


def test_the_tokenizer_and_the_generation_config(tmp_path):
    tokenizer = train(["to be or not to be"], vocab_size=260)
    config = dataclasses.replace(TINY, vocab_size=260)
    asked = {"do_sample": True, "top_k": 3, "temperature": 0.7}
    save(tmp_path, config, random_parameters(config), tokenizer, generation_config=asked)
    checkpoint = load_checkpoint(tmp_path)
    assert checkpoint.tokenizer == tokenizer
    assert checkpoint.generation_config == asked


BAD_ARRAYS = {
    "missing": ({"ln_f.bias": None}, {}, "ln_f.bias is missing"),
    "unexpected": ({"ln_g.bias": np.ones(4)}, {}, "ln_g.bias is not expected"),
    "whole numbers, unexpected": ({"ids": np.ones(4, int)}, {}, "ids is not expected"),
    "mis-shaped": ({"ln_f.bias": np.ones(5)}, {}, r"ln_f.bias has shape \(5,\), not \(4,\)"),
    "transposed": ({"h.1.mlp.c_fc.weight": np.ones((16, 4))}, {}, r"has shape \(16, 4\), not \(4,"),
    "whole numbers": ({"ln_f.bias": np.ones(4, int)}, {}, "ln_f.bias is int64; weights are floats"),
    "layer missing": ({}, {"n_layer": 3}, r"12 differ\): h.2.ln_1.weight is missing; h.2"),
    "layer too many": ({}, {"n_layer": 1}, "h.1.ln_1.weight is not expected"),
    "vocabulary": ({}, {"vocab_size": 8}, r"wte.weight has shape \(7, 4\), not \(8, 4\)"),
    "absurd layers": ({}, {"n_layer": 10**12}, "n_layer is 1000000000000, but there are only 28"),
    "absurd vocabulary": ({}, {"vocab_size": 10**18}, r"not \(1000000000000000000, 4\)"),
    "untied": ({}, {"tie_word_embeddings": False}, "lm_head.weight is missing"),
    "tied": ({"lm_head.weight": np.ones((7, 4))}, {}, "the config ties lm_head.weight to"),
}  # fmt: skip


@pytest.mark.parametrize("put", [put_safetensors, put_torch])
@pytest.mark.parametrize(("arrays", "config", "said"), BAD_ARRAYS.values(), ids=BAD_ARRAYS)
def test_weights_that_disagree_with_the_config(tmp_path, put, arrays, config, said):
    all_arrays = {n: a for n, a in (random_arrays(TINY) | arrays).items() if a is not None}
    put_config(tmp_path, **config)
    put(tmp_path, all_arrays)
    with pytest.raises(CheckpointError, match=f"^{re.escape(str(tmp_path))}.*{said}"):
        load_checkpoint(tmp_path)


def test_one_error_names_everything(tmp_path):
    arrays = random_arrays(TINY)
    del arrays["ln_f.bias"], arrays["h.0.ln_1.weight"]
    put_config(tmp_path)
    put_safetensors(tmp_path, arrays | {"x": np.ones(1), "wpe.weight": np.ones((4, 5))})
    with pytest.raises(CheckpointError, match="4 differ") as caught:
        load_checkpoint(tmp_path)
    for name in ("ln_f.bias", "h.0.ln_1.weight", "x is not expected", "wpe.weight has shape"):
        assert name in str(caught.value)


def test_folders_that_lack_something(tmp_path):
    with pytest.raises(CheckpointError, match="nowhere': no such file or folder"):
        load_checkpoint(tmp_path / "nowhere")
    with pytest.raises(CheckpointError, match=r"no weights here; looked for model.safetensors, "):
        load_checkpoint(tmp_path)
    put_safetensors(tmp_path, random_arrays(TINY))
    with pytest.raises(CheckpointError, match=r"no config.json here; it says"):
        load_checkpoint(tmp_path)
    put_config(tmp_path)
    load_checkpoint(tmp_path)


@pytest.mark.parametrize(
    ("text", "error", "said"),
    [
        ("{", CheckpointError, "not JSON"),
        ("[]", CheckpointError, "holds a list; expected a JSON object"),
        ('{"n_layer": NaN}', CheckpointError, "NaN is not JSON"),
        ('{"n_layer": 1, "n_layer": 2}', CheckpointError, "the field 'n_layer' is given twice"),
        ('{"model_type": "llama"}', ConfigError, "model_type is 'llama'"),
        ('{"n_layer": -1}', ConfigError, "n_layer is -1"),
        ('{"n_layer": 2.5}', ConfigError, "n_layer is 2.5"),
        ('{"n_embd": 10, "n_head": 3}', ConfigError, "which n_head = 3 does not divide"),
        ('{"layer_norm_epsilon": 1e999}', CheckpointError, "1e999 is too large"),
        ('{"activation_function": "swiglu"}', ConfigError, "activation_function is 'swiglu'"),
    ],
)
def test_bad_configs(tmp_path, text, error, said):
    put_safetensors(tmp_path, random_arrays(TINY))
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(error, match=re.escape(said)) as caught:
        load_checkpoint(tmp_path)
    assert str(caught.value).startswith(f"{tmp_path / 'config.json'}: ")


def test_a_bad_generation_config(tmp_path):
    save(tmp_path, TINY, random_parameters(TINY))
    (tmp_path / "generation_config.json").write_text("[1]")
    with pytest.raises(CheckpointError, match=r"generation_config.json: holds a list"):
        load_checkpoint(tmp_path)


@pytest.mark.parametrize("name", ["config.json", "generation_config.json", "vocab.json"])
def test_links_that_leave_the_folder(tmp_path, name):
    folder = tmp_path / "model"
    save(folder, TINY, random_parameters(TINY))
    (tmp_path / "secret").write_text("{}")
    (folder / name).unlink(missing_ok=True)
    (folder / name).symlink_to("../secret")
    with pytest.raises(CheckpointError, match=f"{name}: this symbolic link leaves its folder"):
        load_checkpoint(folder)


@pytest.mark.parametrize("dtype", [np.float16, np.int32, ">f4", "bfloat16", object])
def test_other_compute_dtypes(tmp_path, dtype):
    save(tmp_path, TINY, random_parameters(TINY))
    with pytest.raises(SettingError, match="npgpt computes in float32 or float64"):
        load_checkpoint(tmp_path, dtype=dtype)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("stored", ["float32", "float16", "bfloat16"])
def test_weights_that_are_not_finite(tmp_path, bad, stored):
    arrays = random_arrays(TINY)
    arrays["h.1.attn.c_attn.weight"][3, 11] = bad
    arrays["ln_f.weight"][0] = bad
    put_config(tmp_path)
    put_safetensors(tmp_path, arrays, dtype=stored)
    with pytest.warns(NonFiniteWarning) as caught:
        load_checkpoint(tmp_path)
    (warning,) = caught
    assert "infinity in h.1.attn.c_attn.weight, ln_f.weight; " in str(warning.message)
    assert warning.filename == __file__


def test_weights_too_large_for_float32(tmp_path):
    arrays = random_arrays(TINY, np.float64)
    arrays["wpe.weight"][0, 0] = 1e39
    put_config(tmp_path)
    put_safetensors(tmp_path, arrays)
    with pytest.warns(NonFiniteWarning, match=r"infinity in wpe.weight; "):
        load_checkpoint(tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        load_checkpoint(tmp_path, dtype=np.float64)
