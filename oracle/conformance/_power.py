"""What the checks can see: every check before every mutant, and before honest implementations.

What stays the same is worked out once: each example's reference (`remembered`), and what the checks
make of the PyTorch path without a bug, which is what they make of every mutant on examples that
call nothing of what it replaces (`oracle.mutants._touching`).
"""

import os
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from multiprocessing import get_context
from typing import Any, TypeAlias

import torch

from oracle.adapters import pytorch
from oracle.adapters.subject import FUNCTIONS, Subject
from oracle.conformance._catalogue import CHECKS, named
from oracle.conformance._check import MATCH, MISMATCH, Check, Finding
from oracle.conformance._evidence import family
from oracle.conformance._explore import collect
from oracle.conformance._outcome import ask, compared, look
from oracle.conformance._sizes import SIZES
from oracle.mutants._catalogue import LARGE, MUTANTS
from oracle.mutants._equivalents import EQUIVALENTS
from oracle.mutants._mutant import Mutant
from oracle.mutants._touching import Part, noted, parts

# Of an op so many examples are enough to see that a bug is not in it.
OPS = 50
# Every so many of the honest implementations is tried; the tests try all, on fewer examples.
EVERY = 2
# A check, a dtype, mutants, how many examples, and whether to stop at the first mismatch.
Task: TypeAlias = tuple[str, str, tuple[str, ...], int, bool]
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
    return _together(_mutant_tasks(dtype, only))


def alarms(dtype: str) -> list[Cell]:
    """The checks of the model before honest implementations, all examples."""
    return _together(_honest_tasks(dtype))


def kills_and_alarms(dtype: str) -> tuple[list[Cell], list[Cell]]:
    """Both, by the same processes, so that none waits for the last mutant."""
    honest, mutants = _honest_tasks(dtype), _mutant_tasks(dtype)
    columns = _columns([*honest, *mutants])
    split = len(honest)
    return _joined(columns[split:]), _joined(columns[:split])


def survivors(cells: Iterable[Cell]) -> dict[str, float]:
    """The mutants that no check saw, and the largest error that any saw of them."""
    errors: dict[str, float] = {}
    killed = set()
    for cell in cells:
        errors[cell.mutant] = max(errors.get(cell.mutant, 0.0), cell.error)
        if cell.mismatches:
            killed.add(cell.mutant)
    return {mutant: error for mutant, error in errors.items() if mutant not in killed}


def smallest_sizes(cells: Iterable[Cell]) -> dict[str, str]:
    """The mutants that are seen, and the smallest size at which a check saw each.

    >>> smallest_sizes([Cell("model/long", "gelu-erf", 3, 1, 0.5, "")])
    {'gelu-erf': 'borders'}
    """
    sizes = {check.name: check.size for check in CHECKS}
    seen_at: dict[str, str] = {}
    for cell in cells:
        if cell.mismatches:
            known = seen_at.get(cell.mutant, SIZES[-1])
            seen_at[cell.mutant] = min(known, sizes[cell.check], key=SIZES.index)
    return seen_at


def matrix(cells: Sequence[Cell]) -> Iterator[str]:
    """Lines of text: for each family a table of its mutants by its checks."""
    families = {m.id: family(m.area) for m in MUTANTS}
    sizes = {check.name: check.size for check in CHECKS}
    found = {(cell.mutant, cell.check): cell for cell in cells}
    for name in dict.fromkeys(families[cell.mutant] for cell in cells):
        ours = [cell for cell in cells if families[cell.mutant] == name]
        checks = list(dict.fromkeys(cell.check for cell in ours))
        yield ""
        yield f"{name}: # seen, . not, blank not tried"
        for place, check in enumerate(checks):
            size = sizes.get(check, "toy")
            yield f"{'':30}{'| ' * place}{check}" + ("" if size == "toy" else f" ({size})")
        for mutant in dict.fromkeys(cell.mutant for cell in ours):
            marks = [_mark(found.get((mutant, check))) for check in checks]
            yield f"{mutant:30}{' '.join(marks)}".rstrip()


