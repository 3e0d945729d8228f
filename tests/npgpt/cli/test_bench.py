"""`npgpt bench`: what it prints and what it refuses; the times themselves are no test."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from npgpt._cli.commands import bench, machine
from npgpt._config import RELEASED
from npgpt.checkpoints._saving import save
from npgpt.model._parameters import shapes
from tests.helpers.command_line import output, run
from tests.helpers.small_gpt import CONFIG, parameters


@pytest.fixture(autouse=True)
def small_square(monkeypatch: pytest.MonkeyPatch) -> None:
    """The large product of the real thing takes a while, and more where cores are busy."""
    monkeypatch.setattr(machine, "_SQUARE", 64)


def test_json_says_what_was_measured(model: Path) -> None:
    facts = json.loads(output("bench", "--model", model, "--runs", 1, "--json"))
    assert facts["parameters"] == sum(np.prod(s) for s in shapes(CONFIG).values())
    assert facts["dtype"] == "float32"
    assert facts["threads"] >= 1
    assert facts["bandwidth"] > 0 < facts["rate"]
    # The context, of 48 tokens, is too short for the prompts.
    assert [row["work"] for row in facts["rows"]] == ["decode, 1 row", "decode, 8 rows"]
    streamed = sum(m.nbytes for m in machine.matrices(parameters(CONFIG))) / 2  # made in float64
    assert facts["rows"][0]["limit"] == streamed / facts["bandwidth"]
    assert [row["tokens"] for row in facts["rows"]] == [1, 8]


def test_the_table_has_a_line_for_each_work(model: Path) -> None:
    lines = output("bench", "--model", model, "--runs", 1).splitlines()
    assert lines[0].split() == ["work", "time", "tokens/s", "limit", "share"]
    assert [line.split("  ")[0] for line in lines[1:3]] == ["decode, 1 row", "decode, 8 rows"]
    assert lines[2].split()[-2:] == ["-", "-"]
    assert lines[-2].startswith(f"{sum(np.prod(s) for s in shapes(CONFIG).values())} parameters")
    assert "GB/s" in lines[-1]
    assert "GFLOP/s" in lines[-1]


@pytest.mark.parametrize(("positions", "prompts"), [(128, []), (129, [128]), (513, [128, 512])])
def test_prompts_are_those_that_the_context_holds(
    positions: int, prompts: list[int], tmp_path: Path
) -> None:
    config = dataclasses.replace(CONFIG, n_positions=positions)
    save(tmp_path, config, parameters(config))
    facts = json.loads(output("bench", "--model", tmp_path, "--runs", 1, "--json"))
    assert [row["tokens"] for row in facts["rows"][2:]] == prompts
    for row in facts["rows"][2:]:
        flops = machine.flops(parameters(config), config, row["tokens"])
        assert row["limit"] == flops / facts["rate"]


def test_the_shortest_context_that_can_be_measured(tmp_path: Path) -> None:
    for positions in (2, 3):
        config = dataclasses.replace(CONFIG, n_positions=positions)
        save(tmp_path, config, parameters(config))
        ran = run("bench", "--model", tmp_path, "--runs", 1)
        assert ran.code == (2 if positions == 2 else 0)
        assert ("context holds 2 tokens" in ran.err) == (positions == 2)


def test_a_size_is_random_weights_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(RELEASED, "gpt2", CONFIG)
    facts = json.loads(
        output("bench", "--size", "gpt2", "--runs", 1, "--json", "--dtype", "float64")
    )
    assert facts["dtype"] == "float64"
    assert facts["parameters"] == sum(np.prod(s) for s in shapes(CONFIG).values())
    made = bench._random(CONFIG, "float64").wte.weight
    assert made.dtype == np.float64
    assert np.unique(made).size > made.size / 2


def test_flops_count_every_product() -> None:
    config = dataclasses.replace(CONFIG, n_layer=1, n_embd=2, n_head=1, n_inner=3, vocab_size=5)
    # Of 2 tokens: maps 2·2·(2·6 + 2·2 + 2·3 + 3·2); 3 looks, twice, of 2 numbers; the head 2·2·5.
    assert machine.flops(parameters(config), config, 2) == 4 * 28 + 2 * 2 * 3 * 2 + 20


def test_the_median_leaves_out_the_first_run() -> None:
    times = iter([100.0, 3.0, 1.0, 2.0])
    assert machine.median(lambda: next(times), 3) == 2


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--runs", "0"], "--runs is 0"),
        (["--runs", "x"], "'x'"),
        (["--size", "gpt3"], "'gpt3'"),
        (["--size", "gpt2", "--model", "."], "--size gpt2 and --model"),
    ],
)
def test_what_it_refuses(argv: list[str], message: str) -> None:
    ran = run("bench", *argv)
    assert (ran.code, ran.out) == (2, "")
    assert message in ran.err
    assert ran.err.count("\n") == 1
