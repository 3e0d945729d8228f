"""npgpt with tiles so small that a toy model is computed in many, by three threads."""

from contextlib import ExitStack, contextmanager
from unittest import mock

from npgpt import threads
from npgpt.ops import attention_tiles, few_rows, half, linear, tiles

THREADS = 3


@contextmanager
def small_tiles():
    """Inside, what is meant for large arrays is done to small ones too."""
    threads._pool.cache_clear()
    try:
        with ExitStack() as stack:
            stack.enter_context(mock.patch.object(threads, "count", return_value=THREADS))
            stack.enter_context(mock.patch.object(tiles, "TILE", 6))
            stack.enter_context(mock.patch.object(linear, "TILE", 6))
            stack.enter_context(mock.patch.multiple(attention_tiles, QUERIES=2, CACHED=2, ALONE=2))
            stack.enter_context(mock.patch.multiple(few_rows, _SMALL=40, _WIDE=3, _SHARED=4))
            stack.enter_context(
                mock.patch.multiple(
                    half, _TILE=6, _LARGE_TILE=20, _ALONE=40, _ALONE_ONE_ROW=9, _WIDE=3
                )
            )
            yield
    finally:
        threads._pool.cache_clear()
