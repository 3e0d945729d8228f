"""Honest other ways to run the whole model: other layouts, other orders, other precision."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from oracle import model
from oracle.mutants._cache_calls import both
from oracle.mutants._equivalent_attention import attention_in_float64
from oracle.mutants._equivalent_ops import (
    WIDE_ACTIVATIONS,
    layer_norm_in_float64,
    linear_in_float64,
)
from oracle.mutants._mutant import Mutant
from oracle.mutants._numpy_model import numpy_forward
from oracle.mutants._wrapping import Call, changed, model_bug

_true_map = model._map


def _untapped(change: Callable[[Call], model.Output]) -> Callable[..., model.Output]:
    """A `forward` that runs as it always did where there is a tap, whose shapes are fixed."""
    return changed(lambda call: call.run() if call.tap else change(call))


def _row(call: Call, row: slice) -> Call:
    positions, past = call.positions, call.past
    return replace(
        call,
        tokens=call.tokens[row],
        mask=call.mask[row],
        positions=None if positions is None else positions[row],
        past=past and both(lambda t: t[row])(replace(past, mask=past.mask[row])),
    )


def _stacked(outputs: Sequence[model.Output]) -> model.Output:
    pasts = [output.past for output in outputs]
    return model.Output(
        torch.cat([output.logits for output in outputs]),
        torch.cat([output.hidden for output in outputs]),
        model.Past(
            tuple(map(torch.cat, zip(*(p.keys for p in pasts), strict=True))),
            tuple(map(torch.cat, zip(*(p.values for p in pasts), strict=True))),
            torch.cat([p.mask for p in pasts]),
        ),
    )


def _rows(call: Call) -> Iterator[Call]:
    return (_row(call, slice(i, i + 1)) for i in range(len(call.tokens)))


def _by_rows(call: Call) -> model.Output:
    return _stacked([row.run() for row in _rows(call)])


def _stripped(call: Call) -> model.Output:
    """Each row alone without its padding; nothing stands where the padding was."""

    def spread(tensor: Tensor, axis: int, places: Tensor) -> Tensor:
        shape = list(tensor.shape)
        shape[axis] = call.mask.shape[1]
        return tensor.new_zeros(shape).index_copy(axis, places, tensor)

    def alone(row: Call) -> model.Output:
        real = row.mask[0]
        if not real.any():
            return row.run()
        output = replace(row, tokens=row.tokens[:, real], mask=row.mask[:, real]).run()
        at = real.nonzero()[:, 0]
        past = both(lambda t: spread(t, 2, at))(replace(output.past, mask=row.mask))
        return model.Output(spread(output.logits, 1, at), spread(output.hidden, 1, at), past)

    if call.past is not None or call.positions is not None:
        return call.run()
    return _stacked([alone(row) for row in _rows(call)])


def _moved(*, left: bool) -> Callable[..., model.Output]:
    """All padding moved to one side, and the logits moved back."""

    def run(call: Call) -> model.Output:
        order = torch.argsort(call.mask.int(), dim=1, descending=not left, stable=True)
        back = torch.argsort(order, dim=1)[..., None]
        output = call.run(
            tokens=call.tokens.gather(1, order),
            mask=call.mask.gather(1, order),
            positions=call.places.gather(1, order),
        )
        logits = torch.take_along_dim(output.logits, back, 1)
        return replace(output, logits=logits, hidden=torch.take_along_dim(output.hidden, back, 1))

    return _untapped(run)


def _in_pieces(size: Callable[[int], int]) -> Callable[..., model.Output]:
    """Through the cache, size(number of tokens) columns at a time."""

    def run(call: Call) -> model.Output:
        width, past, outputs = call.tokens.shape[1], call.past, []
        for start in range(0, width, size(width)):
            part = slice(start, start + size(width))
            output = call.run(
                tokens=call.tokens[:, part],
                mask=call.mask[:, part],
                positions=None if call.positions is None else call.positions[:, part],
                past=past,
            )
            past = output.past
            outputs.append(output)
        logits = torch.cat([output.logits for output in outputs], 1)
        return model.Output(logits, torch.cat([o.hidden for o in outputs], 1), outputs[-1].past)

    return _untapped(run)


def _separate(weights: model.Weights, name: str, x: Tensor) -> Tensor:
    """Query, key and value by a product each."""
    if not name.endswith("attn.c_attn"):
        return _true_map(weights, name, x)
    thirds = (weights[f"{name}.{part}"].chunk(3, -1) for part in ("weight", "bias"))
    return torch.cat([model.linear(x, w, b) for w, b in zip(*thirds, strict=True)], -1)


def _stored_by_columns(call: Call) -> model.Output:
    stored = {n: w.mT.contiguous().mT if w.ndim == 2 else w for n, w in call.weights.items()}
    return call.run(weights=stored)


def _rearranged(call: Call) -> model.Output:
    """The MLP's units, and the heads, in the opposite order."""

    def turn(name: str, tensor: Tensor) -> Tensor:
        if ".c_fc." in name:
            return tensor.flip(-1)
        if name.endswith("mlp.c_proj.weight"):
            return tensor.flip(0)
        if ".c_attn." in name:
            return tensor.unflatten(-1, (3, call.c["n_head"], -1)).flip(-2).flatten(-3)
        if name.endswith("attn.c_proj.weight"):
            return tensor.unflatten(0, (call.c["n_head"], -1)).flip(0).flatten(0, 1)
        return tensor

    return call.run(weights={name: turn(name, w) for name, w in call.weights.items()})


