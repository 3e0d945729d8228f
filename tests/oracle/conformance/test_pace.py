"""Time limits, progress, and a judgement without its diagnosis."""

import io
import math
import time

import numpy as np

from oracle.conformance._catalogue import named
from oracle.conformance._judge import judge
from oracle.conformance._outcome import NOT_JUDGED, NOT_OFFERED, RIGHT, UNDECIDED, WRONG, run
from oracle.conformance._pace import Pace
from oracle.conformance._program._judge import exit_code
from oracle.conformance._program._progress import WIPED, progress
from oracle.conformance._table import as_data, line, summary
from tests.helpers.broken_subjects import changed, clean

GELU, RELU = named("ops/gelu_new", "ops/relu")  # as the catalogue has them


def slow_from(number, *, wrong=False):
    """A right relu which takes for ever from this call on, as the pace sees it."""
    calls, right = [], clean().ops["relu"]

    def relu(x):
        calls.append(x)
        if len(calls) == number:
            pace.expire()
        return right(x) + wrong

    pace = _Clock()
    return changed(ops=lambda ops: {"relu": relu}), pace


class _Clock:
    """A pace whose time is up when it is told."""

    diagnosis = True
    over = False

    def on_progress(self, words):
        pass

    def expire(self):
        self.over = True


def test_what_is_not_reached_is_not_right():
    subject, pace = slow_from(4)
    outcome = run(RELU, subject, count=10, pace=pace)
    assert (outcome.verdict, len(outcome.seen)) == (NOT_JUDGED, 4)
    assert outcome.says == "out of time after 4 of 10 examples"
    assert "not judged" in line(outcome)
    again = run(RELU, subject, count=10, pace=pace)
    assert (again.verdict, again.seen) == (NOT_JUDGED, ())


def test_what_is_wrong_before_is_wrong_all_the_same():
    subject, pace = slow_from(4, wrong=True)
    outcome = run(RELU, subject, count=10, pace=pace)
    assert (outcome.verdict, len(outcome.seen)) == (WRONG, 4)
    assert outcome.worst in outcome.seen  # no time is left to look for a smaller one


def test_a_time_limit_leaves_a_judgement_undecided_or_says_that_nothing_was_judged():
    nothing = judge(clean(), [RELU], count=3, seed=0, time_limit=0.0)
    assert (nothing.verdict, exit_code(nothing)) == (NOT_JUDGED, 5)
    assert "1 check not judged" in summary(nothing)

    def relu(x):
        time.sleep(0.2)
        return np.maximum(x, 0)

    subject = changed(ops=lambda ops: {"gelu_new": ops["gelu_new"], "relu": relu})
    some = judge(subject, [GELU, RELU], count=200, seed=0, time_limit=10.0)
    assert [outcome.verdict for outcome in some.outcomes][1] == NOT_JUDGED
    assert some.verdict in (UNDECIDED, NOT_JUDGED)
    assert exit_code(some) in (3, 5)
    assert as_data(some)["checks"][1]["verdict"] == "not judged"


def test_exit_codes():
    offered = judge(clean(), [RELU], count=3, seed=0)
    assert (offered.verdict, exit_code(offered)) == (RIGHT, 0)
    none = judge(changed(ops=lambda ops: {}), [RELU], count=3, seed=0)
    assert (none.verdict, exit_code(none)) == (NOT_OFFERED, 5)


def test_without_diagnosis_the_verdict_is_the_same():
    subject = changed(logits=lambda logits: lambda *given: logits(*given) + np.float32(0.1))
    judgement = judge(subject, named("model/logits"), count=6, seed=0, diagnosis=False)
    assert judgement.verdict == WRONG
    assert (judgement.divergences, judgement.suspects, judgement.by_depth) == ((), (), ())
    assert judgement.outcomes[0].worst in judgement.outcomes[0].seen
    assert "place and name were not looked for to the end" in summary(judgement)


def test_progress_is_told():
    words = []
    subject = changed(ops=lambda ops: {"relu": lambda x: x})
    judge(subject, [RELU], count=5, seed=0, on_progress=words.append)
    assert words[0] == "ops/relu: example 1 of 5"
    assert any(word.startswith("ops/relu: shrinking, try ") for word in words)
    assert "naming the bug" in words
    assert Pace(math.inf).over is False


def test_progress_is_one_line_on_a_terminal_and_nothing_elsewhere(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    shown, quiet = Terminal(), io.StringIO()
    for stream in (shown, quiet):
        tell = progress(stream)
        tell("ops/relu: example 1 of 5")
        tell("ops/relu: example 2 of 5")  # too soon after the first
        tell("")
        tell("")
    assert shown.getvalue() == f"{WIPED}ops/relu: example 1 of 5{WIPED}"
    assert quiet.getvalue() == ""
