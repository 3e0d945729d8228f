"""The results as a table, as a summary and as data."""

import math
import statistics
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from oracle.bench._measure import Measurements
from oracle.bench._results import ABSENT, FAILED, MISSED, Result
from oracle.bench._row import LENGTHS, Need, Row
from oracle.bench._sizes import Size, flops, weights_streamed

HEAD = ("row", "own", "against", "ratio", "min .. max", "target", "", "what")
_RIGHT = (False, True, True, True, True, True, False, False)


def table(found: Iterable[Result]) -> str:
    """One line a row; a ratio is the median of those of the runs, beside the least and the most."""
    lines = [HEAD, *(_cells(result) for result in found)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(line, widths, _RIGHT, strict=True)
        ).rstrip()
        for line in lines
    )


def _cells(result: Result) -> tuple[str, ...]:
    row = result.row
    if not result.ratios or result.own is None or result.other is None:
        return row.name, "", "", "", "", target(row), result.verdict, result.why
    spread = f"{min(result.ratios):.3g} .. {max(result.ratios):.3g}"
    shown = row.show(result.own), row.show(result.other), f"{result.ratio:.3f}", spread
    return row.name, *shown, target(row), result.verdict, row.does


def target(row: Row) -> str:
    """The target as text; "" where there is none."""
    if row.target is None:
        return ""
    return f"{'>=' if row.at_least else '<='} {row.target:.2f}"


def limits(size: Size, measured: Measurements) -> str:
    """The machine's rates, as far as they were measured; "" where none was."""
    said = []
    for length in LENGTHS:
        if values := measured.values.get(Need("limit", f"prefill-{length}")):
            rate = flops(size, length) / statistics.median(values)
            said.append(f"sgemm {rate / 1e9:.0f} GFLOP/s")
            break
    for contestant, task, width in (
        ("limit", "decode-1", 4),
        ("hbm", "decode-1-float32", 4),
        ("hbm", "decode-1-bfloat16", 2),
    ):
        if values := measured.values.get(Need(contestant, task)):
            rate = width * weights_streamed(size) / statistics.median(values)
            said.append(f"weights streamed at {rate / 1e9:.1f} GB/s")
            break
    return "; ".join(said)


def summary(found: Sequence[Result], measured: Measurements, *, targets_count: bool) -> str:
    """How many targets are met, which are missed, what failed, what was not measured."""
    aimed = [result for result in found if result.row.target is not None and result.ratios]
    missed = [result for result in aimed if result.verdict == MISSED]
    lines = [f"{len(aimed) - len(missed)} of {len(aimed)} targets measured here are met"]
    if not targets_count:
        lines[0] += "; in a model of this size they decide nothing"
    for result in missed:
        lines.append(
            f"missed: {result.row.name} is {result.ratio:.3f}, target {target(result.row)}"
        )
    for verdict in (FAILED, ABSENT):
        whys = Counter(result.why for result in found if result.verdict == verdict)
        lines += [f"{verdict}: {n} {'row' if n == 1 else 'rows'}, {why}" for why, n in whys.items()]
    for task, names in measured.unlike.items():
        lines.append(f"{task}: {', '.join(names)} did not all give the same tokens")
    return "\n".join(lines)


def as_data(found: Iterable[Result], measured: Measurements, **about: Any) -> dict[str, Any]:
    """All of it for JSON: the rows, and every value measured, run by run."""
    return {
        **about,
        "rows": [_row(result) for result in found],
        "measurements": _by_contestant(measured.values),
        "absent": _by_contestant(measured.absent),
        "failed": _by_contestant(measured.failed),
        "unlike": measured.unlike,
    }


def _row(result: Result) -> dict[str, Any]:
    row = result.row
    return {
        "name": row.name,
        "does": row.does,
        "needs": [list(need) for need in row.needs],
        "target": row.target,
        "at_least": row.at_least,
        "verdict": result.verdict,
        "why": result.why,
        "ratio": result.ratio if result.ratios else None,
        "ratios": [ratio if math.isfinite(ratio) else None for ratio in result.ratios],
        "own": result.own,
        "other": result.other,
    }


def _by_contestant(found: Mapping[Need, Any]) -> dict[str, dict[str, Any]]:
    data: dict[str, dict[str, Any]] = {}
    for need, value in found.items():
        data.setdefault(need.contestant, {})[need.task] = value
    return data
