"""Golden vectors: small complete models with every number between a prompt and its tokens.

`write(folder)` writes them as safetensors and JSON, for a program in any language; README.md says
how to read them.
"""

from typing import TYPE_CHECKING

from oracle._lazy import lazy

if TYPE_CHECKING:
    from oracle.golden._cases import DecoderCase, ModelCase
    from oracle.golden._vectors import write

__all__ = ["DecoderCase", "ModelCase", "write"]

__getattr__ = lazy(
    __name__,
    {
        "DecoderCase": "_cases",
        "ModelCase": "_cases",
        "write": "_vectors",
    },
)


def __dir__() -> list[str]:
    return sorted(__all__)
