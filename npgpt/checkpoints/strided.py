"""Views of a flat array by offset, shape and strides, checked before NumPy is asked for them."""

from typing import Any

import numpy as np
import numpy.typing as npt

from npgpt.checkpoints.dtypes import DType, check_shape
from npgpt.errors import CheckpointError
from npgpt.quoting import kind


def strided(
    values: npt.NDArray[Any], dtype: DType, geometry: tuple[Any, ...], where: str
) -> npt.NDArray[Any]:
    """The array whose element (i, j, …) is `values[offset + i * strides[0] + j * strides[1] + …]`.

    `geometry` is (offset, shape, strides), as torch pickles them: strides count elements. The
    result is a view. Raises CheckpointError, starting with `where`, unless the three are whole
    numbers of 0 or more that stay inside `values`.

    >>> from npgpt.checkpoints.dtypes import FLOAT32
    >>> strided(np.arange(6, dtype=np.float32), FLOAT32, (1, (2, 2), (1, 3)), "an example")
    array([[1., 4.],
           [2., 5.]], dtype=float32)
    """
    offset, shape, strides = geometry
    if type(shape) is not tuple or type(strides) is not tuple or len(shape) != len(strides):
        raise CheckpointError(f"{where}: shape and strides are not two tuples of one length")
    sizes = check_shape(shape, dtype, where)
    start, *steps = (_whole(number, where) for number in (offset, *strides))
    if 0 in sizes:
        return np.empty(sizes, values.dtype)  # wherever it starts, as in torch
    reach = start + sum((size - 1) * step for size, step in zip(sizes, steps, strict=True))
    if reach >= values.size:
        raise CheckpointError(
            f"{where}: offset {start}, shape {sizes} and strides {tuple(steps)} reach outside "
            f"its {values.size} numbers"
        )
    # The stride of a dimension of size 1 means nothing, and might overflow.
    jumps = [
        step * dtype.itemsize if size > 1 else 0 for size, step in zip(sizes, steps, strict=True)
    ]
    return np.lib.stride_tricks.as_strided(values[start:], sizes, jumps, writeable=False)


def _whole(number: object, where: str) -> int:
    if type(number) is not int or number < 0:
        raise CheckpointError(
            f"{where}: {kind(number)} for an offset or stride; expected 0 or more"
        )
    return number
