"""Holding an op of npgpt to the same op of the oracle, within the bound on its rounding."""

import numpy as np
import torch
from hypothesis import strategies as st

from oracle.bounds._compare import excess
from oracle.strategies._arrays import LAYOUTS, laid_out
from tests.helpers.device import DEVICE

DTYPES = st.sampled_from([np.float32, np.float64])


def reference(op, *arrays, **options):
    """What the oracle's `op` makes of these arrays in float64."""
    tensors = [_tensor(array) for array in arrays]
    found = op(*tensors, **{name: _tensor(value) for name, value in options.items()})
    return found.cpu().numpy()


def _tensor(value):
    if not isinstance(value, np.ndarray):
        return value
    # A copy, because torch takes neither read-only memory nor negative strides.
    wide = np.float64 if value.dtype.kind == "f" else value.dtype
    return torch.from_numpy(np.array(value, wide, order="C")).to(DEVICE)


def held_to_oracle(op, oracle_op, bound, arrays, *, layout=LAYOUTS[0], **options):
    """Run `op`; fail unless it keeps the dtype and is within the bound of the oracle.

    The arrays are passed read-only and in `layout`, so that `op` cannot write to them. Both sides
    round: npgpt in its dtype, the reference in float64.
    """
    arrays = [laid_out(array, layout) for array in arrays]
    computed = op(*arrays, **options)
    dtype = arrays[-1].dtype
    assert computed.dtype == dtype
    assert not any(np.shares_memory(computed, array) for array in arrays)
    expected = reference(oracle_op, *arrays, **options)
    allowed = sum(bound(*arrays, **options, dtype=name) for name in (dtype, np.float64))
    assert excess(computed, expected, allowed) <= 1
    return computed
