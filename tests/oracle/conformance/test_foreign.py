"""GPT-2s written as outsiders would, each with a real bug in turn: is the bug named?

Through `logits` alone, in JavaScript and in NumPy. A head that is drawn anew has no numbers to know
it by, so not every bug can be named.
"""

import shlex
import shutil
from pathlib import Path

import pytest

from oracle.adapters.own_process import isolated
from oracle.adapters.program import command
from oracle.conformance._catalogue import checks_at, named
from oracle.conformance._judge import judgement_of
from oracle.conformance._outcome import LAX, RIGHT, WRONG, run

GPT2_JS = Path(__file__).parents[2] / "foreign" / "gpt2.js"
NODE = pytest.mark.skipif(shutil.which("node") is None, reason="there is no node here")
CHECKS = checks_at("toy", ["model/*"])
EXAMPLES = 20
BUGS = (
    "gelu-erf",
    "gelu-sigmoid",
    "layernorm-eps-outside",
    "layernorm-eps-zero",
    "layernorm-bessel",
    "layernorm-square",
    "conv1d-transposed",
    "layers-file-order",
    "scale-flags-ignored",
    "scale-twice",
    "no-causal-mask",
    "causal-off-by-one",
    "mask-minus-1e4",
    "all-masked-row",
    "softmax-no-max",
    "fp16-score-overflow",
    "head-untied-on-resize",
    "tf32",
    "pad-takes-position",
    "pad-unmasked",
)
# What they do where there is no answer: no numbers are wrong, and no bug is named.
LAX_ONES = {
    "missing-tensor-random": "a missing tensor: it answered",
    "context-wraps": "more tokens than n_positions: it answered",
}
# Where some of them are first seen: the component and its layer.
PLACES = {
    "gelu-sigmoid": ("activation function, or MLP output projection", 0),
    "layernorm-square": ("final layer norm", None),
    "no-causal-mask": ("causal mask", 0),
    "scale-twice": ("attention scores", 0),
    "pad-takes-position": ("padding, or several rows", None),
    "layers-file-order": ("a later layer", 10),
    "head-untied-on-resize": ("output head, or the final layer norm's bias", None),
}
NAMED = 0.9  # of the bugs, at least


def judged(subject):
    return judgement_of(
        subject, [run(check, subject, count=EXAMPLES, shrink=False) for check in CHECKS]
    )


def in_javascript(bug):
    return command(f"node {shlex.quote(str(GPT2_JS))} {bug}")


def in_numpy(bug, monkeypatch):
    monkeypatch.setenv("GPT2_BUG", bug)
    return isolated("tests.foreign.adapter:subject")


def named_first(judgement, bug):
    assert judgement.verdict == WRONG
    return [suspect.mutant.id for suspect in judgement.suspects[:1]] == [bug]


@NODE
@pytest.mark.parametrize("half", [0, 1])
def test_bugs_in_javascript_are_named_and_found_where_they_are(half):
    bugs, found = BUGS[half::2], {}
    for bug in bugs:
        with in_javascript(bug) as subject:
            judgement = judged(subject)
        found[bug] = named_first(judgement, bug)
        at = judgement.divergence
        if bug in PLACES:
            assert (at.component, at.layer) == PLACES[bug]
    assert sum(found.values()) >= NAMED * len(bugs), found


@NODE
@pytest.mark.parametrize("bug", LAX_ONES)
def test_what_should_be_refused_in_javascript_is_told_apart_from_numbers(bug):
    with in_javascript(bug) as subject:
        outcomes = [run(check, subject, shrink=False) for check in named("model/refusals")]
        judgement = judgement_of(subject, [*outcomes, run(CHECKS[0], subject, count=EXAMPLES)])
    assert (judgement.verdict, judgement.refusals.verdict) == (RIGHT, LAX)
    assert any(how.startswith(LAX_ONES[bug]) for how in judgement.refusals.how)
    assert judgement.suspects == ()


def test_bugs_in_numpy_are_named(monkeypatch):
    for bug in BUGS[1::4]:
        with in_numpy(bug, monkeypatch) as subject:
            assert named_first(judged(subject), bug), bug


@NODE
def test_the_same_without_a_bug_is_right_and_looks_like_none():
    with in_javascript("") as subject:
        judgement = judged(subject)
    assert judgement.verdict == RIGHT
    assert not judgement.suspects
    assert judgement.divergence is None


@NODE
def test_dropout_is_known_by_never_saying_the_same_twice():
    with in_javascript("dropout-in-eval") as subject:
        judgement = judged(subject)
    assert "dropout-in-eval" in [s.mutant.id for s in judgement.suspects if s.reproduces]
