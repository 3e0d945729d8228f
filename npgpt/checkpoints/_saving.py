"""Saving a model as a folder that npgpt and Hugging Face's transformers open."""

import json
import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from npgpt._config import Config, to_json
from npgpt._kernels.upcast import upcast
from npgpt.checkpoints._configuration import CONFIG
from npgpt.checkpoints._dialects import HEAD, PREFIX
from npgpt.checkpoints._files import replacing
from npgpt.checkpoints._loading import GENERATION_CONFIG
from npgpt.checkpoints._safetensors import write_safetensors
from npgpt.checkpoints._tensors import DTYPES
from npgpt.checkpoints._weights import FILE_NAMES
from npgpt.errors import CheckpointError, SettingError
from npgpt.model._parameters import Parameters, from_arrays, to_arrays
from npgpt.tokenizer._encoding import Tokenizer
from npgpt.tokenizer._files import ADDED_TOKENS
from npgpt.tokenizer._files import save as save_tokenizer

STORAGE = tuple(dtype.name for dtype in DTYPES if dtype.holds_weights)
_TOKEN_IDS = ("bos_token_id", "eos_token_id", "pad_token_id")


def save(
    folder: str | os.PathLike[str],
    config: Config,
    parameters: Parameters,
    tokenizer: Tokenizer | None = None,
    *,
    dtype: str = "float32",
    generation_config: Mapping[str, Any] | None = None,
) -> None:
    """Write model.safetensors, config.json, generation_config.json and the tokenizer's files.

    The weights are rounded to `dtype`: float64, float32, float16 or bfloat16. They are named as
    GPT2LMHeadModel names them; a tied head is not written. `generation_config` defaults to the
    config's special tokens. The folder is made if need be; files of these names in it are
    replaced, and only once all of the new ones are written, so that an error leaves all as it was;
    `replace_all` says what holds for other interruptions. Two processes that save here do so one
    after the other.

    Raises SettingError for another dtype, and CheckpointError where the parameters are not those
    of the config, where a weight is too large for `dtype`, and where a file cannot be written.
    """
    from npgpt.checkpoints._replace_all import replace_all  # which opening a model does not need

    if dtype not in STORAGE:
        raise SettingError(f"dtype is {dtype!r}; choose from {', '.join(STORAGE)}")
    arrays = to_arrays(parameters)
    from_arrays(arrays, config)
    renamed = {
        # The writer takes floats, and bfloat16 is kept as its bits.
        n if n == HEAD else PREFIX + n: upcast(a) if a.dtype == np.uint16 else a
        for n, a in arrays.items()
    }
    fields = to_json(config) | {"torch_dtype": dtype}
    if generation_config is None:
        generation_config = {n: fields[n] for n in _TOKEN_IDS if fields[n] is not None}
    home = Path(folder)
    missing = [above for above in (home, *home.parents) if not os.path.lexists(above)]
    try:
        home.mkdir(parents=True, exist_ok=True)
        stale = () if tokenizer is None else (ADDED_TOKENS,)
        with replace_all(home, key=CONFIG, stale=stale) as draft:
            write_safetensors(draft / FILE_NAMES[0], renamed, dtype=dtype)
            _write_json(draft / CONFIG, fields)
            _write_json(draft / GENERATION_CONFIG, generation_config)
            if tokenizer is not None:
                save_tokenizer(tokenizer, draft)
    except OSError as error:
        _remove_empty(missing)
        raise CheckpointError(f"{home}: cannot be written ({error.strerror})") from error
    except BaseException:
        _remove_empty(missing)
        raise


def _remove_empty(folders: Iterable[Path]) -> None:
    for folder in folders:
        with suppress(OSError):
            folder.rmdir()


def _write_json(path: Path, fields: Mapping[str, Any]) -> None:
    with replacing(path) as file:
        file.write(json.dumps(fields, indent=2, sort_keys=True).encode() + b"\n")
