"""Mutation testing: small changes of npgpt's source, one at a time, and whether a test sees each.

`tox -e mutation -- --sample 100` draws 100 mutants of each package with Cosmic Ray (`sample`), runs
the tests of the module and then those of the package before each (`kill`), and says which share was
seen, with its confidence interval, and which were not. It works on copies under --work, never on
the checkout, and goes on where it was stopped. Hours, not minutes: HYPOTHESIS_PROFILE=quick sees
most mutants in a tenth of the time, and --again puts the others to the tests as they stand now.
"""

import argparse
import os
import shlex
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor, as_completed
from json import dumps, loads
from pathlib import Path
from queue import Queue

from attrs import evolve
from cosmic_ray.mutating import mutate_and_test
from cosmic_ray.work_db import WorkDB, use_db
from cosmic_ray.work_item import TestOutcome, WorkItem, WorkResult

from tests.mutation.kill import processor_seconds
from tests.mutation.sample import sample, tests_of, wilson

PACKAGES = tuple(f"npgpt/{p}" for p in ("ops", "_kernels", "model", "decoding", "tokenizer"))
ROOT = Path(__file__).parents[2]
# Of the clock: only what sleeps for ever, since `kill` counts the processor's time.
WALL = 6 * 3600


def main(arguments: list[str] | None = None) -> int:
    """Draw, run what has not been run, report."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutation.run", description=__doc__)
    parser.add_argument("packages", nargs="*", default=PACKAGES, help="folders under the root")
    parser.add_argument("--sample", type=int, default=100, help="mutants of each package")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--root", type=Path, default=ROOT, help="the repository to mutate")
    parser.add_argument("--work", type=Path, default=ROOT.parent / "mutation-work")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--again", action="store_true", help="the survivors once more, as well")
    parser.add_argument("--report", action="store_true", help="say what is known, run nothing")
    given = parser.parse_args(arguments)
    given.work.mkdir(parents=True, exist_ok=True)
    with use_db(str(given.work / "session.sqlite")) as session:
        if not given.report:
            _run(session, given)
        print("\n".join(_report(session)))
    return 0


def _run(session: WorkDB, given: argparse.Namespace) -> None:
    trees = [_copied(given.root, given.work / f"tree{job}") for job in range(given.jobs)]
    known = {item.job_id for item in session.work_items}
    drawn = [item for p in given.packages for item in sample(trees[0], p, given.sample, given.seed)]
    session.add_work_items(item for item in drawn if item.job_id not in known)
    wanted = {item.job_id for item in drawn}
    pending = [item for item in session.pending_work_items if item.job_id in wanted]
    if given.again:
        pending += [item for item, _ in _survivors(session) if item.job_id in wanted]
    # By turns of the packages, so that what is known early is of each.
    pending.sort(key=lambda item: item.job_id.split()[::-1])
    times = given.work / "times.json"
    free: Queue[Path] = Queue()
    for tree in trees:
        free.put(tree)

    def one(item: WorkItem) -> tuple[WorkItem, WorkResult]:
        tree = free.get()
        try:
            return item, _put_to_test(item, trees[0], tree, times)
        finally:
            free.put(tree)

    _time_all(trees[0], pending, times)
    with ThreadPoolExecutor(given.jobs) as pool:
        tasks = [pool.submit(one, item) for item in pending]
        for done, task in enumerate(as_completed(tasks), start=1):
            item, result = task.result()
            session.set_result(item.job_id, result)
            print(f"{done}/{len(pending)} {item.job_id} {result.test_outcome}", flush=True)


def _copied(root: Path, tree: Path) -> Path:
    """A copy of what the repository tracks, without the mutant that a killed run left in it."""
    listed = subprocess.check_output(["git", "ls-files", "-z"], cwd=root, text=True)
    for name in filter(None, listed.split("\0")):
        if (root / name).is_file():
            (tree / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(root / name, tree / name)
    return tree


def _time_all(tree: Path, pending: list[WorkItem], times: Path) -> None:
    """How long the tests take where nothing is changed: they must pass there."""
    known = loads(times.read_text()) if times.exists() else {}
    for item in pending:
        for tests in tests_of(tree, _module(item, tree)):
            key = " ".join(tests)
            if key not in known:
                took = processor_seconds(tree, tests, None)
                if took is None:
                    sys.exit(f"{key}: a test fails where nothing is changed")
                known[key] = took
                times.write_text(dumps(known, indent=1))
                print(f"{took:.0f} s of processor time: {key}", flush=True)


def _put_to_test(item: WorkItem, drawn_in: Path, tree: Path, times: Path) -> WorkResult:
    module = _module(item, drawn_in)
    command = [sys.executable, str(Path(__file__).parent / "kill.py"), str(tree), str(times)]
    command += [" ".join(tests) for tests in tests_of(tree, module)]
    mutations = [evolve(mutation, module_path=tree / module) for mutation in item.mutations]
    return mutate_and_test(mutations, shlex.join(command), WALL)


def _module(item: WorkItem, tree: Path) -> str:
    return str(item.mutations[0].module_path.relative_to(tree))


def _survivors(session: WorkDB) -> list[tuple[WorkItem, WorkResult]]:
    completed = sorted(session.completed_work_items, key=lambda pair: pair[0].job_id)
    return [pair for pair in completed if pair[1].test_outcome == TestOutcome.SURVIVED]


def _report(session: WorkDB) -> list[str]:
    """The share seen of each package, and the mutants that no test saw."""
    lines, survivors = [], _survivors(session)
    left = {item.job_id for item, _ in survivors}
    outcomes: dict[str, list[bool]] = {}
    for item, _ in sorted(session.completed_work_items, key=lambda pair: pair[0].job_id):
        outcomes.setdefault(item.job_id.split()[0], []).append(item.job_id not in left)
    for package, seen in outcomes.items():
        low, high = wilson(sum(seen), len(seen))
        share = f"{sum(seen) / len(seen):.1%} (95 %: {low:.1%} to {high:.1%})"
        lines.append(f"{package}: {sum(seen)} of {len(seen)} mutants seen, {share}")
    for item, result in survivors:
        lines += ["", item.job_id, result.diff or ""]
    return lines


if __name__ == "__main__":
    sys.exit(main())
