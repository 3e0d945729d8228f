import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch

import npgpt
from npgpt._config import Config, to_json
from npgpt.checkpoints._dialects import dialect_name, translate
from npgpt.checkpoints._listing import list_tensors
from npgpt.checkpoints._loading import load as load_checkpoint
from npgpt.checkpoints._safetensors import write_safetensors
from npgpt.checkpoints._tensors import FLOAT32, Stored
from npgpt.errors import CheckpointError
from npgpt.model._paging import resident
from npgpt.model._parameters import to_arrays
from tests.helpers.checkpoint_making import TINY, UNTIED, is_mapped, random_arrays
from tests.helpers.dialects import DIALECTS, NanoGPT, gguf, linear, openai, prefixed, wrapped

# Besides usual shapes: an MLP as wide as the model, all of whose matrices but one are square.
SQUARE = dataclasses.replace(TINY, n_inner=TINY.n_embd)
NARROW = dataclasses.replace(TINY, n_inner=2)
ONE_WIDE = Config(vocab_size=3, n_positions=2, n_embd=1, n_head=1, n_layer=1, n_inner=3)
CONFIGS = {
    "tied": TINY, "untied": UNTIED, "square": SQUARE, "narrow": NARROW, "one wide": ONE_WIDE,
    "no layers": dataclasses.replace(TINY, n_layer=0),
}  # fmt: skip


def put(folder, arrays, config=TINY, **changes):
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps(to_json(config) | changes))
    write_safetensors(folder / "model.safetensors", arrays)
    return folder


def logits(folder, config):
    ids = [[i % config.vocab_size for i in range(config.n_positions)]]
    return npgpt.load(folder).logits(ids)


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
@pytest.mark.parametrize(("dialect", "rename"), DIALECTS.values(), ids=DIALECTS)
def test_every_dialect_gives_the_same_logits(tmp_path, config, dialect, rename):
    if dialect == "OpenAI" and not config.tie_word_embeddings:
        pytest.skip("OpenAI's models have no head of their own")
    arrays = random_arrays(config)
    usual = logits(put(tmp_path / "usual", prefixed(arrays), config), config)
    folder = put(tmp_path / "other", rename(arrays), config)
    assert np.array_equal(logits(folder, config), usual)
    said = list_tensors(folder).dialect
    assert said == (dialect if config.n_layer or "nano" not in dialect else "Hugging Face")
    found = to_arrays(load_checkpoint(folder).parameters)
    assert all(np.array_equal(found[name], array) for name, array in arrays.items())


@pytest.mark.parametrize("stored", ["float16", "bfloat16", "float64"])
@pytest.mark.parametrize("widen", [True, False])
def test_other_dtypes_are_transposed_too(tmp_path, stored, widen):
    arrays = random_arrays(TINY)
    write_safetensors(put(tmp_path / "a", {}) / "model.safetensors", arrays, dtype=stored)
    write_safetensors(put(tmp_path / "b", {}) / "model.safetensors", linear(arrays), dtype=stored)
    one, two = (to_arrays(load_checkpoint(tmp_path / n, widen=widen).parameters) for n in "ab")
    for name, array in one.items():
        assert two[name].dtype == array.dtype
        assert two[name].flags.forc
        assert np.array_equal(two[name], array)


@pytest.mark.parametrize("rename", [openai, linear])
def test_weights_stay_in_the_file(tmp_path, rename):
    folder = put(tmp_path, rename(random_arrays(TINY)))
    for name, array in to_arrays(load_checkpoint(folder).parameters).items():
        assert is_mapped(array), name


@pytest.mark.skipif(resident() is None, reason="no /proc/self/statm, or no madvise")
def test_transposed_matrices_keep_to_a_memory_too(tmp_path):
    folder = put(tmp_path, linear(random_arrays(TINY)))
    kept = npgpt.load(folder, memory=10**12).logits([1, 2])
    assert np.array_equal(kept, npgpt.load(folder).logits([1, 2]))


@pytest.mark.parametrize("start", ["", "_orig_mod.", "module."])
def test_what_torch_names_and_lays_out_itself(tmp_path, start):
    arrays = random_arrays(TINY)
    # torch.compile and DistributedDataParallel keep the model in an attribute of these names.
    state = {start + n: t for n, t in NanoGPT(TINY).take(arrays).state_dict().items()}
    put(tmp_path, {})
    (tmp_path / "model.safetensors").unlink()
    torch.save(state, tmp_path / "pytorch_model.bin")
    found = to_arrays(load_checkpoint(tmp_path).parameters)
    assert all(np.array_equal(found[name], array) for name, array in arrays.items())


def test_a_model_without_biases_has_biases_of_zero(tmp_path):
    arrays = random_arrays(TINY)
    zeros = {n: np.zeros_like(a) if n.endswith("bias") else a for n, a in arrays.items()}
    bare = {n: a for n, a in linear(arrays).items() if not n.endswith("bias")}
    usual = logits(put(tmp_path / "usual", zeros), TINY)
    assert np.array_equal(logits(put(tmp_path / "bare", bare), TINY), usual)


def test_shared_matrices_are_transposed_once():
    matrix = Stored(FLOAT32, np.zeros((12, 4), "<f4"), Path("x"))
    names = [f"h.{i}.attn.c_attn.weight" for i in range(3)]
    found = translate(dict.fromkeys(names, matrix), "there").tensors
    assert found[names[0]] is found[names[1]] is found[names[2]]
    assert found[names[0]].data.shape == (4, 12)


def without(arrays, *parts):
    return {n: a for n, a in arrays.items() if not any(part in n for part in parts)}


