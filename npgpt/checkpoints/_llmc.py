"""llm.c's `.bin` files of weights.

    256 numbers of 32 bits: magic, version, positions, tokens, layers, heads, width, tokens with
        padding; the rest are 0
    the tensors, little-endian, float32 in version 3 and bfloat16 in version 5, each of all layers
        in one: wte, wpe, ln_1, c_attn, c_proj, ln_2, c_fc, c_proj, ln_f; matrices are (out, in)

Source: `write_model` in https://github.com/karpathy/llm.c/blob/master/train_gpt2.py.
"""

import mmap
from collections.abc import Iterator, Mapping
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from npgpt._config import from_json
from npgpt.checkpoints._files import map_file
from npgpt.checkpoints._tensors import BFLOAT16, FLOAT32, DType, Stored, Weights
from npgpt.errors import CheckpointError, ConfigError

FORM = "llm.c"
MAGIC = 20240326
_DTYPES = {3: FLOAT32, 5: BFLOAT16}
_HEADER = 256  # numbers
_HEADER_BYTES = 4 * _HEADER
_SIZES = ("n_positions", "vocab_size", "n_layer", "n_head", "n_embd", "padded_vocab_size")
_TABLE = "transformer.wte.weight"
_MOST_LAYERS = 4096  # GPT-2 XL has 48; the objects for a layer take 6 kB, whatever its width


def read_llmc(path: Path, *, check_sums: bool = True) -> Weights:
    """The tensors, a layer at a time under nanoGPT's names, as read-only views of the mapped file.

    Matrices are (out, in); the rows that pad the token embedding are left out. What llm.c does
    not write but always does is in the config: the head is tied, the epsilon 1e-5. The format has
    no checksums, so `check_sums` changes nothing.

    Raises CheckpointError or ConfigError, naming the file, for a header that is not a GPT-2's, and
    a file of another length than its header says.
    """
    data = map_file(path)
    dtype, sizes = _header(data, path)
    config = _config(sizes, path)
    places = _places(sizes)
    expected = _HEADER_BYTES + dtype.itemsize * sum(map(prod, places.values()))
    if len(data) != expected:
        fault = "cut short" if len(data) < expected else "something was added"
        raise CheckpointError(
            f"{path}: {len(data)} bytes, but a model of these sizes takes {expected}; {fault}"
        )
    tensors = {
        name: Stored(dtype, array, path) for name, array in _arrays(data, dtype, places, sizes)
    }
    return Weights(FORM, (path,), tensors, config)


def _header(data: mmap.mmap, path: Path) -> tuple[DType, dict[str, int]]:
    if len(data) < _HEADER_BYTES:
        raise CheckpointError(
            f"{path}: {len(data)} bytes; llm.c's files start with a header of {_HEADER_BYTES}"
        )
    magic, version, *rest = np.frombuffer(data, "<i4", _HEADER).tolist()
    if magic != MAGIC:
        raise CheckpointError(
            f"{path}: starts with {magic}, not {MAGIC}; this is no file of llm.c's weights"
        )
    if version not in _DTYPES:
        raise CheckpointError(
            f"{path}: version {version}; npgpt reads 3 (float32) and 5 (bfloat16): write it again "
            "with a newer llm.c"
        )
    unknown = [place for place, value in enumerate(rest[len(_SIZES) :], 2 + len(_SIZES)) if value]
    if unknown:
        raise CheckpointError(
            f"{path}: number {unknown[0]} of the header is {rest[unknown[0] - 2]}; expected 0"
        )
    return _DTYPES[version], dict(zip(_SIZES, rest, strict=False))


def _config(sizes: Mapping[str, int], path: Path) -> dict[str, Any]:
    fields: dict[str, Any] = {name: size for name, size in sizes.items() if "padded" not in name}
    fields |= {
        "model_type": "gpt2",
        "layer_norm_epsilon": 1e-5,
        "activation_function": "gelu_new",
        "tie_word_embeddings": True,
    }
    try:
        from_json(fields)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error
    if sizes["n_layer"] > _MOST_LAYERS:
        raise CheckpointError(
            f"{path}: n_layer is {sizes['n_layer']}; npgpt reads at most {_MOST_LAYERS}"
        )
    if sizes["padded_vocab_size"] < sizes["vocab_size"]:
        raise CheckpointError(
            f"{path}: padded_vocab_size is {sizes['padded_vocab_size']}, less than vocab_size, "
            f"{sizes['vocab_size']}"
        )
    return fields


def _places(sizes: Mapping[str, int]) -> dict[str, tuple[int, ...]]:
    """The tensors' shapes, in the file's order; `{}` in a name stands for the layer."""
    layers, width = sizes["n_layer"], sizes["n_embd"]
    block = {
        "ln_1.weight": (width,),
        "ln_1.bias": (width,),
        "attn.c_attn.weight": (3 * width, width),
        "attn.c_attn.bias": (3 * width,),
        "attn.c_proj.weight": (width, width),
        "attn.c_proj.bias": (width,),
        "ln_2.weight": (width,),
        "ln_2.bias": (width,),
        "mlp.c_fc.weight": (4 * width, width),
        "mlp.c_fc.bias": (4 * width,),
        "mlp.c_proj.weight": (width, 4 * width),
        "mlp.c_proj.bias": (width,),
    }
    return {
        _TABLE: (sizes["padded_vocab_size"], width),
        "transformer.wpe.weight": (sizes["n_positions"], width),
        **{f"transformer.h.{{}}.{name}": (layers, *shape) for name, shape in block.items()},
        "transformer.ln_f.weight": (width,),
        "transformer.ln_f.bias": (width,),
    }


def _arrays(
    data: mmap.mmap,
    dtype: DType,
    places: Mapping[str, tuple[int, ...]],
    sizes: Mapping[str, int],
) -> Iterator[tuple[str, npt.NDArray[Any]]]:
    numbers = np.frombuffer(data, dtype.bits, offset=_HEADER_BYTES)
    for name, shape in places.items():
        array, numbers = numbers[: prod(shape)].reshape(shape), numbers[prod(shape) :]
        if "{}" in name:
            yield from ((name.format(layer), part) for layer, part in enumerate(array))
        else:
            yield name, array[: sizes["vocab_size"]] if name == _TABLE else array
