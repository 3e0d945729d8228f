"""Sizes of the models, rows and vocabularies that the checks ask of.

Kernels go wrong at the borders of their tiles, and a model of three layers and width 15 has none.
"toy": models so small that a failing example can be read. "borders": one dimension at a time at,
one below and one above the sizes of tiles, blocks and pages, the others small. "gpt2": a pass at
GPT-2 small's true shape. Each includes those before it.
"""

SIZES = ("toy", "borders", "gpt2")
DEFAULT = "borders"


def up_to_size(size: str) -> tuple[str, ...]:
    """The sizes that asking for `size` asks for.

    Raises ValueError for one that is not in `SIZES`.

    >>> up_to_size("borders")
    ('toy', 'borders')
    """
    if size not in SIZES:
        raise ValueError(f"no size is named {size!r}; the sizes are {', '.join(SIZES)}")
    return SIZES[: SIZES.index(size) + 1]
