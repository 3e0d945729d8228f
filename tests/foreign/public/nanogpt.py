"""nanoGPT (github.com/karpathy/nanoGPT): the model of model.py, in eval mode."""

from typing import Any

import torch

from tests.foreign.public.checkout import module

nanogpt = module("NANOGPT", "model")
TRANSPOSED = ("attn.c_attn.weight", "attn.c_proj.weight", "mlp.c_fc.weight", "mlp.c_proj.weight")


def logits(config: Any, weights: Any, tokens: Any, mask: Any) -> Any:
    """With targets it gives the logits of all positions."""
    sizes = {name: config[name] for name in ("vocab_size", "n_layer", "n_head", "n_embd")}
    model = nanogpt.GPT(nanogpt.GPTConfig(block_size=config["n_positions"], **sizes)).eval()
    state = {
        f"transformer.{name}": torch.tensor(array.T if name.endswith(TRANSPOSED) else array)
        for name, array in weights.items()
    }
    model.load_state_dict(state | {"lm_head.weight": state["transformer.wte.weight"]})
    ids = torch.tensor(tokens)
    with torch.no_grad():
        return model(ids, targets=ids)[0].numpy()


CLAIMS = {"flags": [], "epsilons": [1e-5], "heads": ["tied"], "mask": False}
# The weights that it loads, GPT-2's, were trained with gelu_new; its own are trained with gelu.
subject = {"logits": logits, "claims": {"activation_functions": ["gelu_new"]} | CLAIMS}
as_trained_by_itself = {"logits": logits, "claims": {"activation_functions": ["gelu"]} | CLAIMS}
