"""What the checks can see: every check before every mutant, and before honest implementations."""

import os
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from multiprocessing import get_context
from typing import Any

from oracle.adapters import pytorch
from oracle.adapters.subject import FUNCTIONS, Subject
from oracle.conformance.catalogue import CHECKS, named
from oracle.conformance.check import MATCH, MISMATCH, Check
from oracle.conformance.diagnosis import family
from oracle.conformance.explore import collect
from oracle.conformance.outcome import look
from oracle.mutants.catalogue import MUTANTS
from oracle.mutants.equivalents import EQUIVALENTS
from oracle.mutants.mutant import Mutant

# Of an op so many examples are enough to see that a bug is not in it.
OPS = 50
# Every so many of the honest implementations is tried; the tests try all, on fewer examples.
EVERY = 2
# How many examples of each check they are put before: 2,000 and more together.
HONEST = {
    "model/logits": 500,
    "model/flags": 500,
    "model/weights": 400,
    "model/scores": 100,
    "model/padding": 500,
    "model/layers": 50,
}


@dataclass(frozen=True)
class Cell:
    """One check before one mutant. mismatches: how many; error: the largest of those that match."""

    check: str
    mutant: str
    examples: int
    mismatches: int
    error: float
    says: str


def mutated(mutant: Mutant, dtype: str) -> Subject:
    """The PyTorch path with the bug in it, computing in dtype."""
    clean = pytorch.subject(dtype=dtype)
    offered = {name: getattr(clean, name) for name in FUNCTIONS if getattr(clean, name)}
    functions = {name: mutant.wraps(function) for name, function in offered.items()}
    ops = {name: mutant.wraps(op) for name, op in clean.ops.items()}
    return replace(clean, name=mutant.id, ops=ops, **functions)


def only_in(dtype: str) -> tuple[str, ...]:
    """The mutants that are bugs in this dtype, and none in float32."""
    return tuple(m.id for m in MUTANTS if dtype in m.dtypes and "float32" not in m.dtypes)


def kills(dtype: str, *, only: Collection[str] | None = None) -> list[Cell]:
    """Each check before each mutant of its family (of these, if any are given).

    A mutant is put before a check until the first mismatch.
    """

    def wanted(mutant: Mutant) -> bool:
        return only is None or mutant.id in only

    tasks = [
        (check.name, dtype, ids, OPS if check.area == "ops" else check.count, True)
        for check in CHECKS
        if (ids := tuple(m.id for m in MUTANTS if _meant(check, m, dtype) and wanted(m)))
    ]
    return _together(tasks)


def alarms(dtype: str) -> list[Cell]:
    """The checks of the model before honest implementations, all examples."""
    some = tuple(honest.id for honest in EQUIVALENTS if dtype in honest.dtypes)[::EVERY]
    return _together([(check, dtype, some, count, False) for check, count in HONEST.items()])


def survivors(cells: Iterable[Cell]) -> dict[str, float]:
    """The mutants that no check saw, and the largest error that any saw of them."""
    errors: dict[str, float] = {}
    killed = set()
    for cell in cells:
        errors[cell.mutant] = max(errors.get(cell.mutant, 0.0), cell.error)
        if cell.mismatches:
            killed.add(cell.mutant)
    return {mutant: error for mutant, error in errors.items() if mutant not in killed}


def matrix(cells: Sequence[Cell]) -> Iterator[str]:
    """Lines of text: for each family a table of its mutants by its checks."""
    families = {m.id: family(m.area) for m in MUTANTS}
    found = {(cell.mutant, cell.check): cell for cell in cells}
    for name in dict.fromkeys(families[cell.mutant] for cell in cells):
        ours = [cell for cell in cells if families[cell.mutant] == name]
        checks = list(dict.fromkeys(cell.check for cell in ours))
        yield ""
        yield f"{name}: # seen, . not"
        for place, check in enumerate(checks):
            yield f"{'':30}{'| ' * place}{check}"
        for mutant in dict.fromkeys(cell.mutant for cell in ours):
            marks = ["#" if found[mutant, check].mismatches else "." for check in checks]
            yield f"{mutant:30}{' '.join(marks)}"


def _meant(check: Check, mutant: Mutant, dtype: str) -> bool:
    return family(check.area) == family(mutant.area) and dtype in mutant.dtypes


def _together(tasks: Sequence[Any]) -> list[Cell]:
    """Run the tasks, a process for each core."""
    workers = os.cpu_count() or 1
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        return [cell for cells in pool.map(_column, tasks) for cell in cells]


def _column(task: tuple[str, str, tuple[str, ...], int, bool]) -> list[Cell]:
    """One check before these mutants, all its examples or until the first mismatch."""
    name, dtype, ids, count, stop = task
    (check,) = named(name)
    known: Mapping[str, Mutant] = {mutant.id: mutant for mutant in (*MUTANTS, *EQUIVALENTS)}
    examples = check.examples(pytorch.subject(dtype=dtype))
    drawn = collect(examples, count)
    return [_cell(check, drawn, mutated(known[i], dtype), stop=stop) for i in ids]


def _cell(check: Check, examples: Sequence[Any], subject: Subject, *, stop: bool) -> Cell:
    mismatches, error, says, tried = 0, 0.0, "", 0
    for example in examples:
        tried += 1
        finding = look(check, subject, example).finding
        if finding.verdict == MISMATCH:
            mismatches, says = mismatches + 1, says or finding.says
            if stop:
                break
        elif finding.verdict == MATCH:
            error = max(error, finding.error)
    return Cell(check.name, subject.name, tried, mismatches, error, says)
