"""nanoGPT's checkpoints: what `model_args`, beside the state dict in ckpt.pt, says of the model.

Source: model.py and train.py of https://github.com/karpathy/nanoGPT.
"""

from collections.abc import Iterable, Mapping
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
    return {field: arguments[name] for name, field in _FIELDS.items()}
