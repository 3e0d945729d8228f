"""`npgpt bench`: how fast this machine runs a model, and how fast it could."""

import dataclasses
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from npgpt._cli.argument_types import natural
from npgpt._cli.arguments import add_dtype, add_model, load_model
from npgpt._cli.command import Command
from npgpt._cli.commands.machine import Machine, flops, matrices, measure, median, seconds
from npgpt._cli.output import print_json, print_table
from npgpt._config import RELEASED, Config
from npgpt._gpt import GPT
from npgpt._kernels.threads import thread_count
from npgpt.errors import SettingError
from npgpt.model._parameters import Parameters, from_arrays, shapes, to_arrays

_EXAMPLES = """\
  npgpt bench
  npgpt bench --model ~/gpt2
  npgpt bench --size gpt2
      random weights of that size, made in memory
"""
_PROMPTS = (128, 512)
_BATCHES = (1, 8)
_NEW = 32  # tokens that are decoded, after as many
_STD = 0.02  # GPT-2's initialisation


class _Row(NamedTuple):
    """seconds: of one step of all rows, or of a prompt; limit: the least that they could be."""

    work: str
    seconds: float
    limit: float | None
    tokens: int


def _add_arguments(parser: ArgumentParser) -> None:
    add_model(parser)
    add_dtype(parser)
    parser.add_argument(
        "--size", choices=tuple(RELEASED), help="random weights of a released size, not a model's"
    )
    parser.add_argument(
        "--runs", metavar="N", type=natural, default=5, help="medians of N runs (default 5)"
    )


def _run(arguments: Namespace) -> None:
    if arguments.runs < 1:
        raise SettingError(f"--runs is {arguments.runs}; measure at least once")
    gpt = _model(arguments)
    machine = measure(gpt.parameters, arguments.runs)
    rows = [_decode(gpt, batch, machine, arguments.runs) for batch in _BATCHES]
    prompts = [length for length in _PROMPTS if length < gpt.config.n_positions]
    rows += [_prefill(gpt, length, machine, arguments.runs) for length in prompts]
    about = {
        "parameters": sum(array.size for array in to_arrays(gpt.parameters).values()),
        "dtype": arguments.dtype,
        "threads": thread_count(),
        **machine._asdict(),
    }
    if arguments.json:
        print_json("bench", {**about, "rows": [row._asdict() for row in rows]})
    else:
        _print(about, machine, rows)


def _model(arguments: Namespace) -> GPT:
    """Without tokenizer and settings of its own, so that a text is as long as is asked for."""
    if arguments.size is None:
        gpt = dataclasses.replace(load_model(arguments), tokenizer=None, defaults={})
    elif arguments.model is not None:
        raise SettingError(f"--size {arguments.size} and --model are given; give one of them")
    else:
        config = RELEASED[arguments.size]
        gpt = GPT(config, _random(config, arguments.dtype))
    if gpt.config.n_positions < 3:
        raise SettingError(
            f"the model's context holds {gpt.config.n_positions} tokens; to measure takes 3"
        )
    return gpt


def _random(config: Config, dtype: npt.DTypeLike) -> Parameters:
    rng = np.random.default_rng(0)
    std = np.float32(_STD)
    return from_arrays(
        {
            name: (std * rng.standard_normal(shape, np.float32)).astype(dtype, copy=False)
            for name, shape in shapes(config).items()
        },
        config,
    )


def _decode(gpt: GPT, batch: int, machine: Machine, runs: int) -> _Row:
    new = min(_NEW, (gpt.config.n_positions - 1) // 2)
    rows = [_prompt(gpt, new, row) for row in range(batch)]

    def step() -> float:
        """What the tokens after the first take: the first is the prompt's."""
        first = seconds(lambda: gpt.generate(rows, max_new_tokens=1))
        return (seconds(lambda: gpt.generate(rows, max_new_tokens=1 + new)) - first) / new

    streamed = sum(matrix.nbytes for matrix in matrices(gpt.parameters)) / machine.bandwidth
    work = f"decode, {batch} {'row' if batch == 1 else 'rows'}"
    return _Row(work, median(step, runs), streamed if batch == 1 else None, batch)


def _prefill(gpt: GPT, length: int, machine: Machine, runs: int) -> _Row:
    rows = [_prompt(gpt, length, 0)]
    taken = median(lambda: seconds(lambda: gpt.generate(rows, max_new_tokens=1)), runs)
    least = flops(gpt.parameters, gpt.config, length) / machine.rate
    return _Row(f"prompt of {length}", taken, least, length)


def _prompt(gpt: GPT, length: int, row: int) -> list[int]:
    return [(31 * place + row) % gpt.config.vocab_size for place in range(length)]


def _print(about: dict[str, Any], machine: Machine, rows: Sequence[_Row]) -> None:
    table = [("work", "time", "tokens/s", "limit", "share")]
    for work, taken, limit, tokens in rows:
        shown = (f"{1e3 * taken:.2f} ms", f"{tokens / taken:.1f}")
        bound = ("-", "-") if limit is None else (f"{1e3 * limit:.2f} ms", f"{limit / taken:.2f}")
        table.append((work, *shown, *bound))
    print_table(table, left=1)
    print(
        f"\n{about['parameters']} parameters, {about['dtype']}, threads: {about['threads']}\n"
        f"weights streamed at {machine.bandwidth / 1e9:.1f} GB/s, "
        f"products at {machine.rate / 1e9:.1f} GFLOP/s"
    )


COMMAND = Command(
    name="bench",
    usage="[--model PATH | --size NAME] [options]",
    summary="measure how fast a model runs here, against what the machine can do",
    examples=_EXAMPLES,
    add_arguments=_add_arguments,
    run=_run,
)
