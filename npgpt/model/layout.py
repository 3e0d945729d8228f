"""The same weights, in the layout in which rows are multiplied by them fastest."""

from dataclasses import replace

import numpy as np

from npgpt import threads
from npgpt.arrays import Array
from npgpt.model.mapped import is_mapped, release
from npgpt.model.parameters import MLP, Affine, Attention, Block, Parameters
from npgpt.ops.tiles import parts

_SIDE = 128  # of the square blocks that are turned over at a time


def column_major(parameters: Parameters) -> Parameters:
    """The tree with the columns of each linear map one after another in memory: a copy of those.

    What the weights are is the same, and embeddings and the head stay where they are. BLAS is
    faster with this layout whenever several rows are read, and as fast with one: docs/ have
    the figures. Copying a 124M model takes a fifth of a second, and no memory beside its own:
    what was mapped from a file is given back. Weights that lie so already, are kept in 16 bits, or
    are evicted to hold a budget of memory, stay as they are.

    >>> from npgpt.config import Config
    >>> from npgpt.model.parameters import from_arrays, shapes
    >>> tiny = Config(vocab_size=5, n_positions=3, n_embd=2, n_head=1, n_layer=1)
    >>> before = from_arrays({name: np.ones(shape) for name, shape in shapes(tiny).items()}, tiny)
    >>> after = column_major(before)
    >>> before.h[0].mlp.c_fc.weight.strides, after.h[0].mlp.c_fc.weight.strides
    ((64, 8), (8, 16))
    """
    blocks = parameters.h
    if not isinstance(blocks, tuple):
        return parameters
    if any(block.mlp.c_fc.weight.dtype != parameters.dtype for block in blocks):
        return parameters
    return replace(parameters, h=tuple(map(_block, blocks)), ln_f=_affine(parameters.ln_f))


def _block(block: Block) -> Block:
    attn, mlp = block.attn, block.mlp
    return Block(
        ln_1=_affine(block.ln_1),
        attn=Attention(_affine(attn.c_attn), _affine(attn.c_proj)),
        ln_2=_affine(block.ln_2),
        mlp=MLP(_affine(mlp.c_fc), _affine(mlp.c_proj)),
    )


def _affine(affine: Affine) -> Affine:
    return Affine(_turned(affine.weight), _copied(affine.bias))


def _copied(vector: Array) -> Array:
    # Read from the file, a few numbers would bring megabytes around them into memory.
    if not is_mapped(vector):
        return vector
    copy = vector.copy()
    release(vector)
    copy.flags.writeable = False
    return copy


def _turned(weight: Array) -> Array:
    if weight.ndim == 1:
        return _copied(weight)
    if weight.flags.f_contiguous:
        return weight
    columns = np.empty(weight.shape[::-1], weight.dtype)

    def turn(part: slice) -> None:
        # Block by block: a whole row or column at a time would leave the cache before its reuse.
        for rows in parts(len(weight), _SIDE):
            columns[part, rows] = weight[rows, part].T

    threads.run(turn, parts(weight.shape[1], _SIDE))
    release(weight)
    columns.flags.writeable = False
    return columns.T
