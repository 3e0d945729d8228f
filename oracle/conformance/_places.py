"""Borders: shapes with one large dimension each, at the sizes of tiles, blocks and pages.

Kernels go wrong at the borders of their tiles: at 16, 32, 64 … 1024 of whatever they tile, at one
below and one above. A `Place` is a shape in which one dimension is that large and all else is
small; the lists below are those that the checks ask of, and `_border_examples` fills them.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from oracle.adapters.claims import RELEASED_FLAGS, Claims

TILES = (16, 32, 64, 128, 256, 512, 1024)
VOCABULARY = 50257  # GPT-2's own
PADDED = 50304  # the next multiple of 64, to which many implementations pad its tables
SMALL: dict[str, Any] = {
    **RELEASED_FLAGS,
    "vocab_size": 11,
    "n_positions": 8,
    "n_embd": 8,
    "n_layer": 2,
    "n_head": 2,
    "activation_function": "gelu_new",
    "layer_norm_epsilon": 1e-5,
    "tie_word_embeddings": True,
}


@dataclass(frozen=True)
class Place:
    """A shape. large: what of it is, in words.

    fields: of the configuration, every one of them. rows, tokens: the shape of the batch.
    padding: of `strategies._tokens.PADDINGS`. vocabulary: so many ids are words, where the rest of
    the rows is there to fill a tile: zeros that no text holds.
    """

    large: str = field(compare=False)
    fields: tuple[tuple[str, Any], ...]
    rows: int = 1
    tokens: int = 6
    padding: str = "none"
    vocabulary: int | None = None

    @property
    def config(self) -> dict[str, Any]:
        """The configuration."""
        return dict(self.fields)

    def within(self, claims: Claims) -> "Place":
        """The nearest that is claimed, whose padding has to be."""
        config = claims.nearest(self.config)
        rows, tokens = claims.rows(self.rows), min(self.tokens, config["n_positions"])
        return replace(self, fields=tuple(config.items()), rows=rows, tokens=tokens)


def place(
    large: str,
    *,
    rows: int = 1,
    tokens: int = 6,
    padding: str = "none",
    vocabulary: int | None = None,
    **fields: Any,
) -> Place:
    """The place that is SMALL but for what is named; n_positions is `tokens` if that is more.

    >>> place("17 tokens", tokens=17).config["n_positions"]
    17
    """
    config = SMALL | {"n_positions": max(tokens, SMALL["n_positions"])} | fields
    return Place(large, tuple(config.items()), rows, tokens, padding, vocabulary)


def around(*sizes: int) -> list[int]:
    """One below, at and one above each of the sizes.

    >>> around(16, 32)
    [15, 16, 17, 31, 32, 33]
    """
    return [size + step for size in sizes for step in (-1, 0, 1)]


def claimed(places: Iterable[Place], claims: Claims) -> list[Place]:
    """The places within the claims, each once, in their order; those whose padding is not, go."""
    fitting = (p.within(claims) for p in places if claims.paddings((p.padding,)))
    return list(dict.fromkeys(fitting))


def row_of(tokens: int) -> Place:
    """One row so long, in a model with as many positions."""
    return place(f"{tokens} tokens", tokens=tokens, n_layer=2 if tokens < 300 else 1)


def heads_of(n_embd: int) -> int:
    """The number of heads nearest to their width: the divisor nearest to the root from below.

    >>> heads_of(1024), heads_of(768), heads_of(257)
    (32, 24, 1)
    """
    return max(n for n in range(1, int(n_embd**0.5) + 1) if n_embd % n == 0)


def width_of(n_embd: int) -> Place:
    """A model so wide, its MLP four times as wide."""
    layers = 2 if n_embd < 300 else 1
    large = f"n_embd {n_embd}"
    return place(large, tokens=3, n_embd=n_embd, n_head=heads_of(n_embd), n_layer=layers)


def head_of(head_dim: int) -> Place:
    """Two heads so wide."""
    return place(f"head_dim {head_dim}", n_embd=2 * head_dim, n_layer=1)


def heads(n_head: int) -> Place:
    """So many heads of width 4."""
    return place(f"n_head {n_head}", n_embd=4 * n_head, n_head=n_head)


def depth_of(n_layer: int) -> Place:
    """So many layers."""
    return place(f"n_layer {n_layer}", n_layer=n_layer)


def table_of(vocab_size: int) -> Place:
    """So many words; of the padded table's rows only GPT-2's are."""
    words = VOCABULARY if vocab_size == PADDED else None
    large = f"vocab_size {vocab_size}"
    return place(large, tokens=8, vocab_size=vocab_size, vocabulary=words, n_layer=1)


def batch_of(rows: int, *, tokens: int = 4) -> Place:
    """So many rows."""
    return place(f"{rows} rows of {tokens}", rows=rows, tokens=tokens, n_embd=4, n_layer=1)


def padded(padding: str, tokens: int, *, rows: int = 3) -> Place:
    """Rows of which the longest is so long, padded."""
    return place(f"{tokens} tokens, padding {padding}", rows=rows, tokens=tokens, padding=padding)


def inner_of(n_inner: int) -> Place:
    """An MLP so wide, in a narrow model."""
    return place(f"n_inner {n_inner}", n_inner=n_inner)


LONG = (
    *map(row_of, around(*TILES)),
    place("n_positions 1024", n_positions=1024),
    place("n_positions 1025", n_positions=1025),
)
WIDE = (
    *map(heads, (12, 16, 17, 20, 25, 32, 33)),
    *map(head_of, (63, 64, 65, 80, 96, 128, 129)),
    *map(width_of, around(*TILES)),
    place("n_embd 768", tokens=3, n_embd=768, n_head=12, n_layer=1),
    place("n_embd 1600", tokens=3, n_embd=1600, n_head=25, n_layer=1),
)
DEEP = tuple(map(depth_of, (12, 24, 48)))
TABLES = tuple(map(table_of, (*around(256, 1024, 4096), 32769, VOCABULARY, PADDED)))
BATCHES = (
    *map(batch_of, around(8, 16, 32, 64, 128, 256)),
    batch_of(4097, tokens=16),  # 2^16 queries, and one row more
)
GAPPED = tuple(
    padded(padding, tokens)
    for tokens, paddings in {
        17: ("left", "right"),
        33: ("left", "middle"),
        65: ("left", "right", "anywhere"),
        129: ("left", "both"),
        257: ("left",),
    }.items()
    for padding in paddings
)
SWITCHED = (
    *map(inner_of, around(*TILES)),
    inner_of(4096),
    *(
        place(f"n_inner 65, {activation}", n_inner=65, activation_function=activation)
        for activation in ("gelu", "relu", "silu", "gelu_pytorch_tanh", "swish")
    ),
    place("vocab_size 257, untied", vocab_size=257, tie_word_embeddings=False),
    place("65 tokens, upcast", tokens=65, reorder_and_upcast_attn=True),
    place("65 tokens, unscaled", tokens=65, scale_attn_weights=False),
    place("12 layers, by their number", n_layer=12, scale_attn_by_inverse_layer_idx=True),
)

# GPT-2 small as it was released, and a whole context.
GPT2 = place(
    "GPT-2 small",
    tokens=1024,
    n_layer=12,
    n_embd=768,
    n_head=12,
    vocab_size=VOCABULARY,
)

# A shape, and how many tokens each call reads of it.
Steps = tuple[Place, tuple[int, ...]]
STEPS: tuple[Steps, ...] = (
    # All but the last three at once, then one by one across the border.
    *((row_of(size + 1), (size - 2, 1, 1, 1)) for size in TILES),
    (row_of(129), (1,) * 129),
    (row_of(65), (32, 33)),
    (row_of(129), (64, 65)),
    (row_of(257), (100, 157)),
    (row_of(513), (16, 497)),
    (row_of(1024), (512, 512)),
    (row_of(1025), (1024, 1)),
    (row_of(1025), (1023, 2)),
)
WIDE_STEPS: tuple[Steps, ...] = (
    *((heads(n), (3, 1, 1, 1)) for n in (12, 25)),
    *((head_of(n), (3, 1, 1, 1)) for n in (64, 65, 80, 128)),
    *((width_of(n), (1, 1, 1)) for n in (63, 64, 257, 768)),
    *((depth_of(n), (3, 1, 1, 1)) for n in (12, 48)),
    *((batch_of(n), (2, 1, 1)) for n in (9, 17, 33, 65, 257)),
    (table_of(VOCABULARY), (5, 1, 1, 1)),
)
GAPPED_STEPS: tuple[Steps, ...] = tuple(
    (padded(padding, tokens), chunks)
    for padding, tokens, chunks in (
        ("left", 17, (14, 1, 1, 1)),
        ("left", 65, (62, 1, 1, 1)),
        ("left", 129, (64, 65)),
        ("right", 65, (33, 32)),
        ("anywhere", 65, (31, 1, 1, 32)),
    )
)
GPT2_STEPS: tuple[Steps, ...] = ((GPT2, (1020, 1, 1, 2)),)


def claimed_steps(steps: Sequence[Steps], claims: Claims) -> list[Steps]:
    """The steps within the claims, each once: those whose place keeps its length."""
    kept = [
        (p.within(claims), chunks)
        for p, chunks in steps
        if claims.paddings((p.padding,)) and p.within(claims).tokens == p.tokens
    ]
    return list(dict.fromkeys(kept))
