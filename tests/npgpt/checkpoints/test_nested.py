"""nanoGPT's ckpt.pt: a state dict in a dict, with the sizes beside it."""

import dataclasses
import json
import struct
import sys
import warnings
import zipfile

import numpy as np
import pytest
import torch

from npgpt._config import to_json
from npgpt.checkpoints._loading import load as load_checkpoint
from npgpt.checkpoints._weights import read_weights
from npgpt.errors import CheckpointError, CheckpointWarning
from npgpt.model._parameters import to_arrays
from tests.helpers.checkpoint_making import (
    FALSE,
    NONE,
    TINY,
    TRUE,
    group,
    integer,
    mapping,
    pickled,
    random_arrays,
    storage,
    tensor,
    text,
    torch_bytes,
    zip_bytes,
)
from tests.helpers.dialects import NanoGPT, model_args
from tests.helpers.reader_refusals import check_refused

CONFIG = dataclasses.replace(TINY, activation_function="gelu")
ZIP, LEGACY = {}, {"_use_new_zipfile_serialization": False}


def trained(**changes):
    """What train.py saves, with a state as AdamW has it: its keys are numbers."""
    model = NanoGPT(TINY, bias=changes.get("bias", True)).take(random_arrays(TINY))
    moments = {
        i: {"step": torch.tensor(7.0), "exp_avg": torch.ones_like(p), "exp_avg_sq": p.clone()}
        for i, p in enumerate(model.parameters())
    }
    group = {"lr": 6e-4, "betas": (0.9, 0.95), "eps": 1e-8, "weight_decay": 0.1, "fused": None}
    return {
        "model": model.state_dict(),
        "optimizer": {"state": moments, "param_groups": [group | {"params": list(moments)}]},
        "model_args": model_args(TINY, **changes),
        "iter_num": 2000,
        "best_val_loss": torch.tensor(1.5),
        "config": {"out_dir": "out", "learning_rate": 6e-4, "compile": True, "notes": None},
    }


def save(folder, value, options=ZIP):
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(20_000)  # for DEEP
    try:
        torch.save(value, folder / "ckpt.pt", **options)
    finally:
        sys.setrecursionlimit(limit)
    return folder


@pytest.mark.filterwarnings("ignore:.*which GELU")  # of the old form, as below
@pytest.mark.parametrize("options", [ZIP, LEGACY], ids=["zip", "legacy"])
@pytest.mark.parametrize("name", ["", "ckpt.pt"])
def test_no_config_is_needed(tmp_path, options, name):
    checkpoint = load_checkpoint(save(tmp_path, trained(), options) / name)
    assert checkpoint.config == CONFIG
    arrays = random_arrays(TINY)
    found = to_arrays(checkpoint.parameters)
    assert found.keys() == arrays.keys()
    assert all(np.array_equal(found[name], array) for name, array in arrays.items())
    assert checkpoint.listing.dialect == "nanoGPT or minGPT"


def without_byteorder(folder):
    """ckpt.pt as a torch before 2.1 wrote it."""
    with zipfile.ZipFile(folder / "ckpt.pt") as archive:
        members = {n: archive.read(n) for n in archive.namelist() if not n.endswith("/byteorder")}
    (folder / "ckpt.pt").write_bytes(zip_bytes(members))
    return folder


def before_february(value):
    """The same from before model_args had bias, dropout among them or not."""
    kept = {n: v for n, v in value["model_args"].items() if n != "bias"}
    return value | {"model_args": kept}


@pytest.mark.parametrize("options", [ZIP, LEGACY], ids=["zip", "legacy"])
def test_the_first_models_had_the_tanh_form(tmp_path, options):
    folder = save(tmp_path, before_february(trained()), options)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        config = load_checkpoint(folder).config
    assert config == dataclasses.replace(CONFIG, activation_function="gelu_new")


@pytest.mark.parametrize(
    "saved", [lambda f, v: without_byteorder(save(f, v)), lambda f, v: save(f, v, LEGACY)]
)
def test_which_gelu_some_files_leave_open(tmp_path, saved):
    folder = saved(tmp_path, trained())
    with pytest.warns(CheckpointWarning) as caught:
        assert load_checkpoint(folder).config == CONFIG
    (warning,) = caught
    assert str(warning.message) == (
        f"{folder / 'ckpt.pt'}: does not say which GELU it was trained with; taken for the exact "
        "form, which nanoGPT has since June 2023. Write a config.json beside it that holds "
        '{"activation_function": "gelu_new"} if it is older, or "gelu" if it is not'
    )
    for form in ("gelu_new", "gelu"):  # as the warning says
        (folder / "config.json").write_text(json.dumps({"activation_function": form}))
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            config = load_checkpoint(folder).config
        assert config == dataclasses.replace(CONFIG, activation_function=form)


