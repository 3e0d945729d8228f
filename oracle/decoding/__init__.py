"""Decoding in PyTorch: whole rows in, no cache, no state, so that nothing can go stale.

`generate` runs the decoder that the settings ask for over a `LanguageModel`; `process` is all
logits processors in their order; `processors` and `filters` have them one by one, as pure
functions.
"""

from typing import TYPE_CHECKING

from oracle._lazy import lazy

if TYPE_CHECKING:
    from oracle.decoding._brute_force import best_texts
    from oracle.decoding._decoders import decoder_of, generate
    from oracle.decoding._generation import Generation
    from oracle.decoding._language_model import LanguageModel, from_weights
    from oracle.decoding._pipeline import Stage, process, stages

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
        "Generation": "_generation",
        "LanguageModel": "_language_model",
        "Stage": "_pipeline",
        "best_texts": "_brute_force",
        "decoder_of": "_decoders",
        "from_weights": "_language_model",
        "generate": "_decoders",
        "process": "_pipeline",
        "stages": "_pipeline",
    },
)


def __dir__() -> list[str]:
    return sorted(__all__)
