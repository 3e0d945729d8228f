"""Ops at the borders of tiles and at real sizes: the right ones pass, size bugs are told."""

from dataclasses import replace

import numpy as np
import pytest

from oracle.adapters import npgpt, pytorch
from oracle.adapters.guard import guarded
from oracle.conformance._checks.ops import OPS
from oracle.conformance._checks.ops_borders import CASES, CHECKS, cases_of
from oracle.conformance._outcome import RIGHT, WRONG, run

NAMED = {check.needs.removeprefix("ops."): check for check in CHECKS}
SUBJECTS = {
    "npgpt": npgpt.subject,
    "bfloat16": lambda: pytorch.subject(dtype="bfloat16"),
}


def test_each_op_has_its_border_check():
    assert list(CASES) == list(OPS) == list(NAMED)
    assert {check.size for check in CHECKS} == {"borders"}


@pytest.mark.parametrize("name", SUBJECTS)
def test_right_ops_pass(name):
    subject = guarded(SUBJECTS[name]())
    for check in CHECKS:
        outcome = run(check, subject, count=1)
        assert outcome.verdict == RIGHT, (check.name, outcome.says)


def test_the_sizes_of_the_issue_are_all_there():
    labels = {op: {label for label, _ in cases_of(op, "float32")(0)} for op in OPS}
    assert {"768 x 3072", "1600 x 6400"} <= labels["linear"]
    assert {"width 768", "width 1600", "width 15", "width 1025"} <= labels["layer_norm"]
    for op in ("softmax", "log_softmax"):
        assert {"width 50257", "width 50304"} <= labels[op]
    assert {"1 query, 1024 keys", "1024 queries and keys"} <= labels["attention"]
    last = dict(cases_of("embedding", "float32")(0))["50257 rows"]
    assert 50256 in last.arrays["ids"]
    assert {"length 17", "length 31", "length 1023"} <= labels["gelu_new"]


def test_what_the_bound_promises_nothing_of_is_left_out():
    labels = [label for label, _ in cases_of("linear", "bfloat16")(0)]
    assert "in 129" in labels
    assert "768 x 3072" not in labels


def tail_dropped(tile):
    """The last, partial tile of columns is left as zeros."""

    def dropping(op):
        def run_op(*arrays, **options):
            made = np.array(op(*arrays, **options))
            whole = made.shape[-1] // tile * tile
            if whole:
                made[..., whole:] = 0
            return made

        return run_op

    return dropping


@pytest.mark.parametrize(
    ("name", "tile"),
    [("linear", 512), ("gelu_new", 32), ("softmax", 512)],
)
def test_a_partial_tile_that_is_dropped_is_told_with_its_size(name, tile):
    clean = pytorch.subject()
    wrong = replace(clean, ops={name: tail_dropped(tile)(clean.ops[name])})
    outcome = run(NAMED[name], wrong)
    assert outcome.verdict == WRONG
    assert any(part in outcome.says for part in ("width", "length", "out", "x 6400"))
