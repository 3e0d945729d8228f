"""npgpt's activations beside TransformerLens's, by the names of npgpt.trace.NAMES.

Two programs that share no arithmetic, on the same random weights: each is held to the float64
reference within what rounding was measured to do to it, TransformerLens, in float64, too.
"""

import dataclasses
import functools

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from npgpt.audit._output_directions import head_results
from npgpt.trace import NAMES, Recorder
from oracle.bounds._compare import excess
from oracle.strategies._configs import inner_width
from oracle.strategies._weights import build_weights
from tests.helpers.tiny_models import TinyModel, rows, tiny_models, whole_models

lens = pytest.importorskip(
    "transformer_lens", reason="transformer_lens is not installed; run `tox -e lens`"
)
FUNCTIONS = ("gelu_new", "gelu", "relu", "silu", "gelu_pytorch_tanh")  # it knows no "swish"


def theirs(model, dtype):
    """A HookedTransformer with these weights, under its own names."""
    c, arrays = model.config, {name: w.astype(np.float64) for name, w in model.weights.items()}
    heads, width = c["n_head"], c["n_embd"] // c["n_head"]
    config = lens.HookedTransformerConfig(
        n_layers=c["n_layer"], d_model=c["n_embd"], n_ctx=c["n_positions"], d_head=width,
        n_heads=heads, d_mlp=inner_width(c), d_vocab=c["vocab_size"], device="cpu", dtype=dtype,
        act_fn=c["activation_function"], eps=c["layer_norm_epsilon"], normalization_type="LN",
        use_attn_scale=c["scale_attn_weights"], attention_dir="causal", use_attn_result=True,
        scale_attn_by_inverse_layer_idx=c["scale_attn_by_inverse_layer_idx"],
    )  # fmt: skip
    state = {"embed.W_E": arrays["wte.weight"], "pos_embed.W_pos": arrays["wpe.weight"]}
    state["unembed.W_U"] = arrays.get("lm_head.weight", arrays["wte.weight"]).T
    state |= {"ln_final.w": arrays["ln_f.weight"], "ln_final.b": arrays["ln_f.bias"]}
    for i in range(c["n_layer"]):
        old, new = f"h.{i}.", f"blocks.{i}."
        weight, bias = (arrays[f"{old}attn.c_attn.{part}"] for part in ("weight", "bias"))
        weight = weight.reshape(-1, 3, heads, width).transpose(1, 2, 0, 3)
        for letter, w, b in zip("QKV", weight, bias.reshape(3, heads, width), strict=True):
            state |= {f"{new}attn.W_{letter}": w, f"{new}attn.b_{letter}": b}
        state[f"{new}attn.W_O"] = arrays[f"{old}attn.c_proj.weight"].reshape(heads, width, -1)
        state[f"{new}attn.b_O"] = arrays[f"{old}attn.c_proj.bias"]
        for norm, name in (("ln_1", "ln1"), ("ln_2", "ln2")):
            state[f"{new}{name}.w"] = arrays[f"{old}{norm}.weight"]
            state[f"{new}{name}.b"] = arrays[f"{old}{norm}.bias"]
        for linear, name in (("c_fc", "in"), ("c_proj", "out")):
            state[f"{new}mlp.W_{name}"] = arrays[f"{old}mlp.{linear}.weight"]
            state[f"{new}mlp.b_{name}"] = arrays[f"{old}mlp.{linear}.bias"]
    with pytest.warns(DeprecationWarning, match="HookedTransformer is deprecated"):
        made = lens.HookedTransformer(config)
    tensors = {name: torch.from_numpy(array.copy()) for name, array in state.items()}
    left = made.load_state_dict(tensors, strict=False)
    assert not left.unexpected_keys
    # What is no weight: masks; and the head's bias, which GPT-2 has not.
    assert {name.rpartition(".")[2] for name in left.missing_keys} <= {"mask", "IGNORE", "b_U"}
    return made


def seen_by(made, row):
    """Its activations by its own names, and its logits."""
    with torch.no_grad():
        logits, cache = made.run_with_cache(torch.from_numpy(row)[None])
    return {name: tensor.numpy() for name, tensor in cache.items()}, logits.numpy()


def as_npgpt_has_it(made, seen, logits, name, layer):
    """One of its activations with npgpt's axes.

    Its hook_normalized was after a layer norm's gain and bias up to release 2.18, and stands before
    them from 3.0 on: here they are added.
    """
    if name == "logits":
        return logits
    inside = "" if layer is None else f"blocks.{layer}."
    found = seen[inside + NAMES[name].lens]
    if NAMES[name].lens in ("attn.hook_q", "attn.hook_k", "attn.hook_v", "attn.hook_z"):
        return found.swapaxes(1, 2)
    if name in ("ln_1", "ln_2", "ln_f"):
        norm = made.get_submodule(inside + NAMES[name].lens.partition(".")[0])
        return found * norm.w.detach().numpy() + norm.b.detach().numpy()
    if name == "position_embedding":
        return found[:1]
    return found


lens_models = functools.partial(tiny_models, activations=FUNCTIONS, reorder_and_upcast_attn=False)


@whole_models
@given(st.data(), lens_models())
def test_every_activation_is_theirs(data, model):
    row = data.draw(rows(model))
    recorder = Recorder()
    model.run(row[None], tap=recorder)
    made = theirs(model, torch.float64)
    seen, logits = seen_by(made, row)
    narrow = model.measure(row)
    wide = dataclasses.replace(model, dtype="float64").measure(row)
    assert set(recorder.arrays) == set(narrow.values)
    for key, reference in narrow.values.items():
        found = as_npgpt_has_it(made, seen, logits, *key)
        assert excess(found, reference, wide.allowed(*key)) <= 1, key
        allowed = narrow.allowed(*key) + wide.allowed(*key)
        assert excess(recorder.arrays[key], found, allowed) <= 1, key


@whole_models
@given(st.data(), lens_models(n_layer=1))
def test_what_each_head_writes_is_their_result(data, model):
    row = data.draw(rows(model))
    model = dataclasses.replace(model, dtype="float64")
    recorder = Recorder()
    model.run(row[None], tap=recorder)
    parameters, _ = model.arguments
    found = head_results(recorder["head_out", 0], parameters, 0)
    theirs_found, _ = seen_by(theirs(model, torch.float64), row)
    measured = model.measure(row)
    # An error of head_out goes through the head's own rows; the sum rounds like that of attn_out.
    weight = np.abs(model.weights["h.0.attn.c_proj.weight"].astype(np.float64))
    reach = weight.sum(axis=0).max()
    allowed = 2 * (measured.allowed("head_out", 0) * reach + measured.allowed("attn_out", 0))
    result = theirs_found["blocks.0.attn.hook_result"].swapaxes(1, 2)
    assert excess(found, result, allowed) <= 1


def test_every_name_of_theirs_is_one_that_they_have():
    """What NAMES states is what a user may type there."""
    config = {
        "vocab_size": 5, "n_positions": 4, "n_embd": 4, "n_layer": 1, "n_head": 2, "n_inner": 3,
        "activation_function": "gelu_new", "layer_norm_epsilon": 1e-5, "scale_attn_weights": True,
        "scale_attn_by_inverse_layer_idx": False, "tie_word_embeddings": True,
    }  # fmt: skip
    model = TinyModel(config, build_weights("trained", 0, config), "float32")
    seen, _ = seen_by(theirs(model, torch.float64), np.array([1, 2]))
    known = {name.removeprefix("blocks.0.") for name in seen}
    assert {a.lens for a in NAMES.values() if a.lens} <= known
