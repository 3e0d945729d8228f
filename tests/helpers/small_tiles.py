"""npgpt with thresholds so low that a toy model is computed in many tiles, by three threads."""

import importlib
import pkgutil
import sys
from contextlib import ExitStack, contextmanager
from unittest import mock

import npgpt._kernels
from npgpt._kernels.threads import _pool

THREADS = 3
TOY = {
    "ROW_TILE": 6,
    "UNTILED_GEMM_WEIGHTS": 6,
    "ATTENTION_TILE_QUERIES": 2,
    "ATTENTION_TILE_SCORES": 2,
    "ATTENTION_UNTILED_SCORES": 2,
    "UNPACKED_GEMM_WORK": 40,
    "COLUMN_TILE_MAX": 3,
    "SKINNY_GEMM_WEIGHTS_PER_THREAD": 4,
    "UPCAST_TILE": 6,
    "UPCAST_SHARED_TILE": 20,
    "ONE_THREAD_GEMM_WORK": 40,
    "ONE_THREAD_GEMV_WORK": 9,
    "MIXED_COLUMN_TILE": 3,
}
KERNELS = [
    importlib.import_module(f"npgpt._kernels.{module.name}")
    for module in pkgutil.iter_modules(npgpt._kernels.__path__)
]
(THRESHOLDS,) = (kernel for kernel in KERNELS if kernel.__name__.endswith("thresholds"))


@contextmanager
def patched(**values):
    """Inside, these names stand for these values in every module of npgpt that has them."""
    with ExitStack() as stack:
        for module in [m for name, m in list(sys.modules.items()) if name.startswith("npgpt.")]:
            used = {name: value for name, value in values.items() if name in vars(module)}
            if used:
                stack.enter_context(mock.patch.multiple(module, **used))
        yield


def thresholds(**values):
    """Inside, npgpt's thresholds of these names have these values, wherever they are used."""
    assert values.keys() <= vars(THRESHOLDS).keys()
    return patched(**values)


@contextmanager
def three_threads():
    """Inside, work is shared out among THREADS threads."""
    _pool.cache_clear()
    try:
        with patched(thread_count=lambda: THREADS):
            yield
    finally:
        _pool.cache_clear()


@contextmanager
def small_tiles():
    """Inside, what is meant for large arrays is done to small ones too, by three threads."""
    with three_threads(), thresholds(**TOY):
        yield