def test_a_torch_of_after_the_change_leaves_nothing_open(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert load_checkpoint(save(tmp_path, trained())).config == CONFIG


def test_a_model_without_biases(tmp_path):
    found = to_arrays(load_checkpoint(save(tmp_path, trained(bias=False))).parameters)
    arrays = random_arrays(TINY)
    assert found.keys() == arrays.keys()
    for name, array in found.items():
        assert np.array_equal(array, np.zeros_like(array) if "bias" in name else arrays[name])


def test_a_state_dict_of_nested_ones_without_sizes(tmp_path):
    save(tmp_path, {"model": NanoGPT(TINY).state_dict(), "epoch": 3})
    assert read_weights(tmp_path).config is None
    with pytest.raises(CheckpointError) as caught:
        load_checkpoint(tmp_path)
    assert '"n_layer": 2, "activation_function": "gelu", "n_head": N}' in str(caught.value)
    assert str(caught.value).endswith("before, and in minGPT, it was 'gelu_new'")


def test_what_config_json_says_besides(tmp_path):
    fields = to_json(CONFIG) | {"eos_token_id": 3, "layer_norm_epsilon": 1e-6}
    fields["activation_function"] = "gelu_new"  # as in nanoGPT's first version; no file says it
    (tmp_path / "config.json").write_text(json.dumps(fields))
    config = load_checkpoint(save(tmp_path, trained())).config
    assert (config.eos_token_id, config.layer_norm_epsilon) == (3, 1e-6)
    assert config.activation_function == "gelu_new"


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"n_head": 1}, "n_head is 1 in config.json and 2 in the file; take config.json"),
        ({"n_head": 4}, "n_head is 4 in config.json and 2 in the file"),
        ({"vocab_size": 8}, "vocab_size is 8 in config.json and 7 in the file"),
        ({"n_positions": 6}, "n_positions is 6 in config.json and 5 in the file"),
        ({"n_layer": 1}, "n_layer is 1 in config.json and 2 in the file"),
        ({"n_embd": 8}, "n_embd is 8 in config.json and 4 in the file"),
        ({"n_head": 1, "n_layer": 3}, "n_layer is 3 in config.json and 2 in the file; n_head is 1"),
        ({"n_inner": 8}, "has shape (4, 16), not (4, 8)"),
        ({"tie_word_embeddings": False}, ""),
    ],
)
def test_config_json_that_says_something_else(tmp_path, fields, said):
    (tmp_path / "config.json").write_text(json.dumps(to_json(CONFIG) | fields))
    save(tmp_path, trained())
    if not said:  # nothing in the file says that the two are tied, and both are there
        assert not load_checkpoint(tmp_path).config.tie_word_embeddings
        return
    with pytest.raises(CheckpointError) as caught:
        load_checkpoint(tmp_path)
    assert said in str(caught.value)
    assert str(caught.value).startswith(f"{tmp_path / 'ckpt.pt'}: ")


DEEP = []  # deeper than Python's repr can follow
for _ in range(2_000):
    DEEP = [DEEP]

BAD_ARGS = {
    "none": ({}, "model_args lacks n_layer, n_head, n_embd, block_size, vocab_size"),
    "one missing": ({"n_head": ...}, "model_args lacks n_head"),
    "of a fork": ({"rope": True}, "model_args holds 'rope', which nanoGPT does not"),
    "a number for a field": ({7: 7}, "model_args holds 7, which"),
    "long name": ({"x" * 999: 1}, "model_args holds 'xxx"),
    "a text": ({"n_head": "2"}, "n_head is '2'"),
    "a fraction": ({"n_head": 2.0}, "n_head is 2.0"),
    "a truth": ({"n_layer": True}, "n_layer is True"),
    "negative": ({"vocab_size": -1}, "vocab_size is -1"),
    "a list": ({"n_embd": [4]}, "n_embd is [4]"),
    "a list in a list in a list": ({"n_embd": DEEP}, "n_embd is [["),
    "None": ({"n_embd": None}, "n_embd is None"),
    "heads that do not divide": ({"n_head": 3}, "n_head = 3 does not divide"),
    "absurd layers": ({"n_layer": 2**62}, "but there are only"),
    "absurd context": ({"block_size": 2**62}, "wpe.weight has shape (5, 4), not (46116"),
    "no biases, it says": ({"bias": False}, "bias is False in model_args, but there are biases"),
    "bias is a number": ({"bias": 1}, "bias is 1 in model_args"),
    "bias is a text": ({"bias": "yes"}, "bias is 'yes' in model_args"),
    "another context": ({"block_size": 6}, "wpe.weight has shape (5, 4), not (6, 4)"),
}  # fmt: skip