def _norms_folded(call: Call) -> model.Output:
    """A block's gains and biases of layer norm multiplied into the maps that read them."""
    weights = dict(call.weights)
    for i in range(call.c["n_layer"]):
        for norm, reader in (("ln_1", "attn.c_attn"), ("ln_2", "mlp.c_fc")):
            norm, reader = f"h.{i}.{norm}", f"h.{i}.{reader}"
            gain, bias = weights[f"{norm}.weight"], weights[f"{norm}.bias"]
            table = weights[f"{reader}.weight"]
            weights[f"{reader}.bias"] = weights[f"{reader}.bias"] + bias @ table
            weights[f"{reader}.weight"] = gain[:, None] * table
            weights |= {f"{norm}.weight": torch.ones_like(gain), f"{norm}.bias": bias * 0}
    return call.run(weights=weights)


def _wide(call: Call) -> model.Output:
    """All in float64, and the logits rounded at the end."""
    kind = call.weights["wte.weight"].dtype
    past = call.past and both(Tensor.double)(call.past)
    output = call.run(weights={n: w.double() for n, w in call.weights.items()}, past=past)
    return replace(output, logits=output.logits.to(kind), hidden=output.hidden.to(kind))


def _one_hot(ids: Tensor, weight: Tensor) -> Tensor:
    if ids.numel() and not 0 <= int(ids.min()) <= int(ids.max()) < len(weight):
        raise ValueError(f"an id is outside the table, 0..{len(weight) - 1}")
    return (ids[..., None] == torch.arange(len(weight), device=ids.device)).to(weight) @ weight


def _as_indexes(call: Call) -> model.Output:
    """Negative ids count from the end of the vocabulary, as NumPy's indexes do: lax, and right."""
    tokens = call.tokens
    return call.run(tokens=torch.where(tokens < 0, tokens + call.c["vocab_size"], tokens))


EQUIVALENTS: tuple[Mutant, ...] = tuple(
    model_bug(id, says, "", area="equivalent", **replaces)
    for id, says, replaces in (
        ("rows-one-by-one", "the rows of a batch run alone", {"forward": _untapped(_by_rows)}),
        ("padding-stripped", "rows run alone, unpadded", {"forward": _untapped(_stripped)}),
        ("padding-to-left", "padding moved to the left", {"forward": _moved(left=True)}),
        ("padding-to-right", "padding moved to the right", {"forward": _moved(left=False)}),
        ("tokens-one-by-one", "each token cached", {"forward": _in_pieces(lambda n: 1)}),
        ("two-chunks", "two chunks", {"forward": _in_pieces(lambda n: max(1, (n + 1) // 2))}),
        ("qkv-separate", "query, key, value by a product each", {"_map": _separate}),
        (
            "stored-by-columns",
            "matrices stored by columns",
            {"forward": changed(_stored_by_columns)},
        ),
        ("units-rearranged", "units and heads in another order", {"forward": changed(_rearranged)}),
        ("norms-folded", "gains of layer norm in the maps", {"forward": changed(_norms_folded)}),
        ("embedding-one-hot", "embeddings by products", {"embedding": _one_hot}),
        ("float64-throughout", "rounded at the end", {"forward": changed(_wide)}),
        (
            "float64-inside",
            "each op in float64, rounded after it",
            {
                "linear": linear_in_float64,
                "layer_norm": layer_norm_in_float64,
                "attention": attention_in_float64,
                "ACTIVATIONS": WIDE_ACTIVATIONS,
            },
        ),
        ("numpy", "NumPy, written from the formulas", {"forward": _untapped(numpy_forward)}),
        ("negative-ids-as-indexes", "ids as NumPy's indexes", {"forward": changed(_as_indexes)}),
    )
)
