"""The command line of the bench."""

import argparse
import contextlib
import json
import os
import platform
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from oracle.bench import _measure as measure
from oracle.bench import _plot as plot
from oracle.bench._contest import Absent, Setup, cpu_count
from oracle.bench._results import exit_code, results
from oracle.bench._row import Need, Row
from oracle.bench._rows import CUDA_ROWS, ROWS, XL_ROWS, curves, fits, rows_of
from oracle.bench._sizes import SIZES
from oracle.bench._table import as_data, limits, summary, table
from oracle.bench._worker import Failed, Worker

USAGE = 2
INTERRUPTED = 130
CACHE = Path(os.environ.get("NPGPT_BENCH_CACHE", Path.home() / ".cache" / "npgpt-bench"))


class Misuse(ValueError):  # noqa: N818
    """What was asked for cannot be done; the message is one line."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; the exit code is 1 where a target is missed, 2 for misuse, else 0."""
    given = _parser().parse_args(arguments)
    try:
        return _run(given, _rows(given))
    except (Misuse, plot.NoPlots, OSError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return USAGE
    except KeyboardInterrupt:
        print("bench: interrupted", file=sys.stderr)
        return INTERRUPTED


def _rows(given: argparse.Namespace) -> tuple[Row, ...]:
    rows = rows_of(given.device, xl=given.xl, only=given.only)
    for pattern in given.only or ():
        if not any(fits(row, pattern) for row in rows):
            known = CUDA_ROWS if given.device == "cuda" else (*ROWS, *XL_ROWS)
            names = ", ".join(row.name for row in known)
            raise Misuse(f"no row fits --only {pattern!r}; they are {names}")
    if given.plot:
        plot.require_matplotlib()
    for path in filter(None, (given.json, given.plot)):
        if not path.absolute().parent.is_dir():
            raise Misuse(f"{path} cannot be written: its folder is not there; make it first")
    if given.device == "cuda" and not _has_gpu():
        raise Misuse("no GPU is to be had here, so nothing was measured; leave out --device cuda")
    return rows


def _has_gpu() -> bool:
    try:
        import torch
    except ImportError:
        return False
    return bool(torch.cuda.is_available())


def _run(given: argparse.Namespace, rows: Sequence[Row]) -> int:
    setup = Setup(str(given.cache.absolute()), given.size, given.device)
    needs = [need for row in rows for need in row.needs]
    needs += curves(given.device) if given.plot else ()
    title = f"{setup.shape.name}, {processor()}, threads: {given.threads}, runs: {given.runs}"
    print(title)
    contestants, measured = _measure(given, setup, needs)
    found = results(rows, measured)
    counts = given.size == "small"
    rates = limits(setup.shape, measured)
    print(f"\n{table(found)}\n")
    print(*filter(None, [rates, summary(found, measured, targets_count=counts)]), sep="\n")
    if given.json:
        about = {
            "processor": processor(),
            "system": platform.platform(),
            "python": platform.python_version(),
            "model": setup.shape.name,
            "device": given.device,
            "threads": given.threads,
            "runs": given.runs,
            "contestants": contestants,
            "limits": rates,
        }
        text = json.dumps(as_data(found, measured, **about), indent=2) + "\n"
        given.json.write_text(text, encoding="utf-8")
    if given.plot:
        plot.draw(measured, given.plot, title=title)
    return exit_code(found, targets_count=counts)


def _measure(
    given: argparse.Namespace, setup: Setup, needs: Sequence[Need]
) -> tuple[dict[str, str], measure.Measurements]:
    """Start the contestants, measure, end them; what each says of itself, and the measurements."""
    asks: dict[str, measure.Ask] = {}
    about: dict[str, str] = {}
    absent: dict[str, str] = {}
    with contextlib.ExitStack() as stack:
        for name in dict.fromkeys(need.contestant for need in needs):
            try:
                worker = stack.enter_context(Worker(name, setup, threads=given.threads))
            except (Absent, Failed) as error:
                absent[name] = str(error)
            else:
                asks[name], about[name] = worker.measure, worker.about
            print(f"{name}: {about.get(name, absent.get(name))}", flush=True)
        pause = measure.PAUSE if given.size == "small" else 0.0
        found = measure.measure(
            asks, needs, runs=given.runs, absent=absent, pause=pause, told=_progress
        )
    return about, found


def _progress(run: int, runs: int, task: str) -> None:
    """One line that changes; where there is no terminal, one for each run."""
    text = f"run {run} of {runs}" if run else "warming up"
    if sys.stderr.isatty():
        print(f"\r{text}: {task:<40}", end="", file=sys.stderr, flush=True)
    elif not task:
        print(text, file=sys.stderr, flush=True)


def processor() -> str:
    """The processor's name, as the system gives it."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m oracle.bench", description=DESCRIPTION)
    option: Any = parser.add_argument
    option("--only", nargs="+", metavar="GLOB", help='rows by name, as in "prefill*"')
    option("--runs", type=_count, default=7, metavar="N", help="counted runs (7)")
    option("--threads", type=_count, default=cpu_count(), metavar="N", help="of each (all)")
    option("--device", choices=("cpu", "cuda"), default="cpu", help="cuda: the PyTorch path alone")
    option("--size", choices=tuple(SIZES), default="small", help="tiny: a dry run of seconds")
    option("--xl", action="store_true", help="GPT-2 XL too, which takes 3 GB of disk")
    option("--json", type=Path, metavar="FILE", help="write all of it as JSON")
    option("--plot", type=Path, metavar="FILE", help="write the plot as PNG")
    option("--cache", type=Path, default=CACHE, metavar="FOLDER", help=f"for weights ({CACHE})")
    return parser


DESCRIPTION = """How fast npgpt is beside transformers, the oracle's PyTorch path and the machine's
own limits: the same random weights and threads, in turns, each in a process of its own. Exit code:
0, or 1 where a target is missed or a row fails, or 2 for misuse."""


def _count(text: str) -> int:
    if not text.isdigit() or not int(text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number; give 1 or more")
    return int(text)
