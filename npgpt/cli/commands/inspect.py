"""`npgpt inspect`: what a model's files hold, also where npgpt refuses to open them."""

from argparse import ArgumentParser, Namespace
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from npgpt.checkpoints.files import digest
from npgpt.checkpoints.finite import is_finite
from npgpt.checkpoints.listing import list_tensors
from npgpt.checkpoints.load import CONFIG, GENERATION_CONFIG, Checkpoint
from npgpt.checkpoints.load import load as load_checkpoint
from npgpt.checkpoints.weights import guess, locate
from npgpt.cli.arguments import add_model
from npgpt.cli.command import Command
from npgpt.cli.output import print_json, print_table, saying_warnings
from npgpt.config import to_json
from npgpt.errors import NpgptError, SettingError
from npgpt.gpt import shipped
from npgpt.model.parameters import shapes, to_arrays
from npgpt.tokenizer.files import ADDED_TOKENS, TOKENIZER_CONFIG, TOKENIZER_JSON, VOCAB_AND_MERGES

_EXAMPLES = """\
  npgpt inspect
  npgpt inspect ~/gpt2
  npgpt inspect downloaded.bin --json
"""
_SMALL_FILES = (
    CONFIG,
    GENERATION_CONFIG,
    TOKENIZER_JSON,
    *(name for pair in VOCAB_AND_MERGES.items() for name in pair),
    ADDED_TOKENS,
    TOKENIZER_CONFIG,
    "hparams.json",
)


def _add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument(
        "path", nargs="?", metavar="PATH", type=Path, help="the same as --model PATH"
    )
    add_model(parser)


def _run(arguments: Namespace) -> None:
    if arguments.path is not None and arguments.model is not None:
        raise SettingError("PATH and --model are given; give one of them")
    path = arguments.path or arguments.model or shipped()
    located = locate(path)
    facts, refused = _facts(path, located)
    if arguments.json:
        print_json(facts)
    else:
        _print(facts)
    if refused is not None:
        raise refused


def _facts(path: Path, located: Path) -> tuple[dict[str, Any], NpgptError | None]:
    """What could be found out, and why the rest could not."""
    try:
        found = list_tensors(located)
    except NpgptError as error:
        return _refused(path, located, error), error
    facts: dict[str, Any] = {
        "model": str(path),
        "format": found.format,
        "dialect": found.dialect,
        **_safety(found.files),
    }
    # Opened in the widest dtype that is stored, so that no number becomes infinite on the way.
    stored = {tensor.dtype for tensor in found.tensors}
    refused: NpgptError | None = None
    small: list[Path] = []
    try:
        with saying_warnings():
            checkpoint = load_checkpoint(
                located, dtype="float64" if "float64" in stored else "float32"
            )
    except NpgptError as error:
        refused = error
        facts["refused"] = str(error)
    else:
        small = _small_files(located.parent)
        facts |= {
            "config": to_json(checkpoint.config),
            "generation_config": checkpoint.generation_config,
            "tokenizer": _tokenizer(checkpoint),
            "parameters": sum(int(np.prod(shape)) for shape in shapes(checkpoint.config).values()),
            "non_finite": _non_finite(checkpoint),
        }
    facts |= {
        "tensors": [
            {"name": t.name, "dtype": t.dtype, "shape": t.shape, "bytes": t.nbytes}
            for t in found.tensors
        ],
        "bytes": found.nbytes,
        "files": [_file(file) for file in (*found.files, *small)],
    }
    return facts, refused


def _refused(path: Path, located: Path, error: NpgptError) -> dict[str, Any]:
    try:
        form = guess(located)
    except NpgptError:
        form = None
    return {
        "model": str(path),
        "format": form,
        "dialect": None,
        "safe": False,
        "names": _names([located]),
        "refused": str(error),
    }


def _safety(files: Sequence[Path]) -> dict[str, Any]:
    """That a file holds nothing that runs; of a pickle, what it names, which was all allowed."""
    return {"safe": True, "names": _names(files)}


def _names(files: Sequence[Path]) -> list[str] | None:
    """The functions and classes that the files' pickles name; None where there is no pickle."""
    # Imported here because it imports the readers of pickles, which few models need.
    from npgpt.checkpoints.torch.pickle_names import of_file

    found = [names for file in files if (names := of_file(file)) is not None]
    return sorted({name for names in found for name in names}) if found else None


def _tokenizer(checkpoint: Checkpoint) -> dict[str, Any] | None:
    tokenizer = checkpoint.tokenizer
    if tokenizer is None:
        return None
    return {
        "tokens": tokenizer.vocab_size,
        "merges": len(tokenizer.merges),
        "special_tokens": tokenizer.special_tokens,
    }


def _non_finite(checkpoint: Checkpoint) -> dict[str, int]:
    """How many values are NaN or infinite, by tensor, where any are."""
    return {
        name: int(np.count_nonzero(~np.isfinite(array)))
        for name, array in to_arrays(checkpoint.parameters).items()
        if not is_finite(array)
    }


def _small_files(folder: Path) -> list[Path]:
    return [file for name in _SMALL_FILES if (file := folder / name).is_file()]


def _file(path: Path) -> dict[str, Any]:
    return {"name": path.name, "bytes": path.stat().st_size, "sha256": digest(path)}


def _print(facts: Mapping[str, Any]) -> None:
    print(f"{facts['model']} ({facts['format'] or 'no format that npgpt knows'})\n")
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
        return f"no: npgpt refuses it, and nothing of it was used{calls}"
    if names is None:
        return "yes: it holds numbers and texts, and nothing that a program would run"
    return f"yes: a pickle that names only {', '.join(names) or 'nothing'}"


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
