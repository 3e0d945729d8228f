"""How the model that ships is trained: its size, its initial weights, the loss, the optimizers.

Muon (Jordan et al. 2024, https://kellerjordan.github.io/posts/muon) reaches a given loss in fewer
tokens than AdamW, and tokens are what a CPU is short of. Few texts and many passes over them ask
for dropout.
"""

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from oracle import model

VOCAB = 4096
CONFIG: dict[str, Any] = {
    "vocab_size": VOCAB,
    "n_positions": 256,
    "n_embd": 256,
    "n_head": 4,
    "n_layer": 6,
    "bos_token_id": VOCAB - 1,
    "eos_token_id": VOCAB - 1,
}
# What dropout may hide: the embedding, and what each half of a block adds to the residual stream.
DROPPED = ("token_embedding", "attn_out", "mlp_out")
INIT_STD = 0.02


@dataclass(frozen=True)
class Settings:
    """Everything that a run depends on beside the data, the code and the speed of the machine.

    The learning rates are the highest: they rise to it in `warmup` steps, and fall to 0 in a
    straight line at the last step or minute, whichever comes first.
    """

    steps: int = 100_000
    budget_minutes: float = 60.0
    batch: int = 16
    muon_lr: float = 5e-3
    adam_lr: float = 2e-3
    weight_decay: float = 0.1
    dropout: float = 0.15
    clip: float = 1.0
    warmup: int = 50
    report_minutes: float = 2.0
    seed: int = 0


def initial_weights(seed: int) -> dict[str, Tensor]:
    """GPT-2's initialisation: N(0, 0.02²), less into the residual stream; norms 1, biases 0."""
    generator = torch.Generator().manual_seed(seed)
    weights = {}
    for name, shape in model.shapes(CONFIG).items():
        depth = 2 * CONFIG["n_layer"] if name.endswith("c_proj.weight") else 1
        drawn = torch.randn(shape, generator=generator) * (INIT_STD / math.sqrt(depth))
        constant = 1.0 if ".ln_" in f".{name}" and name.endswith("weight") else 0.0
        weights[name] = drawn if len(shape) == 2 else torch.full(shape, constant)
    return {name: tensor.requires_grad_() for name, tensor in weights.items()}


def optimizers(weights: dict[str, Tensor], s: Settings) -> list[torch.optim.Optimizer]:
    """Muon for the blocks' matrices, AdamW for embeddings, norms and biases."""
    matrices = [t for n, t in weights.items() if n.startswith("h.") and t.ndim == 2]
    tables = [t for n, t in weights.items() if not n.startswith("h.") and t.ndim == 2]
    vectors = [t for t in weights.values() if t.ndim == 1]
    muon = torch.optim.Muon(
        matrices, lr=s.muon_lr, weight_decay=s.weight_decay, adjust_lr_fn="match_rms_adamw"
    )
    groups = [{"params": tables}, {"params": vectors, "weight_decay": 0.0}]
    adam = torch.optim.AdamW(
        groups, lr=s.adam_lr, betas=(0.9, 0.95), weight_decay=s.weight_decay, fused=True
    )
    return [muon, adam]


def windows(stream: Tensor, step: int, s: Settings) -> tuple[Tensor, Tensor]:
    """Inputs and targets (batch, n_positions) of a step.

    Every epoch cuts the stream into windows from a new random offset and shuffles them.
    """
    width = CONFIG["n_positions"]
    per_epoch = (len(stream) - 1 - width) // width
    rows = []
    for i in range(step * s.batch, (step + 1) * s.batch):
        epoch, at = divmod(i, per_epoch)
        generator = torch.Generator().manual_seed((s.seed << 32) + epoch)
        offset = int(torch.randint(width, (), generator=generator))
        start = offset + width * int(torch.randperm(per_epoch, generator=generator)[at])
        rows.append(stream[start : start + width + 1])
    found = torch.stack(rows)
    return found[:, :-1], found[:, 1:]


def dropout_masks(step: int, s: Settings) -> dict[tuple[str, int | None], Tensor]:
    """What to multiply each dropped activation by, drawn bytewise: F.dropout is slow on a CPU."""
    shape = (s.batch, CONFIG["n_positions"], CONFIG["n_embd"])
    generator = torch.Generator().manual_seed((s.seed << 32) + step)
    places = [(n, i) for i in range(CONFIG["n_layer"]) for n in DROPPED[1:]]
    masks = {}
    for place in [(DROPPED[0], None), *places] if s.dropout else []:
        words = torch.empty(math.prod(shape) // 8, dtype=torch.int64)
        words.random_(-(2**63), None, generator=generator)
        masks[place] = words.view(torch.uint8).view(shape) >= round(256 * s.dropout)
    return masks


def loss(
    weights: dict[str, Tensor],
    inputs: Tensor,
    targets: Tensor,
    masks: dict[tuple[str, int | None], Tensor],
    rate: float,
) -> Tensor:
    """Mean cross-entropy, in nats a token; products in bfloat16, the rest in float32."""

    def drop(name: str, layer: int | None, x: Tensor) -> Tensor:
        return x * masks[name, layer] / (1 - rate) if (name, layer) in masks else x

    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = model.logits(weights, CONFIG, inputs, tap=drop)
    return F.cross_entropy(found.float().flatten(0, 1), targets.flatten())
