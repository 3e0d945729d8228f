"""What heads and neurons write to the residual stream, and which tokens that makes likelier."""

import torch
from torch import Tensor

from oracle.model import Config, Weights
from oracle.ops._layer_norm import divided
from oracle.ops._linear import linear


def neuron_direction(weights: Weights, layer: int, neuron: int) -> Tensor:
    """What c_proj makes of this neuron's mlp_post alone, if it is 1: (embd).

    >>> neuron_direction({"h.0.mlp.c_proj.weight": torch.tensor([[1.0], [7.0]])}, 0, 1).tolist()
    [7.0]
    """
    weight = weights[f"h.{layer}.mlp.c_proj.weight"]
    alone = torch.zeros_like(weight[:, 0])
    alone[neuron] = 1
    return linear(alone, weight)


def head_results(head_out: Tensor, weights: Weights, layer: int) -> Tensor:
    """What c_proj makes of each head's output alone, all other heads silent, without its bias.

    head_out: (batch, head, query, head_dim); returns (batch, head, query, embd).

    >>> weights = {"h.0.attn.c_proj.weight": torch.tensor([[1.0, 0.0], [5.0, 1.0]])}
    >>> head_results(torch.tensor([[[[2.0]], [[3.0]]]]), weights, 0).tolist()
    [[[[2.0, 0.0]], [[15.0, 3.0]]]]
    """
    found = []
    for head in range(head_out.shape[1]):
        alone = torch.zeros_like(head_out)
        alone[:, head] = head_out[:, head]
        merged = alone.transpose(1, 2).flatten(2)
        found.append(linear(merged, weights[f"h.{layer}.attn.c_proj.weight"]))
    return torch.stack(found, 1)


def logits_of(written: Tensor, weights: Weights, config: Config) -> Tensor:
    """What a vector of the residual stream adds to each logit under a scale of 1.

    It is ln_f of the vector with that scale and no bias, before the head; written: (..., embd),
    returns (..., vocab). Source: Geva et al. 2022, "Transformer Feed-Forward Layers Build
    Predictions by Promoting Concepts in the Vocabulary Space"; with the norm taken along.

    >>> weights = {"wte.weight": torch.eye(2), "ln_f.weight": torch.tensor([1.0, 3.0])}
    >>> logits_of(torch.tensor([4.0, 0.0]), weights, {}).tolist()
    [2.0, -6.0]
    """
    tied = config.get("tie_word_embeddings", True)
    head = weights["wte.weight" if tied else "lm_head.weight"]
    gain = weights["ln_f.weight"]
    one = written.new_ones(1)
    return linear(divided(written, one, gain, torch.zeros_like(gain)), head.mT)


def top_tokens(
    written: Tensor, weights: Weights, config: Config, *, k: int
) -> tuple[Tensor, Tensor]:
    """The k tokens of the largest `logits_of`, the lower id first of equals: ids, logits (..., k).

    >>> weights = {"wte.weight": torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]])}
    >>> weights["ln_f.weight"] = torch.ones(2)
    >>> [found.tolist() for found in top_tokens(torch.tensor([4.0, 0.0]), weights, {}, k=2)]
    [[0, 2], [2.0, 2.0]]
    """
    found = logits_of(written, weights, config).sort(dim=-1, descending=True, stable=True)
    return found.indices[..., :k], found.values[..., :k]
