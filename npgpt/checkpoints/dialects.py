"""Dialects: what programs that write checkpoints call GPT-2's tensors, and how they lay them out.

    Hugging Face      transformer.h.0.attn.c_attn.weight (in, out); the prefix may be missing
    nanoGPT, minGPT   the same names, but (out, in), as torch.nn.Linear has it; with bias=False a
                      model has no biases, which is the same as biases of zeros
    OpenAI            model/h0/attn/c_attn/w (1, in, out)
    GGUF              blk.0.attn_qkv.weight (out, in)

A file is of one dialect. Its order of axes is told by the attention's first matrix, (embd, 3 embd)
or (3 embd, embd), and holds for the square matrices too, whose shapes tell nothing.

Sources: transformers/models/gpt2/modeling_gpt2.py; model.py of github.com/karpathy/nanoGPT;
src/model.py of github.com/openai/gpt-2; gguf-py/gguf/constants.py of github.com/ggml-org/llama.cpp.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from npgpt.checkpoints.tensors import FLOAT32, Stored
from npgpt.errors import CheckpointError
from npgpt.quoting import listed, quoted

PREFIX = "transformer."  # of all tensors but the head, in files of GPT2LMHeadModel
WRAPPERS = ("module.", "_orig_mod.")  # of all tensors: DistributedDataParallel's, torch.compile's
HEAD = "lm_head.weight"
TABLE = "wte.weight"
# The causal mask and the value it filled in, which old versions of transformers saved, and nanoGPT
# and minGPT too.
_BUFFER = re.compile(r"h\.[0-9]+\.attn\.(masked_bias|bias|mask)")
# Any name a model might give. Others are cut and escaped in messages, not listed among the rest.
_LONGEST = 100
_ORDINARY = re.compile(rf"[!-~]{{1,{_LONGEST}}}")

T = TypeVar("T")


def common_prefix(names: Iterable[str]) -> str:
    """The prefix that the tensors' names share: none, "transformer.", or one with its wrappers'.

    >>> common_prefix(["lm_head.weight", "transformer.wte.weight"]), common_prefix(["wte.weight"])
    ('transformer.', '')
    >>> common_prefix(["_orig_mod.transformer.wte.weight", "_orig_mod.lm_head.weight"])
    '_orig_mod.transformer.'
    """
    known = list(names)
    found = _wrappers(known)
    return found + PREFIX if any(name.startswith(found + PREFIX) for name in known) else found


def _wrappers(names: Sequence[str]) -> str:
    found = ""
    # Each turn makes the prefix longer, and no name that is one is longer than this.
    while len(found) < _LONGEST:
        more = next((w for w in WRAPPERS if any(n.startswith(found + w) for n in names)), "")
        if not more:
            break
        found += more
    return found


def check_ordinary(names: Iterable[str], where: str) -> None:
    """Raise CheckpointError for a name that is empty, over 100 characters, or not visible ASCII."""
    for name in names:
        if not _ORDINARY.fullmatch(name):
            raise CheckpointError(f"{where}: no tensor of a GPT-2 is named {quoted(name)}")


def without_prefix(tensors: Mapping[str, T], where: str) -> dict[str, T]:
    """The tensors by their names without prefix, and without the buffers that hold no weights.

    Raises CheckpointError, starting with `where`, if only some of the names have the prefix, or
    one is no name at all: empty, over 100 characters, or not all visible ASCII.

    >>> without_prefix({"transformer.wte.weight": 1, "transformer.h.0.attn.bias": 2}, "an example")
    {'wte.weight': 1}
    """
    check_ordinary(tensors, where)
    common, head = common_prefix(tensors), _wrappers(list(tensors)) + HEAD
    bare = [name for name in tensors if not name.startswith(common) and name != head]
    if bare:
        raise CheckpointError(
            f"{where}: some names start with {common!r} and others do not: "
            f"{listed(bare)}; a checkpoint holds one model"
        )
    renamed = {HEAD if n == head else n.removeprefix(common): t for n, t in tensors.items()}
    if len(renamed) != len(tensors):
        raise CheckpointError(f"{where}: {head!r} and {common + HEAD!r} are the same name")
    return {name: tensor for name, tensor in renamed.items() if not _BUFFER.fullmatch(name)}


def settle_tied_head(tensors: Mapping[str, Stored], tied: bool, where: str) -> dict[str, Stored]:
    """The tensors without the head where the config ties it to the token embedding.

    A file may hold a tied matrix under either name, or both. Raises CheckpointError, starting
    with `where`, if both are there and differ.
    """
    settled = dict(tensors)
    if not tied or HEAD not in settled:
        return settled
    head = settled.pop(HEAD)
    table = settled.setdefault(TABLE, head)
    if not _same(head, table):
        raise CheckpointError(
            f"{where}: the config ties {HEAD} to {TABLE}, but the file holds two that differ; "
            "set tie_word_embeddings to false in config.json if the model has a head of its own"
        )
    return settled


def _same(one: Stored, other: Stored) -> bool:
    """Whether two tensors have the same bits."""
    if one is other:
        return True
    unsigned = f"u{one.dtype.itemsize}"  # as numbers, NaN would differ from itself
    return (
        one.dtype is other.dtype
        and one.data.shape == other.data.shape
        and all(
            np.array_equal(row.view(unsigned), twin.view(unsigned))
            for row, twin in zip(np.atleast_1d(one.data), np.atleast_1d(other.data), strict=True)
        )
    )


HUGGING_FACE, LINEAR, OPENAI, GGUF = "Hugging Face", "nanoGPT or minGPT", "OpenAI", "GGUF"
UNKNOWN = "unknown"
_OUT_IN = (LINEAR, GGUF)

_MATRICES = ("attn.c_attn", "attn.c_proj", "mlp.c_fc", "mlp.c_proj")
_MATRIX = re.compile(r"h\.[0-9]+\.(attn\.c_attn|attn\.c_proj|mlp\.c_fc|mlp\.c_proj)\.weight")

_NAMES_HF = re.compile(r"(wte|wpe|ln_f|lm_head)\.(weight|bias)|h\.[0-9]+\..+")
_NAMES_OPENAI = re.compile(r"model/(wte|wpe|(?:h[0-9]+/[a-z0-9_/]+|ln_f)/[wgb])")
_NAMES_GGUF = re.compile(
    r"(token_embd|position_embd|output_norm|output|blk\.[0-9]+\.[a-z_]+)\.(weight|bias)"
)
_LETTERS = {"w": "weight", "g": "weight", "b": "bias"}
_BLOCK_GGUF = {
    "attn_norm": "ln_1",
    "attn_qkv": "attn.c_attn",
    "attn_output": "attn.c_proj",
    "ffn_norm": "ln_2",
    "ffn_up": "mlp.c_fc",
    "ffn_down": "mlp.c_proj",
}
_OUTSIDE_GGUF = {
    "token_embd": "wte",
    "position_embd": "wpe",
    "output_norm": "ln_f",
    "output": "lm_head",
}


@dataclass(frozen=True)
class Translated:
    """Tensors by the names of `model.parameters`, matrices (in, out), and whose names they had."""

    dialect: str
    tensors: dict[str, Stored]


def recognise(tensors: Mapping[str, Stored]) -> str:
    """The dialect of a file, or UNKNOWN where it has none, or several that contradict each other.

    >>> recognise({})
    'unknown'
    """
    try:
        if not _families(tensors):
            return UNKNOWN
        return translate(tensors, "").dialect
    except CheckpointError:
        return UNKNOWN


def translate(tensors: Mapping[str, Stored], where: str) -> Translated:
    """The tensors as npgpt names and lays them out; transposing makes views.

    What no dialect names keeps its name. Raises CheckpointError, starting with `where`, for names
    of two dialects, two names for one tensor, and matrices that disagree on the order of axes.
    """
    check_ordinary(tensors, where)
    families = _families(tensors)
    if len(families) > 1:
        (one, name), (other, twin) = list(families.items())[:2]
        raise CheckpointError(
            f"{where}: {quoted(name)} is a name of {one} and {quoted(twin)} one of {other}; "
            "a checkpoint holds one model"
        )
    family = next(iter(families), HUGGING_FACE)
    if family == HUGGING_FACE:
        renamed = without_prefix(tensors, where)
    else:
        renamed = _renamed(tensors, _RENAME[family], where)
    if family == OPENAI:
        renamed = {name: _unbatched(name, tensor) for name, tensor in renamed.items()}
    out_in = _is_out_in(renamed, family, where)
    if out_in and family == HUGGING_FACE:
        family = LINEAR
    if out_in:
        renamed = _transposed(renamed)
    if family == LINEAR:
        renamed |= _absent_biases(renamed)
    return Translated(family, renamed)


def _families(tensors: Iterable[str]) -> dict[str, str]:
    """Which dialects' names there are, and an example of each."""
    known = list(tensors)
    common, wrapped = common_prefix(known), common_prefix(known).removesuffix(PREFIX)
    found: dict[str, str] = {}
    for name in known:
        bare = name.removeprefix(common) if name.startswith(common) else name.removeprefix(wrapped)
        for family, pattern in (
            (HUGGING_FACE, _NAMES_HF),
            (OPENAI, _NAMES_OPENAI),
            (GGUF, _NAMES_GGUF),
        ):
            if pattern.fullmatch(bare):
                found.setdefault(family, name)
    return found


