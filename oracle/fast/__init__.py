"""GPT-2 in PyTorch made fast: weights laid out for it, a cache of fixed size, steps as CUDA graphs.

`Inference` is the model; it gives what `oracle.model` gives, within rounding.
"""

from typing import TYPE_CHECKING

from oracle._lazy import lazy

if TYPE_CHECKING:
    from oracle.fast._inference import Inference

__all__ = ["Inference"]

__getattr__ = lazy(
    __name__,
    {
        "Inference": "_inference",
    },
)


def __dir__() -> list[str]:
    return sorted(__all__)