HF = prefixed(random_arrays(TINY))
NANO = linear(random_arrays(TINY))
OPENAI = openai(random_arrays(TINY))
GGUF = gguf(random_arrays(TINY))
ATTN = "transformer.h.{}.attn.c_attn.weight"
FC, PROJ = "transformer.h.1.mlp.c_fc.weight", "transformer.h.0.mlp.c_proj.weight"
BAD = {
    "one attention of nanoGPT's": (
        HF | {ATTN.format(1): NANO[ATTN.format(1)]},
        "h.1.attn.c_attn.weight has shape (12, 4), not (4, 12), though h.0.attn.c_attn.weight"),
    "one attention of Hugging Face's": (
        NANO | {ATTN.format(1): HF[ATTN.format(1)]}, "matrices are (out, in)"),
    "one MLP of nanoGPT's": (HF | {FC: NANO[FC]}, "h.1.mlp.c_fc.weight has shape (16, 4), not"),
    "one MLP of Hugging Face's": (NANO | {FC: HF[FC]}, "matrices are (out, in); save the model"),
    "one way back of nanoGPT's": (HF | {PROJ: NANO[PROJ]}, "h.0.mlp.c_proj.weight has shape (4,"),
    "one way back of Hugging Face's": (NANO | {PROJ: HF[PROJ]}, "h.0.mlp.c_proj.weight has shape"),
    "all MLPs of nanoGPT's": (
        HF | {n: a for n, a in NANO.items() if "mlp" in n}, "h.0.mlp.c_fc.weight has shape (16,"),
    "OpenAI's names, (out, in)": (
        OPENAI | {"model/h0/attn/c_attn/w": np.ones((1, 12, 4), "f4")},
        "(out, in), but files with the names of OpenAI have (in, out)"),
    "GGUF's names, (in, out)": (
        {n: a.T.copy() for n, a in GGUF.items()}, "names of GGUF have (out, in)"),
    "GGUF's names, one (in, out)": (
        GGUF | {"blk.1.ffn_up.weight": np.ones((4, 16), "f4")}, "h.1.mlp.c_fc.weight has shape"),
    "OpenAI's and Hugging Face's": (HF | OPENAI, "is a name of Hugging Face and 'model/"),
    "GGUF's and Hugging Face's": (HF | GGUF, "is a name of Hugging Face and"),
    "GGUF's and OpenAI's": (GGUF | OPENAI, "is a name of "),
    "one tensor of GGUF's": (HF | {"output_norm.bias": np.ones(4)}, "'output_norm.bias' one of"),
    "half of it wrapped": (
        NANO | {"module.transformer.wte.weight": np.ones((7, 4))}, "others do not"),
    "wrapped in two orders": (
        wrapped(random_arrays(TINY), "module.") | {"_orig_mod.x": np.ones(1)}, "others do not"),
    "head twice": (
        wrapped(random_arrays(UNTIED), "module.") | {"lm_head.weight": np.ones((7, 4))},
        "some names start with 'module.transformer.' and others do not: 'lm_head.weight'"),
    "a layer too many of OpenAI's": (OPENAI | {"model/h2/ln_1/g": np.ones(4)}, "h.2.ln_1.weight"),
    "a layer with a zero before it": (
        OPENAI | {"model/h00/ln_1/g": np.ones(4)}, "h.00.ln_1.weight is not expected"),
    "OpenAI's with Adam's": (OPENAI | {"model/wte/Adam": np.ones((7, 4))}, "model/wte/Adam is not"),
    "OpenAI's with two kernels": (
        OPENAI | {"model/h0/attn/c_proj/w": np.ones((2, 4, 4), "f4")}, "has shape (2, 4, 4), not"),
    "OpenAI's embedding with a letter": (
        without(OPENAI, "model/wte") | {"model/wte/w": np.ones((7, 4))}, "wte.weight is missing"),
    "GGUF's part unknown": (GGUF | {"blk.0.attn_q.weight": np.ones((4, 4))}, "attn_q.weight is"),
    "Hugging Face's without biases": (without(HF, "bias"), "h.0.ln_1.bias is missing"),
    "nanoGPT's with a bias missing": (without(NANO, "1.mlp.c_fc.bias"), "h.1.mlp.c_fc.bias is"),
    "nanoGPT's with one bias": (
        without(NANO, "ln", "c_attn.bias", "c_fc.bias", "0.attn.c_proj.bias"), "is missing"),
    "OpenAI's without biases": (without(OPENAI, "/b"), "is missing"),
    "neither order": (
        HF | {ATTN.format(i): np.ones((5, 7), "f4") for i in range(2)}, "has shape (5, 7), not"),
    "nothing": ({}, "n_layer is 2, but there are only 0 tensors"),
    "names of no dialect": ({f"x{i}": np.ones(1) for i in range(9)}, "x0 is not expected"),
}  # fmt: skip


@pytest.mark.parametrize(("arrays", "said"), BAD.values(), ids=BAD)
def test_files_that_contradict_themselves(tmp_path, arrays, said):
    with pytest.raises(CheckpointError) as caught:
        load_checkpoint(put(tmp_path, arrays))
    assert str(caught.value).startswith(f"{tmp_path / 'model.safetensors'}: ")
    assert said in str(caught.value)


def test_what_has_no_dialect():
    assert dialect_name({}) == "unknown"
    one = Stored(FLOAT32, np.zeros((3, 3), "<f4"), Path("x"))
    assert dialect_name({"layers.0.weight": one}) == "unknown"
    assert dialect_name({"wte.weight": one, "model/wpe": one}) == "unknown"
    assert dialect_name({"": one}) == "unknown"
