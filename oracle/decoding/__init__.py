"""Decoding in PyTorch: whole rows in, no cache, no state, so that nothing can go stale.

`generate` runs the decoder that the settings ask for over a `LanguageModel`; `process` is all
logits processors in their order; `processors` and `filters` have them one by one, as pure
functions.
"""

from typing import TYPE_CHECKING

from oracle.lazy import lazy

if TYPE_CHECKING:
    from oracle.decoding.brute_force import best_texts
    from oracle.decoding.decoders import decoder_of, generate
    from oracle.decoding.generation import Generation
    from oracle.decoding.language_model import LanguageModel, from_weights
    from oracle.decoding.pipeline import Stage, process, stages

__all__ = [
    "Generation",
    "LanguageModel",
    "Stage",
    "best_texts",
    "decoder_of",
    "from_weights",
    "generate",
    "process",
    "stages",
]

__getattr__ = lazy(
    __name__,
    {
        "Generation": "generation",
        "LanguageModel": "language_model",
        "Stage": "pipeline",
        "best_texts": "brute_force",
        "decoder_of": "decoders",
        "from_weights": "language_model",
        "generate": "decoders",
        "process": "pipeline",
        "stages": "pipeline",
    },
)


def __dir__() -> list[str]:
    return sorted(__all__)
