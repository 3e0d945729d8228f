"""Q8_0, ggml's numbers of 8 bits: blocks of 32 whole numbers, each block with a scale."""

import numpy as np
import numpy.typing as npt

BLOCK = 32  # numbers that share a scale
_LAYOUT = np.dtype([("scale", "<f2"), ("codes", "i1", (BLOCK,))])
BLOCK_BYTES = _LAYOUT.itemsize


def q8_0(stored: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """The numbers scale · code, float32 and read-only, exact: 11 bits times 8 fit into 24.

    stored (blocks · 34,) -> (blocks · 32,), which takes 3.8 times the memory.
    Source: `dequantize_row_q8_0` in ggml-quants.c.

    >>> q8_0(np.array([0x00, 0x38, *range(32)], np.uint8))[:4]  # 0x3800 is a half
    array([0. , 0.5, 1. , 1.5], dtype=float32)
    """
    blocks = stored.view(_LAYOUT)
    with np.errstate(invalid="ignore"):
        scales = blocks["scale"].astype(np.float32)
        numbers = np.multiply(blocks["codes"], scales[:, np.newaxis], dtype=np.float32)
    numbers.flags.writeable = False
    flat: npt.NDArray[np.float32] = numbers.reshape(-1)
    return flat