def _mark(cell: Cell | None) -> str:
    """Nothing where the check was not put before the mutant: it is of another size."""
    if cell is None:
        return " "
    return "#" if cell.mismatches else "."


def _meant(check: Check, mutant: Mutant, dtype: str) -> bool:
    if family(check.area) != family(mutant.area) or dtype not in mutant.dtypes:
        return False
    # What toys show is put before toys, the rest before what is larger; all before calls in turn.
    return (mutant.id in LARGE) == (check.size != "toy") or check.name.endswith("/interleaved")


def _mutant_tasks(dtype: str, only: Collection[str] | None = None) -> list[Task]:
    def wanted(mutant: Mutant) -> bool:
        return only is None or mutant.id in only

    def count(check: Check) -> int:
        return min(OPS, check.count) if check.area == "ops" else check.count

    return [
        (check.name, dtype, ids, count(check), True)
        for check in CHECKS
        if check.size != "gpt2"  # what shows at that shape shows at a border
        if (ids := tuple(m.id for m in MUTANTS if _meant(check, m, dtype) and wanted(m)))
    ]


def _honest_tasks(dtype: str) -> list[Task]:
    some = tuple(honest.id for honest in EQUIVALENTS if dtype in honest.dtypes)[::EVERY]
    larger = [c for c in CHECKS if family(c.area) == "model" and c.size == "borders"]
    counts = HONEST | {check.name: check.count for check in larger if check.area != "ops"}
    return [(check, dtype, some, count, False) for check, count in counts.items()]


def _together(tasks: Sequence[Task]) -> list[Cell]:
    return _joined(_columns(tasks))


def _joined(columns: Iterable[list[Cell]]) -> list[Cell]:
    return [cell for cells in columns for cell in cells]


def _columns(tasks: Sequence[Task]) -> list[list[Cell]]:
    """Run the tasks, a process for each core, each computing with one thread."""
    spawned = ProcessPoolExecutor(
        os.cpu_count() or 1,
        mp_context=get_context("spawn"),
        initializer=torch.set_num_threads,
        initargs=(1,),
    )
    with spawned as pool:
        return list(pool.map(_column, tasks))


def _column(task: Task) -> list[Cell]:
    """One check before these mutants, all its examples or until the first mismatch."""
    name, dtype, ids, count, stop = task
    (check,) = named(name)
    known: Mapping[str, Mutant] = {mutant.id: mutant for mutant in (*MUTANTS, *EQUIVALENTS)}
    mutants = [known[i] for i in ids]
    clean = pytorch.subject(dtype=dtype)
    targets = {target for mutant in mutants for target in mutant.replaces}
    drawn = [_tried(check, clean, e, targets) for e in collect(check.examples(clean), count)]
    return [_cell(check, drawn, mutant, dtype, stop=stop) for mutant in mutants]


@dataclass(frozen=True)
class _Tried:
    """An example, what a check finds of the reference, and what that calls of the oracle."""

    example: Any
    finding: Finding
    called: frozenset[Part]


def _tried(check: Check, clean: Subject, example: Any, targets: Iterable[str]) -> _Tried:
    with noted(targets) as called:
        answer = ask(check, clean, example)
    return _Tried(example, compared(check, clean.dtype, example, answer), frozenset(called))


def _cell(check: Check, drawn: Sequence[_Tried], mutant: Mutant, dtype: str, *, stop: bool) -> Cell:
    changes, subject = parts(mutant), mutated(mutant, dtype)
    mismatches, error, says, tried = 0, 0.0, "", 0
    for one in drawn:
        tried += 1
        same = changes is not None and not changes & one.called
        finding = one.finding if same else look(check, subject, one.example).finding
        if finding.verdict == MISMATCH:
            mismatches, says = mismatches + 1, says or finding.says
            if stop:
                break
        elif finding.verdict == MATCH:
            error = max(error, finding.error)
    return Cell(check.name, subject.name, tried, mismatches, error, says)
