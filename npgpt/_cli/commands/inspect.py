"""`npgpt inspect`: what a model's files hold, also where npgpt refuses to open them."""

from argparse import ArgumentParser, Namespace
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from npgpt._cli.arguments import add_model
from npgpt._cli.command import Command
from npgpt._cli.output import print_json, print_table, saying_warnings
from npgpt._gpt import default_model
from npgpt._quoting import on_one_line
from npgpt.errors import SettingError

_EXAMPLES = """\
  npgpt inspect
  npgpt inspect ~/gpt2
  npgpt inspect downloaded.bin --json
"""


def _add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument(
        "path", nargs="?", metavar="PATH", type=Path, help="the same as --model PATH"
    )
    add_model(parser)


def _run(arguments: Namespace) -> None:
    if arguments.path is not None and arguments.model is not None:
        raise SettingError("PATH and --model are given; give one of them")
    path = arguments.path or arguments.model or default_model()
    from npgpt.checkpoints._inspection import inspect_with_error  # which no other command needs

    with saying_warnings():
        facts, refused = inspect_with_error(path)
    if arguments.json:
        print_json("inspect", facts)
    else:
        _print(facts)
    if refused is not None:
        raise refused


def _print(facts: Mapping[str, Any]) -> None:
    form = facts["format"] or "no format that npgpt knows"
    print(f"{on_one_line(facts['model'])} ({form})\n")
    print(f"dialect: {facts['dialect'] or 'not known'}")
    print(f"safe: {_verdict(facts)}")
    if "config" in facts:
        print()
        for title in ("config", "generation_config", "tokenizer"):
            print(title)
            fields = facts[title] or {"none": ""}
            print_table([(f"  {name}", str(value)) for name, value in fields.items()], left=1)
    if "tensors" in facts:
        _print_contents(facts)


def _verdict(facts: Mapping[str, Any]) -> str:
    names = facts["names"]
    if not facts["safe"]:
        calls = f"; its pickle names {', '.join(names)}" if names else ""
        return on_one_line(f"no: npgpt refuses it, and nothing of it was used{calls}")
    if names is None:
        return "yes: it holds numbers and texts, and nothing that a program would run"
    return on_one_line(f"yes: a pickle that names only {', '.join(names) or 'nothing'}")


def _print_contents(facts: Mapping[str, Any]) -> None:
    print("\ntensors")
    print_table(
        [("  bytes", "dtype", "shape", "name")]
        + [
            (str(t["bytes"]), t["dtype"], "x".join(map(str, t["shape"])), t["name"])
            for t in facts["tensors"]
        ],
        left=0,
    )
    print(f"\n{len(facts['tensors'])} tensors of {facts['bytes']:,} bytes")
    if "parameters" in facts:
        print(f"{facts['parameters']:,} parameters")
        bad = (f"{count} in {name}" for name, count in facts["non_finite"].items())
        print(f"NaN or infinite values: {', '.join(bad) or 'none'}")
    print("\nfiles")
    print_table(
        [("  bytes", "sha256", "name")]
        + [(str(file["bytes"]), file["sha256"], file["name"]) for file in facts["files"]],
        left=0,
    )


COMMAND = Command(
    name="inspect",
    usage="[PATH | --model PATH] [--json]",
    summary="say what a model's files hold, from what program they are, and whether they are safe",
    examples=_EXAMPLES,
    add_arguments=_add_arguments,
    run=_run,
)
