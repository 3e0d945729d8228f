"""llm.c's .bin: a header of 256 numbers, then all of each kind of tensor, layer after layer.

Version 3, float32; matrices are (out, in), and the token embedding has rows of zeros up to a
multiple of 128. Source: `write_model` in
https://github.com/karpathy/llm.c/blob/master/train_gpt2.py.
"""

from pathlib import Path

import numpy as np

from oracle.checkpoints._model_files import ModelFiles

MAGIC, VERSION, HEADER = 20240326, 3, 256
ROWS = 128  # the padded vocabulary is a multiple of it
BLOCK = ("ln_1", "attn.c_attn", "attn.c_proj", "ln_2", "mlp.c_fc", "mlp.c_proj")


def write_llmc(path: Path, files: ModelFiles, dtype: str = "float32") -> None:
    """Write the file, in float32 whatever `dtype` is: version 3 has no other."""
    config, weights = files.config, files.weights
    size, padded = config["vocab_size"], padded_size(config["vocab_size"])
    sizes = [config[n] for n in ("n_positions", "vocab_size", "n_layer", "n_head", "n_embd")]
    header = np.zeros(HEADER, "<i4")
    header[: 3 + len(sizes)] = [MAGIC, VERSION, *sizes, padded]
    arrays = [weights["wte.weight"], np.zeros((padded - size, config["n_embd"]))]
    arrays.append(weights["wpe.weight"])
    for part in BLOCK:
        for kind in ("weight", "bias"):
            arrays += [weights[f"h.{i}.{part}.{kind}"].T for i in range(config["n_layer"])]
    arrays += [weights["ln_f.weight"], weights["ln_f.bias"]]
    with path.open("wb") as file:
        file.write(header.tobytes())
        file.writelines(np.ascontiguousarray(array, "<f4").tobytes() for array in arrays)


def padded_size(size: int) -> int:
    """The rows of the token embedding in the file.

    >>> padded_size(50257), padded_size(128)
    (50304, 128)
    """
    return -(-size // ROWS) * ROWS
