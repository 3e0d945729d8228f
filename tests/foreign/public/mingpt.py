"""minGPT (github.com/karpathy/minGPT): the model of mingpt/model.py, in eval mode."""

from typing import Any

import torch

from tests.foreign.public.checkout import module

mingpt = module("MINGPT", "mingpt.model")
TRANSPOSED = ("attn.c_attn.weight", "attn.c_proj.weight", "mlp.c_fc.weight", "mlp.c_proj.weight")


def logits(config: Any, weights: Any, tokens: Any, mask: Any) -> Any:
    """Its head is a tensor of its own, be it equal to the embedding."""
    chosen = mingpt.GPT.get_default_config()
    chosen.model_type, chosen.block_size = None, config["n_positions"]
    for name in ("vocab_size", "n_layer", "n_head", "n_embd"):
        setattr(chosen, name, config[name])
    model = mingpt.GPT(chosen).eval()
    state = {
        name if name.startswith("lm_head") else f"transformer.{name}": torch.tensor(
            array.T if name.endswith(TRANSPOSED) else array
        )
        for name, array in weights.items()
    }
    state.setdefault("lm_head.weight", state["transformer.wte.weight"])
    model.load_state_dict(dict(model.named_buffers()) | state)  # its masks
    with torch.no_grad():
        return model(torch.tensor(tokens))[0].numpy()


subject = {
    "name": "minGPT",
    "logits": logits,
    "claims": {
        "activation_functions": ["gelu_new"], "flags": [], "epsilons": [1e-5],
        "mask": False, "min_n_layer": 1,
    },
}  # fmt: skip
