"""Order of axes of a file's matrices: (in, out), as npgpt has them, or (out, in), transposed.

It is told by the attention's first matrix, (embd, 3 embd) or (3 embd, embd), and holds for the
square matrices too, whose shapes tell nothing.
"""

import re
from collections.abc import Mapping

import numpy as np

from npgpt.checkpoints._tensors import FLOAT32, Stored
from npgpt.errors import CheckpointError

MATRIX = re.compile(r"h\.[0-9]+\.(attn\.c_attn|attn\.c_proj|mlp\.c_fc|mlp\.c_proj)\.weight")


def is_out_in(tensors: Mapping[str, Stored], usual: bool, where: str, *, only_in: str = "") -> bool:
    """Whether the file's matrices are (out, in), as all of them say that can say it, else `usual`.

    `only_in` is the dialect in which they are never but as `usual`. Raises CheckpointError,
    starting with `where`, for matrices that disagree with it, or with one another.
    """
    orders = {name: _order(name, tensor.data.shape) for name, tensor in tensors.items()}
    first = next((name for name, order in orders.items() if order is not None), None)
    if first is None:
        return usual
    out_in, embd = bool(orders[first]), min(tensors[first].data.shape)
    if only_in and out_in != usual:
        raise CheckpointError(
            f"{where}: {first} has shape {tensors[first].data.shape}, {_axes(out_in)}, but "
            f"files with the names of {only_in} have {_axes(usual)}"
        )
    for name, tensor in tensors.items():
        shape = tensor.data.shape
        order = orders[name] if orders[name] is not None else _order(name, shape, embd)
        if order not in (None, out_in):
            raise CheckpointError(
                f"{where}: {name} has shape {shape}, not {shape[::-1]}, though {first} of shape "
                f"{tensors[first].data.shape} says that this file's matrices are "
                f"{_axes(out_in)}; save the model again, all of it with one program"
            )
    return out_in


def _axes(out_in: bool) -> str:
    return "(out, in)" if out_in else "(in, out)"


def _order(name: str, shape: tuple[int, ...], embd: int | None = None) -> bool | None:
    """Whether a matrix is (out, in), or None where its shape does not tell.

    Without `embd`, the width of the model, only the attention's first matrix tells.
    """
    match = MATRIX.fullmatch(name)
    if match is None or len(shape) != 2:
        return None
    rows, columns = shape
    if match[1] == "attn.c_attn":
        may_be = rows == 3 * columns, columns == 3 * rows
    elif embd is None:
        return None
    elif match[1] == "mlp.c_proj":
        may_be = rows == embd, columns == embd
    else:
        may_be = columns == embd, rows == embd
    return may_be[0] if may_be[0] != may_be[1] else None


def transposed(tensors: Mapping[str, Stored]) -> dict[str, Stored]:
    """The tensors with each matrix transposed, a view."""
    views = {
        id(tensor): Stored(tensor.dtype, tensor.data.T, tensor.file)
        for name, tensor in tensors.items()
        if MATRIX.fullmatch(name)
    }
    # What a file holds once under two names stays one tensor.
    return {
        name: views[id(tensor)] if MATRIX.fullmatch(name) else tensor
        for name, tensor in tensors.items()
    }


def absent_biases(tensors: Mapping[str, Stored]) -> dict[str, Stored]:
    """Zeros for all biases of a model that has none at all."""
    if any(name.endswith(".bias") for name in tensors):
        return {}
    zero = np.zeros((), FLOAT32.bits)
    return {
        name.removesuffix("weight") + "bias": Stored(
            FLOAT32, np.broadcast_to(zero, tensor.data.shape[-1:]), tensor.file
        )
        for name, tensor in tensors.items()
        if MATRIX.fullmatch(name) or re.fullmatch(r"(h\.[0-9]+\.ln_[12]|ln_f)\.weight", name)
    }
