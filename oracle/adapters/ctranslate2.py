"""CTranslate2: a decoder of its own format, made of the weights by its `specs`.

Source: https://opennmt.net/CTranslate2/python/ctranslate2.specs.html
"""

import tempfile
from pathlib import Path
from typing import Any

import ctranslate2
import numpy as np
from ctranslate2.specs import Activation, TransformerDecoderModelSpec

from oracle.adapters.claims import Claims
from oracle.adapters.loads_files import FileEngine, loads_files
from oracle.checkpoints import ModelFiles, read_folder

ACTIVATIONS = {
    "gelu_new": Activation.GELUTanh,
    "gelu_pytorch_tanh": Activation.GELUTanh,
    "gelu": Activation.GELU,
    "relu": Activation.RELU,
    "silu": Activation.SWISH,
    "swish": Activation.SWISH,
}


def spec_of(files: ModelFiles) -> Any:
    """The model as CTranslate2 describes one; its linear layers are (out, in)."""
    c, w = files.config, files.weights
    act = ACTIVATIONS[c["activation_function"]]
    spec = TransformerDecoderModelSpec.from_config(
        c["n_layer"], c["n_head"], pre_norm=True, activation=act
    )
    spec.register_vocabulary([str(n) for n in range(c["vocab_size"])])
    spec.config.layer_norm_epsilon = c["layer_norm_epsilon"]

    def norm(at: Any, name: str) -> None:
        at.gamma, at.beta = w[f"{name}.weight"], w[f"{name}.bias"]

    def dense(at: Any, name: str) -> None:
        at.weight, at.bias = np.ascontiguousarray(w[f"{name}.weight"].T), w[f"{name}.bias"]

    decoder = spec.decoder
    decoder.scale_embeddings = False
    decoder.embeddings.weight = w["wte.weight"]
    decoder.position_encodings.encodings = w["wpe.weight"]
    norm(decoder.layer_norm, "ln_f")
    head = "wte.weight" if c["tie_word_embeddings"] else "lm_head.weight"
    decoder.projection.weight = w[head]
    for i, layer in enumerate(decoder.layer):
        norm(layer.self_attention.layer_norm, f"h.{i}.ln_1")
        dense(layer.self_attention.linear[0], f"h.{i}.attn.c_attn")
        dense(layer.self_attention.linear[1], f"h.{i}.attn.c_proj")
        norm(layer.ffn.layer_norm, f"h.{i}.ln_2")
        dense(layer.ffn.linear_0, f"h.{i}.mlp.c_fc")
        dense(layer.ffn.linear_1, f"h.{i}.mlp.c_proj")
    return spec


def load(path: Path) -> dict[str, Any]:
    """A generator of the folder's model."""
    with tempfile.TemporaryDirectory() as folder:
        spec = spec_of(read_folder(path))
        spec.validate()
        spec.optimize()
        spec.save(folder)
        model = ctranslate2.Generator(folder, compute_type="float32", intra_threads=1)
    return {"logits": lambda tokens: np.array(model.forward_batch(np.array(tokens).tolist()))}


def subject() -> FileEngine:
    """CTranslate2 in float32."""
    # It opens no model without layers.
    claims = Claims(flags=["n_inner", "reorder_and_upcast_attn"], min_n_layer=1)
    name = f"CTranslate2 {ctranslate2.__version__}"
    return loads_files("safetensors", load, name=name, claims=claims)
