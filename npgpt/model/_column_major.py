"""Column-major weights: the same numbers, in the memory layout that BLAS multiplies fastest."""

from dataclasses import replace

from npgpt._arrays import Array
from npgpt._kernels.layout import to_column_major
from npgpt.model._paging import is_mapped, release
from npgpt.model._parameters import MLP, Affine, Attention, Block, Parameters


def column_major(parameters: Parameters) -> Parameters:
    """The tree with the columns of each linear map one after another in memory: a copy of those.

    What the weights are is the same, and embeddings and the head stay where they are. BLAS is
    faster with this layout whenever several rows are read, and as fast with one: docs/ have
    the figures. Copying a 124M model takes a fifth of a second, and no memory beside its own:
    what was mapped from a file is given back. Weights that lie so already, are kept in 16 bits, or
    are paged to hold a budget of memory, stay as they are.

    >>> import numpy as np
    >>> from npgpt._config import Config
    >>> from npgpt.model._parameters import from_arrays, shapes
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
    return Affine(_column_major(affine.weight), _copied(affine.bias))


def _copied(vector: Array) -> Array:
    # Read from the file, a few numbers would bring megabytes around them into memory.
    if not is_mapped(vector):
        return vector
    copy = vector.copy()
    release(vector)
    copy.flags.writeable = False
    return copy


def _column_major(weight: Array) -> Array:
    if weight.ndim == 1:
        return _copied(weight)
    if weight.flags.f_contiguous:
        return weight
    copy = to_column_major(weight)
    release(weight)
    copy.flags.writeable = False
    return copy