def _from_openai(name: str) -> str:
    match = _NAMES_OPENAI.fullmatch(name)
    if match is None:
        return name
    *path, last = match[1].split("/")
    if not path:
        return f"{last}.weight"
    path[0] = re.sub(r"^h([0-9]+)$", r"h.\1", path[0])
    return f"{'.'.join(path)}.{_LETTERS[last]}"


def _from_gguf(name: str) -> str:
    match = _NAMES_GGUF.fullmatch(name)
    if match is None:
        return name
    place, kind = match.groups()
    if place in _OUTSIDE_GGUF:
        return f"{_OUTSIDE_GGUF[place]}.{kind}"
    _, layer, part = place.split(".")
    return f"h.{layer}.{_BLOCK_GGUF[part]}.{kind}" if part in _BLOCK_GGUF else name


_RENAME: dict[str, Callable[[str], str]] = {OPENAI: _from_openai, GGUF: _from_gguf}


def _renamed(
    tensors: Mapping[str, Stored], rename: Callable[[str], str], where: str
) -> dict[str, Stored]:
    renamed: dict[str, Stored] = {}
    for name, tensor in tensors.items():
        if rename(name) in renamed:
            raise CheckpointError(
                f"{where}: {quoted(name)} is there under another name too; "
                "a checkpoint holds one model"
            )
        renamed[rename(name)] = tensor
    return renamed


