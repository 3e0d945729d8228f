"""Threads: work shared out, since NumPy releases Python's global lock while it computes."""

import functools
import os
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from npgpt._arrays import quiet

Item = TypeVar("Item")

# What OpenBLAS goes by, in its order.
_VARIABLES = ("OPENBLAS_NUM_THREADS", "GOTO_NUM_THREADS", "OMP_NUM_THREADS")


@functools.cache
def thread_count() -> int:
    """How many threads compute together: as many as OpenBLAS takes for a product.

    OPENBLAS_NUM_THREADS or OMP_NUM_THREADS, as they stand when this is first asked, else the
    number of processors that this process may use.
    """
    for name in _VARIABLES:
        value = os.environ.get(name, "")
        if value.isdecimal() and int(value) > 0:
            return int(value)
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def parallel_for(work: Callable[[Item], object], items: Iterable[Item]) -> None:
    """Call `work` on every item, in any order, in `thread_count()` threads, this one among them.

    Returns when all are done; what one of them raises is raised here. The floating-point state is
    that of `arrays.quiet` in each thread.

    >>> squares = [0, 0, 0]
    >>> parallel_for(lambda i: squares.__setitem__(i, i * i), range(3))
    >>> squares
    [0, 1, 4]
    """
    queue = deque(items)

    def drain() -> None:
        with quiet():
            try:
                while (item := _taken(queue)) is not None:
                    work(item[0])
            except BaseException:
                queue.clear()  # nothing new is begun
                raise

    helpers = min(thread_count(), len(queue)) - 1
    if helpers < 1:
        return drain()
    futures = [_pool().submit(drain) for _ in range(helpers)]
    try:
        drain()
    finally:
        for future in futures:
            if not future.cancel():  # one that has not begun would find nothing left to do
                future.result()


def _taken(queue: deque[Item]) -> tuple[Item] | None:
    try:
        return (queue.popleft(),)
    except IndexError:
        return None


@functools.cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(thread_count() - 1, thread_name_prefix="npgpt")


if hasattr(os, "register_at_fork"):
    # A forked child has none of its parent's threads.
    os.register_at_fork(after_in_child=_pool.cache_clear)
