"""NumPy's .npz: an array for each tensor, and the text of config.json in one of that name.

Source: https://numpy.org/doc/stable/reference/generated/numpy.savez.html
"""

import json
from pathlib import Path

import numpy as np

from oracle.checkpoints._model_files import ModelFiles

CONFIG = "config.json"


def write_npz(path: Path, files: ModelFiles, dtype: str = "float32") -> None:
    """Write the file, tensors under Hugging Face's names without "transformer."."""
    text = json.dumps({"model_type": "gpt2", **files.config}).encode()
    arrays = {name: np.asarray(array, dtype) for name, array in files.weights.items()}
    with path.open("wb") as file:  # an open file keeps its name: savez would add ".npz"
        np.savez(file, **{CONFIG: np.frombuffer(text, np.uint8)}, **arrays)  # type: ignore[arg-type]
