"""Looking at, and changing, the numbers inside a forward pass.

A *tap* is any function `(name, layer, array) -> array`. The forward pass hands every activation
named in `NAMES` to it and goes on with what comes back: return the array itself to look, another
one of the same shape and dtype to patch. `layer` is None outside the blocks.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import TypeAlias

from npgpt.arrays import Array
from npgpt.errors import SettingError

Tap: TypeAlias = Callable[[str, int | None, Array], Array]

# Every activation that a tap sees, in the order of the forward pass, with its axes.
OUTSIDE_BLOCKS = {
    "token_embedding": "(batch, query, embd)  wte[tokens]",
    "position_embedding": "(batch, query, embd)  wpe[positions]",
    "ln_f": "(batch, query, embd)  final layer norm of the last resid_post",
    "logits": "(batch, kept, vocab)  ln_f @ lm_head^T",
}
INSIDE_BLOCKS = {
    "resid_pre": "(batch, query, embd)  what the block reads",
    "ln_1": "(batch, query, embd)  layer norm of resid_pre",
    "query": "(batch, head, query, head_dim)",
    "key": "(batch, head, query, head_dim)  of the new positions only",
    "value": "(batch, head, query, head_dim)  of the new positions only",
    "scores": "(batch, head, query, key)  scaled; -inf where a query may not look",
    "pattern": "(batch, head, query, key)  softmax(scores)",
    "head_out": "(batch, head, query, head_dim)  pattern @ value",
    "attn_out": "(batch, query, embd)  what attention adds to the residual stream",
    "resid_mid": "(batch, query, embd)  resid_pre + attn_out",
    "ln_2": "(batch, query, embd)  layer norm of resid_mid",
    "mlp_pre": "(batch, query, inner)  before the activation function",
    "mlp_post": "(batch, query, inner)  after it",
    "mlp_out": "(batch, query, embd)  what the MLP adds to the residual stream",
    "resid_post": "(batch, query, embd)  resid_mid + mlp_out",
}
NAMES = OUTSIDE_BLOCKS | INSIDE_BLOCKS


def discard(name: str, layer: int | None, array: Array) -> Array:
    """The tap that does nothing: the default of every forward pass."""
    return array


@dataclass(frozen=True)
class Recorder:
    """A tap that keeps a copy of each activation whose name matches one of `patterns`.

    `recorder[name]` or `recorder[name, layer]` gives the array of the latest call. Patterns are
    shell-style (`"resid_*"`, `"*"`).

    >>> import numpy as np
    >>> recorder = Recorder(("resid_*",))
    >>> _ = recorder("resid_pre", 0, np.zeros(2))
    >>> _ = recorder("ln_1", 0, np.zeros(2))
    >>> sorted(recorder.arrays)
    [('resid_pre', 0)]
    """

    patterns: tuple[str, ...] = ("*",)
    arrays: dict[tuple[str, int | None], Array] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for pattern in self.patterns:
            if not any(fnmatchcase(name, pattern) for name in NAMES):
                raise SettingError(
                    f"no activation is named {pattern!r}; the names are {', '.join(NAMES)}"
                )

    def __call__(self, name: str, layer: int | None, array: Array) -> Array:
        """Copy the array if its name is asked for, and hand the array on unchanged."""
        if any(fnmatchcase(name, pattern) for pattern in self.patterns):
            self.arrays[name, layer] = array.copy()
        return array

    def __getitem__(self, key: str | tuple[str, int | None]) -> Array:
        return self.arrays[(key, None) if isinstance(key, str) else key]
