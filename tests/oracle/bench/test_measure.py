"""Interleaving, and what is made of values, on contestants that say made-up times."""

import json
import math

import pytest

from oracle.bench._contest import Absent, Measured
from oracle.bench._measure import measure
from oracle.bench._results import ABSENT, FAILED, MET, MISSED, SHOWN, exit_code, results
from oracle.bench._row import Need, Row, milliseconds, share, speedup
from oracle.bench._table import as_data, summary, table
from oracle.bench._worker import Failed


def row(name, *needs, figure=speedup, target=None, at_least=True):
    pairs = tuple(Need(*need.split()) for need in needs)
    return Row(name, f"what {name} is", pairs, figure, milliseconds, target, at_least)


def saying(times, answers=None):
    """A contestant whose tasks take these seconds, one after another."""
    left = {task: iter(seconds) for task, seconds in times.items()}
    return lambda task: Measured(next(left[task]), (answers or {}).get(task))


def measured(asks, rows, **options):
    needs = [need for row in rows for need in row.needs]
    return measure(asks, needs, pause=0, **options)


def test_contestants_take_turns_within_each_run():
    calls = []

    def asking(name):
        return lambda task: (calls.append((task, name)), Measured(1.0))[1]

    asks = {name: asking(name) for name in "abc"}
    rows = [row("x", "a x", "b x"), row("x2", "a x", "c x"), row("y", "a y", "b y")]
    measured(asks, rows, runs=2)
    assert calls == [
        *[("x", name) for name in "abc"],
        *[("y", name) for name in "ab"],
        *[("x", name) for name in "bca"],
        *[("y", name) for name in "ba"],
        *[("x", name) for name in "cab"],
        *[("y", name) for name in "ab"],
    ]


def test_the_first_run_does_not_count():
    found = measured({"a": saying({"x": [100.0, 1.0, 2.0]})}, [row("x", "a x")], runs=2)
    assert found.values == {Need("a", "x"): [1.0, 2.0]}


def test_the_ratio_is_the_median_of_the_ratios_of_the_runs():
    asks = {"a": saying({"x": [0, 1.0, 2.0, 4.0]}), "b": saying({"x": [0, 3.0, 1.0, 8.0]})}
    rows = [row("x", "a x", "b x", target=2.0), row("less", "a x", "b x", figure=share)]
    met, shown = results(rows, measured(asks, rows, runs=3))
    # Not the ratio of the medians, which is 1.5.
    assert (met.ratios, met.ratio, met.verdict) == ((3.0, 0.5, 2.0), 2.0, MET)
    assert (met.own, met.other) == (2.0, 3.0)
    assert (shown.ratios, shown.verdict) == ((1 / 3, 2.0, 0.5), SHOWN)


@pytest.mark.parametrize(
    ("target", "at_least", "verdict"),
    [(1.5, True, MET), (1.5001, True, MISSED), (1.5, False, MET), (1.4999, False, MISSED)],
)
def test_a_target_is_met_from_its_side(target, at_least, verdict):
    rows = [row("x", "a x", "b x", target=target, at_least=at_least)]
    asks = {"a": saying({"x": [2.0] * 2}), "b": saying({"x": [3.0] * 2})}
    (found,) = results(rows, measured(asks, rows, runs=1))
    assert found.verdict == verdict
    assert exit_code([found], targets_count=True) == (verdict == MISSED)
    assert exit_code([found], targets_count=False) == 0


def test_a_missed_target_is_named():
    rows = [row("slow", "a x", "b x", target=2.0), row("quick", "a y", "b y", target=2.0)]
    asks = {
        "a": saying({"x": [1.0] * 2, "y": [1.0] * 2}),
        "b": saying({"x": [1.25] * 2, "y": [4.0] * 2}),
    }
    data = measured(asks, rows, runs=1)
    found = results(rows, data)
    text = summary(found, data, targets_count=True)
    assert text.splitlines() == [
        "1 of 2 targets measured here are met",
        "missed: slow is 1.250, target >= 2.00",
    ]
    assert exit_code(found, targets_count=True) == 1
    assert "decide nothing" in summary(found, data, targets_count=False)


def test_who_is_not_there_costs_only_its_rows():
    def broken(task):
        raise Failed("out of memory")

    def without(task):
        raise Absent("no such thing here")

    rows = [
        row("alone", "a x"),
        row("gone", "a x", "ghost x", target=9.0),
        row("broken", "a x", "b x", target=9.0),
        row("without", "a x", "c x", target=9.0),
    ]
    asks = {"a": saying({"x": [1.0] * 3}), "b": broken, "c": without}
    data = measured(asks, rows, runs=2, absent={"ghost": "ghost is not installed"})
    found = results(rows[1:], data)
    assert [each.verdict for each in found] == [ABSENT, FAILED, ABSENT]
    assert exit_code(found, targets_count=False) == 1, "what fails is never in order"
    assert exit_code([found[0], found[2]], targets_count=True) == 0
    text = summary(found, data, targets_count=True)
    assert "not measured: 1 row, ghost: ghost is not installed" in text
    assert "FAILED: 1 row, b: out of memory" in text
    assert table(found).count("\n") == 3
    assert data.values == {Need("a", "x"): [1.0, 1.0]}


def test_different_answers_are_told():
    rows = [row("x", "a x", "b x"), row("y", "a y", "b y")]
    times = {"x": [1.0] * 2, "y": [1.0] * 2}
    asks = {
        "a": saying(times, {"x": [[1, 2]], "y": [3]}),
        "b": saying(times, {"x": [[1, 2]], "y": [4]}),
    }
    data = measured(asks, rows, runs=1)
    assert data.unlike == {"y": ["a", "b"]}
    assert "y: a, b did not all give the same" in summary([], data, targets_count=True)


def test_json_holds_every_value():
    rows = [row("x", "a x", "b x", target=2.0)]
    asks = {"a": saying({"x": [0.0, 1.0, 0.0]}), "b": saying({"x": [0.0, 3.0, math.inf]})}
    data = measured(asks, rows, runs=1)
    text = json.dumps(as_data(results(rows, data), data, runs=1), allow_nan=False)
    told = json.loads(text)
    assert told["runs"] == 1
    assert told["measurements"] == {"a": {"x": [1.0]}, "b": {"x": [3.0]}}
    assert told["rows"][0]["ratios"] == [3.0]
    assert told["rows"][0]["verdict"] == MET
