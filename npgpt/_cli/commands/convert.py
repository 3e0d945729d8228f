"""`npgpt convert`: any checkpoint that npgpt opens, saved as one that others open."""

from argparse import ArgumentParser, Namespace
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from npgpt._cli.arguments import add_tokenizer
from npgpt._cli.command import Command
from npgpt._cli.output import print_json, saying_warnings
from npgpt._config import to_json
from npgpt._kernels.upcast import upcast
from npgpt._quoting import listed
from npgpt.checkpoints._listing import list_tensors
from npgpt.checkpoints._loading import Checkpoint
from npgpt.checkpoints._loading import load as load_checkpoint
from npgpt.checkpoints._npz import NPZ, NPZ_DTYPES, NPZ_SUFFIX, read_npz, write_npz
from npgpt.checkpoints._saving import STORAGE, save
from npgpt.checkpoints._weights import FILE_NAMES, locate
from npgpt.errors import CheckpointError, SettingError
from npgpt.model._parameters import from_arrays, shapes, to_arrays

_EXAMPLES = """\
  npgpt convert gpt2.gguf ~/gpt2                    a folder that transformers opens
  npgpt convert models/124M ~/gpt2                  OpenAI's release, as TensorFlow wrote it
  npgpt convert out/ckpt.pt ~/mine --dtype bfloat16
  npgpt convert ~/gpt2 gpt2.npz                     one file for numpy.load
"""
_FOLDER, _NPZ = "safetensors", "npz"
_FILES = (".safetensors", ".bin", ".pt", ".pth", ".gguf")  # no names of folders
_WIDEST = "float64"


def _add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("source", metavar="IN", type=Path, help="a model: its folder or its file")
    parser.add_argument("target", metavar="OUT", type=Path, help="a folder, or a file named *.npz")
    parser.add_argument(
        "--dtype",
        choices=STORAGE,
        help="round the weights to it (default: that of the matrices in IN, or float32 if they "
        "differ)",
    )
    parser.add_argument(
        "--format",
        choices=(_FOLDER, _NPZ),
        help="a folder with model.safetensors and config.json, or one .npz (default: by OUT's "
        "name)",
    )
    parser.add_argument(
        "--force",
        action="store_true",
        help=f"write over an {NPZ}, or into a folder that is not empty, replacing a model's "
        "files there",
    )
    add_tokenizer(parser)
    parser.add_argument("--json", action="store_true", help="say as a JSON object what was written")


def _run(arguments: Namespace) -> None:
    target: Path = arguments.target
    form = arguments.format or (_NPZ if target.suffix == NPZ_SUFFIX else _FOLDER)
    _check_target(target, form, arguments.force)
    _check_apart(arguments.source, target)
    stored = {t.dtype for t in list_tensors(arguments.source).tensors if len(t.shape) > 1} & set(
        STORAGE
    )
    dtype = arguments.dtype or _default(stored, form)
    with saying_warnings():
        # In the widest dtype that is stored, so that numbers are rounded once.
        checkpoint = load_checkpoint(
            arguments.source,
            dtype=_WIDEST if _WIDEST in stored else "float32",
            widen=False,
            tokenizer=arguments.tokenizer,
        )
    (_write_npz if form == _NPZ else _write_folder)(target, checkpoint, dtype)
    facts = _facts(arguments.source, target, form, dtype, checkpoint)
    if arguments.json:
        print_json("convert", facts)
    else:
        _print(facts)


def _default(stored: set[str], form: str) -> str:
    dtypes = NPZ_DTYPES if form == _NPZ else STORAGE
    dtype = next(iter(stored)) if len(stored) == 1 else "float32"
    return dtype if dtype in dtypes else "float32"


def _check_apart(source: Path, target: Path) -> None:
    """Raise where OUT is IN, or the folder that IN is in, whatever links lead there."""
    located = locate(source)
    files = {located, *list_tensors(located).files}
    for place in (*files, *(file.parent for file in files)):
        if target.exists() and target.samefile(place):
            raise SettingError(
                f"OUT is {str(target)!r}, where IN is too; give another name: IN stays as it is"
            )


def _check_target(target: Path, form: str, force: bool) -> None:
    """Raise unless OUT is new, or an empty folder, or with `force` what this may write over."""
    if form == _FOLDER:
        if target.suffix in _FILES and not target.is_dir():
            raise SettingError(
                f"OUT is {str(target)!r}, which names a file; give the folder to write "
                f"{FILE_NAMES[0]} and config.json into"
            )
        if target.exists() and not target.is_dir():
            raise CheckpointError(f"{target}: there is a file of that name; give another folder")
        there = sorted(path.name for path in target.iterdir()) if target.is_dir() else []
        if there and not force:
            raise CheckpointError(
                f"{target}: not empty, it holds {listed(there)}; give a new folder, or --force, "
                "which replaces a model's files there"
            )
    elif target.exists() and not _is_own(target):
        raise CheckpointError(f"{target}: not an {NPZ}; remove it, or give another name")
    elif target.exists() and not force:
        raise CheckpointError(
            f"{target}: there is a file of that name; give another, or --force to replace it"
        )


def _is_own(target: Path) -> bool:
    if not target.is_file():
        return False
    try:
        read_npz(target, check_sums=False)
    except CheckpointError:
        return False
    return True


def _write_folder(target: Path, checkpoint: Checkpoint, dtype: str) -> None:
    save(
        target,
        checkpoint.config,
        checkpoint.parameters,
        checkpoint.tokenizer,
        dtype=dtype,
        generation_config=checkpoint.generation_config or None,
    )


def _write_npz(target: Path, checkpoint: Checkpoint, dtype: str) -> None:
    arrays = to_arrays(checkpoint.parameters)
    from_arrays(arrays, checkpoint.config)
    write_npz(
        target,
        # bfloat16 is kept as its bits.
        {n: upcast(a) if a.dtype.name == "uint16" else a for n, a in arrays.items()},
        to_json(checkpoint.config),
        dtype=dtype,
    )


def _facts(
    source: Path, target: Path, form: str, dtype: str, checkpoint: Checkpoint
) -> dict[str, Any]:
    listing = checkpoint.listing
    return {
        "from": {"path": str(source), "format": listing.format, "dialect": listing.dialect},
        "to": str(target),
        "format": form,
        "dtype": dtype,
        "tensors": len(shapes(checkpoint.config)),
        "bytes": list_tensors(target).nbytes,
        "tokenizer": form == _FOLDER and checkpoint.tokenizer is not None,
    }


def _print(facts: Mapping[str, Any]) -> None:
    source = facts["from"]
    print(f"read {source['path']}: {source['format']}, in the dialect of {source['dialect']}")
    print(
        f"wrote {facts['to']}: {facts['format']}, {facts['tensors']} tensors of "
        f"{facts['bytes']:,} bytes, {facts['dtype']}, "
        f"{'with' if facts['tokenizer'] else 'without'} a tokenizer"
    )


COMMAND = Command(
    name="convert",
    usage="IN OUT [--dtype DTYPE] [--format FORMAT] [--force] [--tokenizer PATH] [--json]",
    summary="save a model of any format as model.safetensors with config.json, or as one .npz",
    examples=_EXAMPLES,
    add_arguments=_add_arguments,
    run=_run,
)
