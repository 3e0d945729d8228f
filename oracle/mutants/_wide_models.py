"""Bugs that need a wide or deep model, a large vocabulary or batch, or late positions to show."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from oracle import model
from oracle.mutants._mutant import Mutant, Severity
from oracle.mutants._wrapping import WIDE, Call, changed, model_bug, steered

LONG: Severity = "long contexts"
_embedding, _layer_norm, _linear = model.embedding, model.layer_norm, model.linear
_block = model._block


def _split_sum_half(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Beyond 512 terms, sums of 128 are added in float16."""
    if weight.shape[0] <= 512:
        return _linear(x, weight, bias)
    parts = zip(x.split(128, -1), weight.split(128, 0), strict=True)
    total = sum(((a @ b).half() for a, b in parts), torch.zeros((), dtype=torch.half)).to(x)
    return total if bias is None else total + bias


def _whole_blocks(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    terms = len(weight) if len(weight) <= 64 else len(weight) // 32 * 32
    return _linear(x[..., :terms], weight[:terms], bias)


def _whole_columns(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    out, columns = _linear(x, weight, bias), weight.shape[-1]
    if columns > 128:
        out = out.clone()
        out[..., columns // 64 * 64 :] = 0
    return out


def _whole_warps(x: Tensor, weight: Tensor, bias: Tensor, *, eps: float = 1e-5) -> Tensor:
    width = x.shape[-1]
    seen = x if width <= 32 else x[..., : width // 32 * 32]
    mean = seen.sum(-1, keepdim=True) / width
    spread = (seen - mean).square().sum(-1, keepdim=True) / width
    return (x - mean) / torch.sqrt(spread + eps) * weight + bias


def _first_blocks(x: Tensor, weight: Tensor, bias: Tensor, *, eps: float = 1e-5) -> Tensor:
    out = _layer_norm(x, weight, bias, eps=eps)
    flat = out.flatten(0, -2)
    return torch.cat([flat[:65535], x.flatten(0, -2)[65535:]]).reshape(x.shape)


def _tail_left(true: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """Vectors of 16 are computed; what is left over stays as it is."""

    def activation(x: Tensor) -> Tensor:
        width = x.shape[-1]
        whole = width if width <= 64 else width // 16 * 16
        return torch.cat([true(x[..., :whole]), x[..., whole:]], -1)

    return activation


def _ids_in(bits: int) -> Callable[[Tensor, Tensor], Tensor]:
    """Ids of tokens, with a sign in so many bits; a negative one counts from the table's end."""

    def embedding(ids: Tensor, weight: Tensor) -> Tensor:
        half = 2 ** (bits - 1)
        if len(weight) <= half:
            return _embedding(ids, weight)
        wrapped = (ids + half) % (2 * half) - half
        return _embedding(wrapped % len(weight), weight)

    return embedding


def _placed(places: Callable[[Tensor], Tensor]) -> Callable[..., model.Output]:
    return changed(lambda call: call.run(positions=places(call.places)))


def _wrong_heads(call: Call) -> model.Output:
    width = call.c["n_embd"]
    heads = width // 64 if width % 64 == 0 else call.c["n_head"]
    return call.run(config={**call.config, "n_head": heads})


def _first_layers(most: int) -> Callable[..., Any]:
    def block(*args: Any) -> Any:
        x, keys, values = _block(*args)
        return (x if args[2] < most else args[3]), keys, values

    return block


def _rows_dropped(tensor: Tensor, layer: int | None, seen: Any) -> Tensor:
    rows = torch.arange(len(tensor), device=tensor.device)
    return torch.where(rows[:, None, None] < 8, tensor, 0)


def _too_wide(tensor: Tensor, layer: int | None, seen: Any) -> Tensor:
    return tensor * 1.5 if seen.call.c["n_embd"] > 64 else tensor


def _last_tile_of_words(tensor: Tensor, layer: int | None, seen: Any) -> Tensor:
    words = tensor.shape[-1]
    if words < 128 or words % 64 == 0:
        return tensor
    return torch.cat([tensor[..., : words // 64 * 64], 0 * tensor[..., words // 64 * 64 :]], -1)


def _other_than_released(tensor: Tensor, layer: int | None, seen: Any) -> Tensor:
    return torch.cat([tensor[..., :50257], 0 * tensor[..., 50257:] - 1e4], -1)


def _remembering() -> Callable[..., model.Output]:
    """Weights are laid out once for each shape of model, and found again by it."""
    held: dict[Any, model.Weights] = {}

    def run(call: Call) -> model.Output:
        shapes = tuple((n, w.shape, w.dtype, w.device) for n, w in call.weights.items())
        if len(held) > 64:
            held.clear()
        return replace(
            call, weights=held.setdefault((shapes, call.c["n_head"]), call.weights)
        ).run()

    return changed(run)


MUTANTS: tuple[Mutant, ...] = tuple(
    model_bug(id, bug, source, effect=effect, severity=LONG, **options)
    for id, bug, source, effect, options in (
        (
            "logits-too-large-when-wide",
            "logits are 1.5 times too large as soon as n_embd is above 64",
            "",
            "every real model is overconfident",
            {"forward": steered(logits=_too_wide)},
        ),
        (
            "linear-long-sum-float16",
            "beyond 512 terms, sums over blocks of 128 are added in float16",
            "",
            "three digits are left of wide models",
            {"linear": _split_sum_half, "dtypes": WIDE},
        ),
        (
            "linear-partial-block-dropped",
            "a product leaves out what is left over after blocks of 32 terms",
            "",
            "odd widths are off",
            {"linear": _whole_blocks},
        ),
        (
            "linear-partial-tile-zero",
            "columns of a product's last tile of 64 are zeros where it is not full",
            "",
            "the last ids never come",
            {"linear": _whole_columns},
        ),
        (
            "layernorm-partial-warp-dropped",
            "layer norm's sums leave out what is left over after warps of 32",
            "",
            "odd widths are off",
            {"layer_norm": _whole_warps},
        ),
        (
            "layernorm-first-65535-blocks",
            "a grid covers 65,535 rows; later ones pass without layer norm",
            "flashinfer-ai/flashinfer#3125",
            "huge batches go wrong in their last rows",
            {"layer_norm": _first_blocks},
        ),
        (
            "activation-tail-skipped",
            "the activation leaves what is left over after vectors of 16 as it is",
            "",
            "odd widths are off",
            {"ACTIVATIONS": {n: _tail_left(f) for n, f in model.ACTIVATIONS.items()}},
        ),
        (
            "ids-16-bits",
            "ids of tokens are kept in 16 bits with a sign",
            "shoarora/transformers-trainers#12",
            "ids from 32,768 on are other words",
            {"embedding": _ids_in(16)},
        ),
        (
            "ids-8-bits",
            "ids and positions are kept in 8 bits with a sign",
            "",
            "ids and positions from 128 on are others",
            {"embedding": _ids_in(8)},
        ),
        (
            "positions-wrap-at-256",
            "positions are kept in 8 bits",
            "",
            "the 257th token stands at the first place",
            {"forward": _placed(lambda places: places % 256)},
        ),
        (
            "positions-clamped-at-1023",
            "positions are clamped at 1023, whatever n_positions says",
            "",
            "models with longer contexts repeat a place",
            {"forward": _placed(lambda places: places.clamp(max=1023))},
        ),
        (
            "heads-by-64",
            "the number of heads is n_embd // 64, whatever n_head says",
            "",
            "models whose heads are not 64 wide are off",
            {"forward": changed(_wrong_heads)},
        ),
        (
            "layers-beyond-24",
            "only the first 24 layers are run",
            "",
            "GPT-2 large and XL end early",
            {"_block": _first_layers(24)},
        ),
        (
            "rows-beyond-8-zero",
            "rows of a batch from the ninth on give zeros",
            "NVIDIA/TensorRT#642",
            "larger batches are half empty",
            {"forward": steered(logits=_rows_dropped)},
        ),
        (
            "vocabulary-last-tile-zero",
            "logits of the vocabulary's last tile of 64 are zeros where it is not full",
            "",
            "the last ids are too likely",
            {"forward": steered(logits=_last_tile_of_words)},
        ),
        (
            "vocabulary-released-alone",
            "logits from 50,257 on are -1e4, whatever vocab_size says",
            "",
            "added words never come",
            {"forward": steered(logits=_other_than_released)},
        ),
        (
            "weights-by-shape",
            "weights are laid out once for each shape of model, and found again by it",
            "",
            "a second checkpoint answers as the first",
            {"forward": _remembering()},
        ),
    )
)
