"""What the measurements say of each row."""

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from oracle.bench._measure import Measurements
from oracle.bench._row import Row

MET, MISSED, SHOWN = "met", "MISSED", "-"
ABSENT, FAILED = "not measured", "FAILED"


@dataclass(frozen=True)
class Result:
    """ratios: one a run. own, other: medians of the first and the last of the row's needs. why:
    where there are no ratios.
    """

    row: Row
    verdict: str
    ratios: tuple[float, ...] = ()
    own: float | None = None
    other: float | None = None
    why: str = ""

    @property
    def ratio(self) -> float:
        """The median of the runs' ratios."""
        return statistics.median(self.ratios)


def results(rows: Iterable[Row], measured: Measurements) -> list[Result]:
    """A result for each row, in their order."""
    return [_result(row, measured) for row in rows]


def _result(row: Row, measured: Measurements) -> Result:
    for verdict, reasons in ((FAILED, measured.failed), (ABSENT, measured.absent)):
        for need in row.needs:
            if need in reasons:
                return Result(row, verdict, why=f"{need.contestant}: {reasons[need]}")
    columns = [measured.values[need] for need in row.needs]
    ratios = tuple(row.figure(*values) for values in zip(*columns, strict=True))
    return Result(
        row,
        _verdict(row, statistics.median(ratios)),
        ratios,
        statistics.median(columns[0]),
        statistics.median(columns[-1]),
    )


def _verdict(row: Row, ratio: float) -> str:
    if row.target is None:
        return SHOWN
    return MET if (ratio >= row.target if row.at_least else ratio <= row.target) else MISSED


def exit_code(found: Sequence[Result], *, targets_count: bool) -> int:
    """1 where a target is missed, if they count, or a row failed; else 0."""
    bad = (MISSED, FAILED) if targets_count else (FAILED,)
    return int(any(result.verdict in bad for result in found))
