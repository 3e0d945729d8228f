import os
import subprocess
import sys
import threading

import numpy as np
import pytest

from npgpt._kernels.threads import parallel_for
from tests.helpers.patience import NEVER
from tests.helpers.small_tiles import THREADS, small_tiles

COUNT = "from npgpt._kernels.threads import thread_count; print(thread_count())"


@pytest.mark.parametrize("items", [0, 1, 2, 50])
def test_every_item_is_worked_on_once(items):
    done = []
    with small_tiles():
        parallel_for(done.append, range(items))
    assert sorted(done) == list(range(items))


def test_several_threads_take_part():
    together = threading.Barrier(THREADS, timeout=NEVER)
    with small_tiles():
        parallel_for(lambda _: together.wait(), range(THREADS))


def test_an_error_stops_the_work_and_is_raised_once_all_threads_are_done():
    working = []

    def work(item):
        working.append(item)
        if item == 7:
            raise LookupError("seven")

    with small_tiles():
        with pytest.raises(LookupError, match="seven"):
            parallel_for(work, range(10_000))
        seen = len(working)
        parallel_for(lambda _: None, range(10))
        assert len(working) == seen < 10_000


def test_each_thread_computes_without_warnings():
    together = threading.Barrier(THREADS, timeout=NEVER)

    def divide(_):
        together.wait()
        assert np.isnan(np.zeros(1) / np.zeros(1)).all()

    with small_tiles():
        parallel_for(divide, range(THREADS))


def test_calls_from_several_threads_do_not_wait_for_each_other_for_ever():
    sums = np.zeros(4)

    def outer(index):
        parallel_for(lambda i: sums.__setitem__(index, sums[index] + i), range(100))

    with small_tiles():
        callers = [threading.Thread(target=outer, args=(i,), daemon=True) for i in range(4)]
        for caller in callers:
            caller.start()
        for caller in callers:
            caller.join(timeout=NEVER)
    assert not any(caller.is_alive() for caller in callers)


def test_work_may_itself_be_shared_out():
    done = []
    with small_tiles():
        parallel_for(lambda _: parallel_for(done.append, range(10)), range(10))
    assert len(done) == 100


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_forked_child_has_threads_of_its_own():
    code = (
        "import os, warnings\n"
        "from npgpt._kernels.threads import parallel_for\n"
        "warnings.simplefilter('ignore')\n"
        "done = []\n"
        "parallel_for(done.append, range(9))\n"
        "child = os.fork()\n"
        "parallel_for(done.append, range(9))\n"
        "assert len(done) == 18\n"
        "if child: assert os.waitpid(child, 0)[1] == 0\n"
        "else: os._exit(0)\n"
    )
    environment = os.environ | {"OPENBLAS_NUM_THREADS": "3"}
    done = subprocess.run(
        [sys.executable, "-c", code], timeout=NEVER, capture_output=True, env=environment
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"OMP_NUM_THREADS": "3"}, 3),
        ({"OMP_NUM_THREADS": "3", "OPENBLAS_NUM_THREADS": "5"}, 5),
        ({"OMP_NUM_THREADS": "some"}, None),
        ({"OMP_NUM_THREADS": "0"}, None),
        ({}, None),
    ],
)
def test_there_are_as_many_as_blas_has(variables, expected):
    rest = {name: value for name, value in os.environ.items() if not name.endswith("_NUM_THREADS")}
    done = subprocess.run(
        [sys.executable, "-c", COUNT], env=rest | variables, capture_output=True, check=True
    )
    if expected is None:
        has_affinity = hasattr(os, "sched_getaffinity")
        expected = len(os.sched_getaffinity(0)) if has_affinity else os.cpu_count()
    assert int(done.stdout) == expected


def test_importing_npgpt_changes_nothing_in_the_environment():
    code = "import os; before = dict(os.environ); import npgpt; assert dict(os.environ) == before"
    subprocess.run([sys.executable, "-c", code], check=True)
