"""`hparams.json`, in which OpenAI's release of GPT-2 states the model's sizes.

Source: https://github.com/openai/gpt-2, src/model.py, which also fixes what it does not state:
the activation, the 1e-5 of the layer norms, and the head that is the token embedding.
"""

from pathlib import Path
from typing import Any

from npgpt.checkpoints import strict_json
from npgpt.checkpoints.files import find, read_bytes
from npgpt.config import from_json
from npgpt.errors import ConfigError
from npgpt.quoting import kind

FILE_NAME = "hparams.json"
_NAMES = {
    "n_vocab": "vocab_size",
    "n_ctx": "n_positions",
    "n_embd": "n_embd",
    "n_head": "n_head",
    "n_layer": "n_layer",
}
_MOST = 2**31 - 1


def read(folder: Path) -> dict[str, Any] | None:
    """The fields of a config.json that the folder's hparams.json amounts to, None without one.

    Other fields (dropout rates, in files that came after OpenAI's) are ignored. Raises
    CheckpointError where it is no JSON object, and ConfigError for sizes that are missing, not
    whole numbers from 1 to 2^31-1 (for n_layer, 0), or no GPT-2's.
    """
    found = find(folder, FILE_NAME)
    if found is None:
        return None
    stated = strict_json.parse_object(read_bytes(found, strict_json.LIMIT), str(found))
    sizes: dict[str, Any] = {}
    for theirs, ours in _NAMES.items():
        if theirs not in stated:
            raise ConfigError(f"{found}: no {theirs}; fetch it from where the weights are from")
        size = stated[theirs]
        least = 0 if theirs == "n_layer" else 1
        # `type`, not `isinstance`: True is no size.
        if type(size) is not int or not least <= size <= _MOST:
            raise ConfigError(
                f"{found}: {theirs} is {kind(size)}; expected a whole number, {least} to {_MOST}"
            )
        sizes[ours] = size
    fields = {
        **sizes,
        "activation_function": "gelu_new",
        "layer_norm_epsilon": 1e-5,
        "tie_word_embeddings": True,
    }
    try:
        from_json(fields)
    except ConfigError as error:
        raise ConfigError(f"{found}: {error}") from error
    return fields
