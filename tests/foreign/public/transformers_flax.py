"""transformers' Flax GPT-2, FlaxGPT2LMHeadModel, on the CPU (4.49 is the last of its releases)."""

from typing import Any

import numpy as np
from flax.traverse_util import unflatten_dict
from transformers import FlaxGPT2LMHeadModel, GPT2Config, __version__


def logits(config: Any, weights: Any, tokens: Any, mask: Any) -> Any:
    """Its parameters are a tree, in which gains are scales, tables embeddings, matrices kernels."""

    def path(name: str) -> tuple[str, ...]:
        *parents, last = name.split(".")
        if parents[-1] in ("wte", "wpe"):
            last = "embedding"
        elif last == "weight":
            last = "scale" if parents[-1].startswith("ln_") else "kernel"
        return (*([] if parents[0] == "lm_head" else ["transformer"]), *parents, last)

    def as_flax(name: str, array: Any) -> Any:  # its convolutions are (out, in)
        return array.T if path(name)[-1] == "kernel" else array

    model = FlaxGPT2LMHeadModel(GPT2Config(**config), input_shape=(1, 1), _do_init=False)
    tree = unflatten_dict({path(name): as_flax(name, a) for name, a in weights.items()})
    positions = np.maximum(mask.cumsum(-1) - 1, 0)
    return np.asarray(model(tokens, mask, positions, params=tree).logits)


NAME = f"transformers {__version__}, Flax"
subject = {"name": NAME, "logits": logits, "claims": {"min_n_layer": 1}}
# It takes the switches of attention's scale, and does not obey them.
as_computed = subject | {"claims": {"min_n_layer": 1, "flags": ["n_inner"]}}
