"""The rows are the issue's targets, and every row asks for tasks that somebody knows."""

import importlib

import pytest

from oracle.bench._contest import Setup
from oracle.bench._row import (
    FITTED,
    prefill_exponent,
    share_beyond_fixed,
    tenfold_exponent,
    tokens_per_second,
)
from oracle.bench._rows import ROWS, XL_ROWS, curves, rows_of

TARGETS = {
    "decode-1/transformers": 1.25,
    "decode-1/limit": 0.90,
    "decode-8/transformers": 1.25,
    "prefill-16/transformers": 1.0,
    "prefill-128/transformers": 1.0,
    "prefill-512/transformers": 1.0,
    "prefill-512/limit": 0.85,
    "prefill-1024/transformers": 1.0,
    "beam-5/transformers": 1.6,
    "beam-5-after-900/transformers": 2.0,
    "cold-start/transformers": 10.0,
    "memory": 1.10,
    "memory-float16": 0.62,
    "tokenizer/tiktoken": 0.5,
    "tokenizer-growth": 1.05,
    "decode-growth": 1.35,
    "prefill-growth": 1.15,
    "xl-memory": 1.0,
}
AT_MOST = ("memory", "memory-float16", "xl-memory")


def test_the_targets():
    rows = [row for row in (*ROWS, *XL_ROWS) if row.target is not None]
    assert {row.name: row.target for row in rows} == TARGETS
    for row in rows:
        assert row.at_least == (row.name not in AT_MOST and not row.name.endswith("growth"))
    assert len({row.name for row in (*ROWS, *XL_ROWS)}) == len(ROWS) + len(XL_ROWS)


@pytest.mark.parametrize("name", ["npgpt", "limit", "pytorch", "tiktoken"])
def test_contestants_know_their_tasks(name, tmp_path):
    module = importlib.import_module(f"oracle.bench._contestants.{name}")
    tasks = module.contestant(Setup(str(tmp_path), "tiny")).tasks
    needs = {need for row in (*ROWS, *XL_ROWS) for need in row.needs} | set(curves("cpu"))
    asked = {need.task for need in needs if need.contestant == name}
    assert asked
    assert asked <= tasks.keys()
    assert not any(tmp_path.iterdir()), "nothing is made before it is needed"


def test_rows_are_chosen_by_name():
    assert rows_of("cpu", xl=False, only=None) == ROWS
    assert rows_of("cpu", xl=True, only=None) == (*ROWS, *XL_ROWS)
    assert rows_of("cpu", xl=False, only=["xl*"]) == XL_ROWS
    assert [row.name for row in rows_of("cpu", xl=False, only=["memory", "decode-g*"])] == [
        "memory",
        "memory/transformers",
        "decode-growth",
    ]
    assert rows_of("cpu", xl=False, only=["nothing"]) == ()
    assert all(need.contestant in ("pytorch", "hbm") for need in curves("cuda"))
    assert all(row.name.endswith("/hbm") for row in rows_of("cuda", xl=False, only=None))


def test_figures():
    assert share_beyond_fixed(160e6, 100e6) == 1
    assert tokens_per_second(8)(0.25) == "32 tok/s"
    assert tenfold_exponent(100.0, 1.0) == 2
    # n^2 where the times are n^2, whatever the unit; the slope of a line through the rest.
    assert round(prefill_exponent(*(3e-9 * n**2 for n in FITTED)), 12) == 2
    assert 1 < prefill_exponent(*(n + n**2 / 1000 for n in FITTED)) < 2
