"""nanoGPT's checkpoints: what `model_args`, beside the state dict in ckpt.pt, says of the model.

Its first models had the tanh form of GELU, those since June 2023 the exact one, and no file says
which. `model_args` has had `bias` since February 2023, so without it the form is the first. From
the months between there is nothing to tell it by; torch 2.1, whose archives have a byteorder, is
of after them.

Source: model.py and train.py of https://github.com/karpathy/nanoGPT, and their history.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from npgpt._quoting import kind, quoted
from npgpt.errors import CheckpointError

_FIELDS = {
    "n_layer": "n_layer",
    "n_head": "n_head",
    "n_embd": "n_embd",
    "block_size": "n_positions",
    "vocab_size": "vocab_size",
}
_OTHERS = ("bias", "dropout")
_ACTIVATION = "activation_function"


def nanogpt_config(
    arguments: Mapping[Any, Any], names: Iterable[str], where: str
) -> dict[str, Any]:
    """The fields of config.json that `model_args` states, for the tensors of these names.

    Raises CheckpointError, starting with `where`, for a field that nanoGPT lacks, which could
    change what the model computes, for one that is missing, and where `bias` is not what the
    tensors say.

    >>> sizes = {"n_layer": 1, "n_head": 1, "n_embd": 2, "block_size": 8, "vocab_size": 5}
    >>> nanogpt_config(sizes, [], "an example")["n_positions"]
    8
    """
    strange = [name for name in arguments if name not in (*_FIELDS, *_OTHERS)]
    if strange:
        shown = ", ".join(quoted(n) if isinstance(n, str) else kind(n) for n in strange[:9])
        raise CheckpointError(
            f"{where}: model_args holds {shown}, which nanoGPT does not; npgpt cannot tell what "
            "that changes"
        )
    missing = [name for name in _FIELDS if name not in arguments]
    if missing:
        raise CheckpointError(f"{where}: model_args lacks {', '.join(missing)}")
    bias, has_biases = arguments.get("bias"), any(name.endswith("ln_f.bias") for name in names)
    if bias is not None and (not isinstance(bias, bool) or bias != has_biases):
        there = "are biases" if has_biases else "is no ln_f.bias"
        raise CheckpointError(f"{where}: bias is {kind(bias)} in model_args, but there {there}")
    fields = {field: arguments[name] for name, field in _FIELDS.items()}
    return fields if "bias" in arguments else fields | {_ACTIVATION: "gelu_new"}


def nanogpt_doubts(config: Mapping[str, Any] | None, path: Path) -> dict[str, str]:
    """What a checkpoint of nanoGPT's with this config leaves open, written before torch 2.1."""
    if config is None or _ACTIVATION in config:
        return {}
    return {
        _ACTIVATION: f"{path}: does not say which GELU it was trained with; taken for the exact "
        "form, which nanoGPT has since June 2023. Write a config.json beside it that holds "
        f'{{"{_ACTIVATION}": "gelu_new"}} if it is older, or "gelu" if it is not'
    }
