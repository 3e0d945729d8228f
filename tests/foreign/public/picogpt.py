"""picoGPT (github.com/jaymody/picoGPT): `gpt2` of gpt2.py, one row at a time, NumPy."""

from typing import Any

import numpy as np

from tests.foreign.public.checkout import module

gpt2 = module("PICOGPT", "gpt2").gpt2


def logits(config: Any, weights: Any, tokens: Any, mask: Any) -> Any:
    """Its parameters are nested dicts, b, g, and w in them."""

    def layer(name: str, gain: str, shift: str) -> dict[str, Any]:
        return {gain: weights[f"{name}.weight"], shift: weights[f"{name}.bias"]}

    def block(at: str) -> dict[str, Any]:
        return {
            "ln_1": layer(f"{at}.ln_1", "g", "b"),
            "attn": {n: layer(f"{at}.attn.{n}", "w", "b") for n in ("c_attn", "c_proj")},
            "ln_2": layer(f"{at}.ln_2", "g", "b"),
            "mlp": {n: layer(f"{at}.mlp.{n}", "w", "b") for n in ("c_fc", "c_proj")},
        }

    blocks = [block(f"h.{i}") for i in range(config["n_layer"])]
    tables = weights["wte.weight"], weights["wpe.weight"]
    last = layer("ln_f", "g", "b")
    return np.stack([gpt2(row, *tables, blocks, last, n_head=config["n_head"]) for row in tokens])


subject = {
    "name": "picoGPT",
    "logits": logits,
    "claims": {
        "activation_functions": ["gelu_new"], "flags": [], "epsilons": [1e-5],
        "heads": ["tied"], "mask": False,
    },
}  # fmt: skip
