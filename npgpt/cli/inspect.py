"""`npgpt inspect`: what a model's files hold."""

import hashlib
from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from npgpt.checkpoints import listing
from npgpt.checkpoints.finite import is_finite
from npgpt.checkpoints.open import CONFIG, GENERATION_CONFIG, Checkpoint
from npgpt.checkpoints.open import open as open_checkpoint
from npgpt.cli import inputs
from npgpt.cli.command import Command
from npgpt.cli.output import print_json, print_table, saying_warnings
from npgpt.config import to_json
from npgpt.errors import CheckpointError
from npgpt.gpt import shipped
from npgpt.model.parameters import shapes, to_arrays
from npgpt.tokenizer import files as tokenizer_files

_EXAMPLES = """\
  npgpt inspect
  npgpt inspect --model ~/gpt2
  npgpt inspect --model ~/gpt2 --json
"""
_SMALL_FILES = (
    CONFIG,
    GENERATION_CONFIG,
    tokenizer_files.WHOLE,
    *(name for pair in tokenizer_files.PAIRS.items() for name in pair),
    tokenizer_files.ADDED,
    tokenizer_files.CONFIG,
)
_CHUNK = 2**20  # bytes hashed at a time


def _run(arguments: Namespace) -> None:
    path = shipped() if arguments.model is None else arguments.model
    facts = _facts(path)
    if arguments.json:
        print_json(facts)
    else:
        _print(facts)


def _facts(path: Path) -> dict[str, Any]:
    # Opened in the widest dtype that is stored, so that no number becomes infinite on the way.
    stored = {tensor.dtype for tensor in listing.list_tensors(path).tensors}
    with saying_warnings():
        checkpoint = open_checkpoint(path, dtype="float64" if "float64" in stored else "float32")
    found = checkpoint.listing
    return {
        "model": str(path),
        "format": found.format,
        "config": to_json(checkpoint.config),
        "generation_config": checkpoint.generation_config,
        "tokenizer": _tokenizer(checkpoint),
        "tensors": [
            {"name": t.name, "dtype": t.dtype, "shape": t.shape, "bytes": t.nbytes}
            for t in found.tensors
        ],
        "bytes": sum(tensor.nbytes for tensor in found.tensors),
        "parameters": sum(int(np.prod(shape)) for shape in shapes(checkpoint.config).values()),
        "non_finite": _non_finite(checkpoint),
        "files": [_file(file) for file in _files(checkpoint)],
    }


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


def _files(checkpoint: Checkpoint) -> list[Path]:
    folder = checkpoint.listing.files[0].parent
    small = (folder / name for name in _SMALL_FILES)
    return [*checkpoint.listing.files, *(file for file in small if file.is_file())]


def _file(path: Path) -> dict[str, Any]:
    hashed = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                hashed.update(chunk)
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read ({error.strerror})") from None
    return {"name": path.name, "bytes": path.stat().st_size, "sha256": hashed.hexdigest()}


def _print(facts: Mapping[str, Any]) -> None:
    print(f"{facts['model']} ({facts['format']})\n")
    for title in ("config", "generation_config", "tokenizer"):
        print(title)
        fields = facts[title] or {"none": ""}
        print_table([(f"  {name}", str(value)) for name, value in fields.items()], left=1)
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
    usage="[--model FOLDER] [--json]",
    summary="show a model's configuration, tensors, tokenizer and files, with their hashes",
    examples=_EXAMPLES,
    add_arguments=inputs.add_model,
    run=_run,
)
