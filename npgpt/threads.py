"""Work shared by several threads: NumPy lets go of Python's lock while it computes."""

import functools
import os
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from npgpt.arrays import quiet

Item = TypeVar("Item")

# What OpenBLAS goes by, in its order.
_VARIABLES = ("OPENBLAS_NUM_THREADS", "GOTO_NUM_THREADS", "OMP_NUM_THREADS")


@functools.cache
def count() -> int:
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


def run(work: Callable[[Item], object], items: Iterable[Item]) -> None:
    """Call `work` on every item, in any order, in `count()` threads, this one among them.

    Returns when all are done; what one of them raises is raised here. The floating-point state is
    that of `arrays.quiet` in each thread.

    >>> found = [0, 0, 0]
    >>> run(lambda i: found.__setitem__(i, i * i), range(3))
    >>> found
    [0, 1, 4]
    """
    todo = deque(items)

    def some() -> None:
        with quiet():
            try:
                while (item := _taken(todo)) is not None:
                    work(item[0])
            except BaseException:
                todo.clear()  # nothing new is begun
                raise

    helpers = min(count(), len(todo)) - 1
    if helpers < 1:
        return some()
    running = [_pool().submit(some) for _ in range(helpers)]
    try:
        some()
    finally:
        for each in running:
            if not each.cancel():  # one that has not begun would find nothing left to do
                each.result()


def _taken(todo: deque[Item]) -> tuple[Item] | None:
    try:
        return (todo.popleft(),)
    except IndexError:
        return None


@functools.cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(count() - 1, thread_name_prefix="npgpt")


if hasattr(os, "register_at_fork"):
    # A forked child has none of its parent's threads.
    os.register_at_fork(after_in_child=_pool.cache_clear)
