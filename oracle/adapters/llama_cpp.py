"""llama.cpp through llama-cpp-python: an engine that loads a GGUF file.

Source: https://llama-cpp-python.readthedocs.io/en/latest/api-reference/
"""

from pathlib import Path
from typing import Any

import llama_cpp
import numpy as np

from oracle.adapters.claims import Claims
from oracle.adapters.loads_files import FileEngine, loads_files

F32, F16 = 0, 1  # ggml's types of keys and values


def subject(*, dtype: str = "float32") -> FileEngine:
    """llama.cpp on files of float32, or float16; so are its keys and values."""
    cache = F32 if dtype == "float32" else F16

    def load(path: Path) -> dict[str, Any]:
        options = {"n_ctx": 0, "n_threads": 1, "type_k": cache, "type_v": cache}
        model = llama_cpp.Llama(str(path), logits_all=True, verbose=False, **options)

        def row(tokens: Any) -> Any:
            model.reset()
            model.eval(list(map(int, tokens)))
            return model.scores[: len(tokens)].copy()

        return {"logits": lambda tokens: np.array([row(one) for one in tokens])}

    # It aborts where there is no layer, and where a head is 1 wide.
    claims = Claims(min_n_layer=1, head_dims=[2, 3, 4, 5, 64, 80, 128])
    name = f"llama.cpp of llama-cpp-python {llama_cpp.__version__}"
    return loads_files("gguf", load, name=name, dtype=dtype, claims=claims)
