"""`npgpt diff`: where two models, or two runs, first differ."""

from __future__ import annotations

import math
import os
import tempfile
from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import Any

import npgpt._gpt
from npgpt._cli.argument_types import token_ids
from npgpt._cli.command import Command
from npgpt._cli.output import print_json, print_table, saying_warnings
from npgpt._prompt import Prompt
from npgpt._quoting import listed, on_one_line
from npgpt.audit import saved
from npgpt.audit._difference import Comparison, Difference, compare_traces
from npgpt.audit.saved import Saved
from npgpt.audit.saved import _metadata as metadata
from npgpt.errors import PromptError, SettingError
from npgpt.trace import label

_EXAMPLES = """\
  npgpt diff trace-1 trace-2
      two traces, as npgpt audit --save writes them
  npgpt diff ~/gpt2 gpt2-f16.gguf --prompt "Shall I compare thee"
      two models on the same text
  npgpt diff trace-1 ~/gpt2
      a trace, and the model on the trace's tokens
exit code: 0 where no activation differs by more than rounding explains, 1 where one does, 2 where
they cannot be compared
"""
_DIFFERENT = 1


def _add_arguments(parser: ArgumentParser) -> None:
    for name in ("a", "b"):
        parser.add_argument(
            name, metavar=name.upper(), type=Path, help="a saved trace, or a model as --model takes"
        )
    parser.add_argument("--prompt", metavar="TEXT", help="what models are run on")
    parser.add_argument(
        "--tokens", metavar="IDS", type=token_ids, help='token ids instead: "1 2 3"'
    )
    parser.add_argument(
        "--names",
        metavar="NAME",
        nargs="+",
        help='run models for these activations only, such as "resid_*" logits "*.3" (default: '
        "those that the trace beside the model has, or all)",
    )
    parser.add_argument(
        "--dtype",
        choices=metadata.DTYPES,
        help="compute in it (default: as the trace beside the model, or float32)",
    )
    parser.add_argument(
        "--json",
        action="store_true",
        help="print one JSON object, the numbers in full; null stands for what is not finite",
    )


def _run(arguments: Namespace) -> int:
    paths = (arguments.a, arguments.b)
    traces = [saved.load(path) if _is_trace(path) else None for path in paths]
    saved_trace = next((trace for trace in traces if trace is not None), None)
    prompt = _prompt(arguments, traces, saved_trace)
    recorded = (
        ["*"] if saved_trace is None else sorted({name for name, _ in saved_trace.trace.arrays})
    )
    dtype = arguments.dtype or (saved_trace.dtype if saved_trace else metadata.DTYPES[0])
    with tempfile.TemporaryDirectory(prefix="npgpt-diff-") as scratch:
        pair = [
            trace
            or _traced(
                Path(scratch) / str(number), path, prompt, dtype, arguments.names or recorded
            )
            for number, (path, trace) in enumerate(zip(paths, traces, strict=True))
        ]
        comparison = compare_traces(*pair)
        facts = _facts(arguments, pair[0], comparison)
        del pair  # or Windows would keep the files that it maps
    if arguments.json:
        print_json("diff", facts)
    else:
        _print(arguments, comparison)
    return 0 if comparison.first is None else _DIFFERENT


def _is_trace(path: Path) -> bool:
    return os.path.exists(path / metadata.FILE)  # False too for a path that is too long


def _prompt(arguments: Namespace, traces: list[Saved | None], saved_trace: Saved | None) -> Prompt:
    given = [name for name in ("prompt", "tokens") if getattr(arguments, name) is not None]
    if len(given) > 1:
        raise PromptError("--prompt and --tokens are given; give one of them")
    if given and saved_trace is not None:
        raise PromptError(f"--{given[0]} is given, but a trace has its own tokens; leave it out")
    ignored = [name for name in ("names", "dtype") if getattr(arguments, name) is not None]
    if ignored and None not in traces:
        raise SettingError(f"--{ignored[0]} is given, but no model is run; leave it out")
    if not given and saved_trace is None:
        raise PromptError(
            f"neither {arguments.a} nor {arguments.b} is a saved trace; give --prompt TEXT to run "
            "them on"
        )
    if saved_trace is not None:
        return saved_trace.tokens
    prompt: Prompt = getattr(arguments, given[0])
    if not prompt:
        raise PromptError(f"--{given[0]} {prompt!r} holds nothing; give at least one token")
    return prompt


def _traced(folder: Path, path: Path, prompt: Prompt, dtype: str, names: list[str]) -> Saved:
    """Traces are compared on the disk: so no more than one model is in memory at a time."""
    with saying_warnings():
        gpt = npgpt._gpt.load(path, dtype=dtype)
    saved.save(folder, gpt, prompt, names)
    return saved.load(folder)


def _facts(arguments: Namespace, a: Saved, comparison: Comparison) -> dict[str, Any]:
    return {
        "a": str(arguments.a),
        "b": str(arguments.b),
        "tokens": a.tokens,
        "same": comparison.first is None,
        "first": None if comparison.first is None else _fields(comparison.first),
        "activations": [_fields(each) for each in comparison.differences],
        "only_a": [label(*key) for key in comparison.only_a],
        "only_b": [label(*key) for key in comparison.only_b],
        "config": {name: {"a": one, "b": two} for name, one, two in comparison.config},
    }


def _fields(each: Difference) -> dict[str, Any]:
    return {**each._asdict(), "ratio": each.ratio}


def _print(arguments: Namespace, comparison: Comparison) -> None:
    rows = [("layer", "activation", "difference", "floor", "ratio", "at")]
    for each in comparison.differences:
        at = "" if each.at is None else ",".join(map(str, each.at))
        layer = "-" if each.layer is None else str(each.layer)
        largest, floor, ratio = (f"{x:.3g}" for x in (each.largest, each.floor, each.ratio))
        rows.append((layer, each.name, largest, floor, ratio, at))
    print_table(rows, left=2)
    print(f"\na is {on_one_line(str(arguments.a))}\nb is {on_one_line(str(arguments.b))}")
    for name, one, two in comparison.config:
        print(on_one_line(f"{name} is {one} in a and {two} in b"))
    for where, only in (("a", comparison.only_a), ("b", comparison.only_b)):
        if only:
            print(f"only in {where}: {listed([label(*key) for key in only])}")
    unknown = [e for e in comparison.differences if e.largest and e.floor == math.inf]
    if unknown:
        names = listed([label(each.name, each.layer) for each in unknown])
        print(f"nothing can be said of {names}: numbers overflow there, and the floor is infinite")
    first = comparison.first
    if first is None:
        print("no activation differs by more than rounding explains")
        return
    place = "outside the layers" if first.layer is None else f"of layer {first.layer}"
    print(
        f"first difference: {first.name} {place}, {first.largest:.3g} at {first.at}, where "
        f"rounding explains {first.floor:.3g}"
    )


COMMAND = Command(
    name="diff",
    usage='A B [--prompt "TEXT" | --tokens IDS] [options]',
    summary="say where two models, or two saved runs, first differ, by layer and component",
    examples=_EXAMPLES,
    add_arguments=_add_arguments,
    run=_run,
)
