"""The oracle's PyTorch path, made for inference, on the CPU or a GPU."""

import functools
from collections.abc import Callable
from typing import Any

import torch
from safetensors.torch import load_file

from oracle.bench._contest import Contestant, Setup
from oracle.bench._sizes import config
from oracle.bench._tasks import Generate, Rows, curve_tasks, decoding_tasks


def contestant(setup: Setup) -> Contestant:
    """Greedy; one preallocated cache for each batch."""
    from oracle.fast._inference import Inference

    @functools.cache
    def weights() -> dict[str, torch.Tensor]:
        file = load_file(setup.weights() / "model.safetensors")
        return {name.removeprefix("transformer."): tensor for name, tensor in file.items()}

    @functools.cache
    def engine(batch: int, dtype: torch.dtype) -> Any:
        return Inference(
            weights(),
            config(setup.shape),
            batch=batch,
            length=setup.shape.positions,
            dtype=dtype,
            device=setup.device,
        )

    float32 = _generate(lambda batch: engine(batch, torch.float32))
    if setup.device == "cpu":
        tasks = {**decoding_tasks(float32, setup), **curve_tasks(float32, setup)}
    else:
        bfloat16 = _generate(lambda batch: engine(batch, torch.bfloat16))
        tasks = {
            **decoding_tasks(float32, setup, suffix="-float32"),
            **decoding_tasks(bfloat16, setup, suffix="-bfloat16"),
            **curve_tasks(bfloat16, setup),
        }
    return Contestant(f"PyTorch path, PyTorch {torch.__version__}", tasks)


def _generate(engine_of: Callable[[int], Any]) -> Generate:
    def generate(rows: Rows, new: int, *, beams: int = 1) -> Rows:
        if beams > 1:
            raise ValueError("this path has no beams")
        return engine_of(len(rows)).generate(rows, new).tolist()

    return generate