@pytest.mark.parametrize(("changes", "said"), BAD_ARGS.values(), ids=BAD_ARGS)
def test_bad_model_args(tmp_path, changes, said):
    value = trained()
    arguments = {n: v for n, v in (model_args(TINY) | changes).items() if v is not ...}
    value["model_args"] = arguments if changes else {}
    check_refused(load_checkpoint, save(tmp_path, value), said, culprit=tmp_path / "ckpt.pt")


INNER = mapping({"a": tensor()})
BAD = {
    "another name": (mapping({"net": INNER}), "'net' is a dict; expected a tensor"),
    "a list of tensors": (b"](" + tensor() + b"e", "holds a list; expected a state dict"),
    "model is a list": (mapping({"model": b"](" + tensor() + b"e"}), "'model' is a list"),
    "model is None": (mapping({"model": NONE}), "'model' is None; expected a tensor"),
    "a number in it": (mapping({"model": mapping({"a": integer(1)})}), "'a' is 1; expected a"),
    "a dict in it": (mapping({"model": mapping({"a": INNER})}), "'a' is a dict; expected a tensor"),
    "twice nested": (mapping({"model": mapping({"model": INNER})}), "'model' is a dict"),
    "itself": (b"}q\0" + text("model") + b"h\0s", "'model' is a dict; expected a tensor"),
    "a number for a name": (b"}" + integer(3) + tensor() + b"s", "3 for the name of a tensor"),
    "a number for a name in it": (
        mapping({"model": b"}" + integer(3) + tensor() + b"s"}), "3 for the name of a tensor"),
    "args are a text": (mapping({"model": INNER, "model_args": text("x")}), "model_args is 'x'"),
    "args are a tensor": (
        mapping({"model": INNER, "model_args": tensor()}), "model_args is a tensor"),
    "args are a list": (mapping({"model": INNER, "model_args": b"]"}), "model_args is a list"),
    "args are true": (mapping({"model": INNER, "model_args": TRUE}), "model_args is True"),
    "args are false": (mapping({"model": INNER, "model_args": FALSE}), "model_args is False"),
    "args are themselves": (
        mapping({"model": INNER, "model_args": b"}q\0" + text("n_layer") + b"h\0s"}),
        "model_args lacks n_head"),
    "storage missing": (mapping({"model": mapping({"a": tensor(storage(key="9"))})}), "'9' is"),
    "a call beside it": (
        mapping({"model": INNER, "optimizer": b"cos\nsystem\n(" + text("true") + b"tR"}),
        "names 'os.system'"),
    "a numpy number beside it": (
        mapping({"model": INNER, "loss": b"cnumpy.core.multiarray\nscalar\n"}), "names 'numpy"),
    "a storage described otherwise beside it": (
        mapping({"model": INNER, "x": storage(count=integer(9))}), "described in two ways"),
}  # fmt: skip


@pytest.mark.parametrize(("value", "said"), BAD.values(), ids=BAD)
def test_bad_files(tmp_path, value, said):
    path = tmp_path / "ckpt.pt"
    path.write_bytes(torch_bytes(pickled(value)))
    check_refused(read_weights, path, said)


def test_tensors_beside_the_model_are_not_looked_at(tmp_path):
    path = tmp_path / "ckpt.pt"
    rest = group(tensor(storage(key="missing")), tensor(shape=integer(1)))
    path.write_bytes(
        torch_bytes(
            pickled(mapping({"model": INNER, "optimizer": rest})),
            {"data/0": struct.pack("<2f", 3, 5)},
        )
    )
    assert read_weights(path).tensors["a"].data.tolist() == [3, 5]
