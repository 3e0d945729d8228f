"""Dialects: what programs that write checkpoints call GPT-2's tensors, and how they lay them out.

A file is of one dialect, and a dialect is a row of DIALECTS. Those that share names differ in the
order of their matrices' axes, which `matrix_order` tells.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from npgpt._quoting import listed, quoted
from npgpt.checkpoints._matrix_order import MATRIX, absent_biases, is_out_in, transposed
from npgpt.checkpoints._tensors import Stored
from npgpt.errors import CheckpointError

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
Tensors = Mapping[str, Stored]
Rename = Callable[[Tensors, str], dict[str, Stored]]


@dataclass(frozen=True, eq=False)
class Dialect:
    """What one program, or several alike, call GPT-2's tensors, and how they lay them out.

    `names` matches each of its names without the prefix that all share, and `rename` gives the
    tensors the names of `model.parameters`. Matrices are (out, in), as torch.nn.Linear has them, or
    (in, out), with a first axis of length 1 where they are `kernels` of a convolution. A model may
    have no biases at all where they are `optional_biases`. `assumed` are the fields of config.json
    that its programs never change, and a file with a config of its own does not state. `example` is
    its name of the attention's first matrix.
    """

    name: str
    names: re.Pattern[str]
    rename: Rename
    out_in: bool
    example: str
    source: str
    kernels: bool = False
    optional_biases: bool = False
    assumed: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Translated:
    """Tensors by the names of `model.parameters`, matrices (in, out), and whose names they had."""

    dialect: Dialect
    tensors: dict[str, Stored]


def common_prefix(names: Iterable[str]) -> str:
    """The prefix that the tensors' names share: none, "transformer.", or one with its wrappers'.

    >>> common_prefix(["lm_head.weight", "transformer.wte.weight"]), common_prefix(["wte.weight"])
    ('transformer.', '')
    >>> common_prefix(["_orig_mod.transformer.wte.weight", "_orig_mod.lm_head.weight"])
    '_orig_mod.transformer.'
    """
    given = list(names)
    wrappers = _wrappers(given)
    return (
        wrappers + PREFIX if any(name.startswith(wrappers + PREFIX) for name in given) else wrappers
    )


def _wrappers(names: Sequence[str]) -> str:
    prefix = ""
    # Each turn makes the prefix longer, and no name that is one is longer than this.
    while len(prefix) < _LONGEST:
        more = next((w for w in WRAPPERS if any(n.startswith(prefix + w) for n in names)), "")
        if not more:
            break
        prefix += more
    return prefix


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


def _renaming(new_name: Callable[[str], str]) -> Rename:
    def renamed(tensors: Tensors, where: str) -> dict[str, Stored]:
        by_new_name: dict[str, Stored] = {}
        for name, tensor in tensors.items():
            if new_name(name) in by_new_name:
                raise CheckpointError(
                    f"{where}: {quoted(name)} is there under another name too; "
                    "a checkpoint holds one model"
                )
            by_new_name[new_name(name)] = tensor
        return by_new_name

    return renamed


_NAMES_HF = re.compile(r"(wte|wpe|ln_f|lm_head)\.(weight|bias)|h\.[0-9]+\..+")
_NAMES_OPENAI = re.compile(r"model/(wte|wpe|(?:h[0-9]+/[a-z0-9_/]+|ln_f)/[wgb])")
_LETTERS_OPENAI = {"w": "weight", "g": "weight", "b": "bias"}


def _from_openai(name: str) -> str:
    match = _NAMES_OPENAI.fullmatch(name)
    if match is None:
        return name
    *path, last = match[1].split("/")
    if not path:
        return f"{last}.weight"
    path[0] = re.sub(r"^h([0-9]+)$", r"h.\1", path[0])
    return f"{'.'.join(path)}.{_LETTERS_OPENAI[last]}"


_NAMES_GGUF = re.compile(
    r"(token_embd|position_embd|output_norm|output|blk\.[0-9]+\.[a-z_]+)\.(weight|bias)"
)
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


def _from_gguf(name: str) -> str:
    match = _NAMES_GGUF.fullmatch(name)
    if match is None:
        return name
    place, kind = match.groups()
    if place in _OUTSIDE_GGUF:
        return f"{_OUTSIDE_GGUF[place]}.{kind}"
    _, layer, part = place.split(".")
    return f"h.{layer}.{_BLOCK_GGUF[part]}.{kind}" if part in _BLOCK_GGUF else name


# Of those that share names the first is meant where no matrix tells; a file without any known name
# is said to be of the very first.
DIALECTS = (
    Dialect(
        name="Hugging Face",
        names=_NAMES_HF,
        rename=without_prefix,
        out_in=False,
        example="transformer.h.0.attn.c_attn.weight",
        source="transformers, models/gpt2/modeling_gpt2.py",
    ),
    Dialect(
        name="nanoGPT or minGPT",
        names=_NAMES_HF,
        rename=without_prefix,
        out_in=True,
        example="transformer.h.0.attn.c_attn.weight",
        source="github.com/karpathy/nanoGPT, model.py",
        optional_biases=True,
        # The first of nanoGPT's versions had gelu_new.
        assumed={
            "activation_function": "gelu",
            "layer_norm_epsilon": 1e-5,
            "tie_word_embeddings": True,
        },
    ),
    Dialect(
        name="OpenAI",
        names=_NAMES_OPENAI,
        rename=_renaming(_from_openai),
        out_in=False,
        example="model/h0/attn/c_attn/w",
        source="github.com/openai/gpt-2, src/model.py",
        kernels=True,
    ),
    Dialect(
        name="GGUF",
        names=_NAMES_GGUF,
        rename=_renaming(_from_gguf),
        out_in=True,
        example="blk.0.attn_qkv.weight",
        source="github.com/ggml-org/llama.cpp, gguf-py/gguf/constants.py",
    ),
)
UNKNOWN = "unknown"


def dialect_name(tensors: Tensors) -> str:
    """The dialect of a file, or UNKNOWN where it has none, or several that contradict each other.

    >>> dialect_name({})
    'unknown'
    """
    try:
        return translate(tensors, "").dialect.name if _examples(tensors) else UNKNOWN
    except CheckpointError:
        return UNKNOWN


def translate(tensors: Tensors, where: str) -> Translated:
    """The tensors as npgpt names and lays them out; transposing makes views.

    What no dialect names keeps its name. Raises CheckpointError, starting with `where`, for names
    of two dialects, two names for one tensor, and matrices that disagree on the order of axes.
    """
    check_ordinary(tensors, where)
    examples = _examples(tensors)
    if len(examples) > 1:
        (one, name), (other, twin) = list(examples.items())[:2]
        raise CheckpointError(
            f"{where}: {quoted(name)} is a name of {DIALECTS[one].name} and {quoted(twin)} one of "
            f"{DIALECTS[other].name}; a checkpoint holds one model"
        )
    usual = DIALECTS[next(iter(examples), 0)]
    alike = [dialect for dialect in DIALECTS if dialect.names is usual.names]
    renamed = usual.rename(tensors, where)
    if usual.kernels:
        renamed = {name: _without_first_axis(name, tensor) for name, tensor in renamed.items()}
    out_in = is_out_in(renamed, usual.out_in, where, only_in=usual.name if len(alike) == 1 else "")
    dialect = next(dialect for dialect in alike if dialect.out_in == out_in)
    if out_in:
        renamed = transposed(renamed)
    if dialect.optional_biases:
        renamed |= absent_biases(renamed)
    return Translated(dialect, renamed)


def _examples(tensors: Iterable[str]) -> dict[int, str]:
    """Of which rows of DIALECTS, the first of those alike, there are names, and one of each."""
    given = list(tensors)
    common, wrapped = common_prefix(given), common_prefix(given).removesuffix(PREFIX)
    examples: dict[int, str] = {}
    for name in given:
        bare = name.removeprefix(common) if name.startswith(common) else name.removeprefix(wrapped)
        matching = [row for row, dialect in enumerate(DIALECTS) if dialect.names.fullmatch(bare)]
        for row in matching:
            if all(DIALECTS[row].names is not DIALECTS[other].names for other in range(row)):
                examples.setdefault(row, name)
    return examples


def _without_first_axis(name: str, tensor: Stored) -> Stored:
    """A matrix without its first axis, of length 1, which made it a convolution's kernel."""
    if not MATRIX.fullmatch(name) or tensor.data.ndim != 3 or tensor.data.shape[0] != 1:
        return tensor
    return Stored(tensor.dtype, tensor.data[0], tensor.file)