def _unbatched(name: str, tensor: Stored) -> Stored:
    """A matrix without its first axis, of length 1, which made it a convolution's kernel."""
    if not _MATRIX.fullmatch(name) or tensor.data.ndim != 3 or tensor.data.shape[0] != 1:
        return tensor
    return Stored(tensor.dtype, tensor.data[0], tensor.file)


def _is_out_in(tensors: Mapping[str, Stored], family: str, where: str) -> bool:
    """Whether the file's matrices are (out, in), as all of them say that can say it."""
    told = {name: _order(name, tensor.data.shape) for name, tensor in tensors.items()}
    first = next((name for name, order in told.items() if order is not None), None)
    if first is None:
        return family in _OUT_IN
    out_in, embd = told[first], min(tensors[first].data.shape)
    if family != HUGGING_FACE and out_in != (family in _OUT_IN):
        raise CheckpointError(
            f"{where}: {first} has shape {tensors[first].data.shape}, {_axes(bool(out_in))}, but "
            f"files with the names of {family} have {_axes(family in _OUT_IN)}"
        )
    for name, tensor in tensors.items():
        order = told[name] if told[name] is not None else _order(name, tensor.data.shape, embd)
        if order not in (None, out_in):
            shape = tensor.data.shape
            raise CheckpointError(
                f"{where}: {name} has shape {shape}, not {shape[::-1]}, though {first} of shape "
                f"{tensors[first].data.shape} says that this file's matrices are "
                f"{_axes(bool(out_in))}; save the model again, all of it with one program"
            )
    return bool(out_in)


def _axes(out_in: bool) -> str:
    return "(out, in)" if out_in else "(in, out)"


def _order(name: str, shape: tuple[int, ...], embd: int | None = None) -> bool | None:
    """Whether a matrix is (out, in), or None where its shape does not tell.

    Without `embd`, the width of the model, only the attention's first matrix tells.
    """
    match = _MATRIX.fullmatch(name)
    if match is None or len(shape) != 2:
        return None
    rows, columns = shape
    if match[1] == "attn.c_attn":
        told = rows == 3 * columns, columns == 3 * rows
    elif embd is None:
        return None
    elif match[1] == "mlp.c_proj":
        told = rows == embd, columns == embd
    else:
        told = columns == embd, rows == embd
    return told[0] if told[0] != told[1] else None


def _transposed(tensors: Mapping[str, Stored]) -> dict[str, Stored]:
    turned = {
        id(tensor): Stored(tensor.dtype, tensor.data.T, tensor.file)
        for name, tensor in tensors.items()
        if _MATRIX.fullmatch(name)
    }
    # What a file holds once under two names stays one tensor.
    return {
        name: turned[id(tensor)] if _MATRIX.fullmatch(name) else tensor
        for name, tensor in tensors.items()
    }


def _absent_biases(tensors: Mapping[str, Stored]) -> dict[str, Stored]:
    """Zeros for all biases of a model that has none at all."""
    if any(name.endswith(".bias") for name in tensors):
        return {}
    zero = np.zeros((), FLOAT32.bits)
    return {
        name.removesuffix("weight") + "bias": Stored(
            FLOAT32, np.broadcast_to(zero, tensor.data.shape[-1:]), tensor.file
        )
        for name, tensor in tensors.items()
        if _MATRIX.fullmatch(name) or re.fullmatch(r"(h\.[0-9]+\.ln_[12]|ln_f)\.weight", name)
    }
