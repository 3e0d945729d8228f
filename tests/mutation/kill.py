"""The tests of one mutant: exit status 0 where all pass, so that the mutant survives.

`python kill.py TREE MODULE`, by path, so that nothing of the repository is imported here.
"""

import json
import os
import resource
import subprocess
import sys
from pathlib import Path

# A mutant may take so many times as long as the code as it is, and some seconds, of processor time:
# what the rest of the machine does is nothing to it.
TIMES, MORE = 4, 60
# Of address space: `2 ** n` in place of `2 * n` is found out and hurts nobody.
MEMORY = 12 << 30
PYTEST = ("-m", "pytest", "-q", "-x", "--no-header", "-p", "no:cacheprovider", "--tb=line")


def processor_seconds(tree: Path, tests: list[str], limit: float | None) -> float | None:
    """Run the tests; the seconds of processor time that they took, or None where one failed."""

    def limited() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        if limit is not None:
            resource.setrlimit(resource.RLIMIT_CPU, (int(limit), int(limit) + 5))

    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    own = Path(__file__).parent
    done = subprocess.run(
        [sys.executable, *PYTEST, "-p", "quiet", *tests],
        cwd=tree,
        env=os.environ
        | {
            "PYTHONPATH": os.pathsep.join([str(tree), str(own)]),
            "PYTHONDONTWRITEBYTECODE": "1",
            "OMP_NUM_THREADS": "1",
        },
        preexec_fn=limited,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    took = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return None if done.returncode not in (0, 5) else took  # 5: no tests there


def main(tree: Path, stages: list[list[str]], times: Path) -> int:
    """1 where a test of any stage fails or takes too long."""
    known = json.loads(times.read_text())
    for tests in stages:
        limit = known[" ".join(tests)] * TIMES + MORE
        if processor_seconds(tree, tests, limit) is None:
            print(f"seen by the tests of {' '.join(tests)}")
            return 1
    return 0


if __name__ == "__main__":
    tree, times, *stages = sys.argv[1:]
    sys.exit(main(Path(tree), [stage.split() for stage in stages], Path(times)))
