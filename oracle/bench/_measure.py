"""Measuring side by side: in each run each task, and for a task one contestant after another."""

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from oracle.bench._contest import Absent, Measured
from oracle.bench._row import Need
from oracle.bench._worker import Failed

# Idle threads of the one before spin for some ten milliseconds before they sleep.
PAUSE = 0.1

Ask = Callable[[str], Measured]


@dataclass
class Measurements:
    """values: of each need, one a run. absent, failed: why a need has none. unlike: the tasks whose
    contestants did not compute the same, and who they are.
    """

    values: dict[Need, list[float]] = field(default_factory=dict)
    absent: dict[Need, str] = field(default_factory=dict)
    failed: dict[Need, str] = field(default_factory=dict)
    unlike: dict[str, list[str]] = field(default_factory=dict)


def measure(
    asks: Mapping[str, Ask],
    needs: Iterable[Need],
    *,
    runs: int,
    absent: Mapping[str, str] | None = None,
    pause: float = PAUSE,
    told: Callable[[int, int, str], object] = lambda run, runs, task: None,
) -> Measurements:
    """Ask each contestant for each task that is needed of it, once uncounted, then `runs` times.

    Contestants of a task come right after one another, and who is first changes from run to run.
    absent: contestants that are not there, and why. What fails once is not asked for again. told:
    is given each run, 0 for the uncounted one, and each of its tasks, after "".
    """
    found = Measurements()
    tasks: dict[str, list[str]] = {}
    for need in dict.fromkeys(needs):
        if need.contestant in asks:
            tasks.setdefault(need.task, []).append(need.contestant)
        else:
            found.absent[need] = (absent or {}).get(need.contestant, "not there")
    for run in range(runs + 1):
        told(run, runs, "")
        for task, names in tasks.items():
            told(run, runs, task)
            turn = run % len(names)
            answers: dict[str, Any] = {}
            for name in names[turn:] + names[:turn]:
                time.sleep(pause)
                measured = _ask(asks[name], Need(name, task), found)
                if measured is not None:
                    answers[name] = measured.answer
                    found.values.setdefault(Need(name, task), []).append(measured.value)
            answers = {name: answer for name, answer in answers.items() if answer is not None}
            if len({repr(answer) for answer in answers.values()}) > 1:
                found.unlike[task] = sorted(answers)
    for values in found.values.values():
        del values[0]  # the uncounted one
    for need in found.failed | found.absent:
        found.values.pop(need, None)
    return found


def _ask(ask: Ask, need: Need, found: Measurements) -> Measured | None:
    if need in found.absent or need in found.failed:
        return None
    try:
        return ask(need.task)
    except Absent as error:
        found.absent[need] = str(error)
    except Failed as error:
        found.failed[need] = str(error)
    return None
