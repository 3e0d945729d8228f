"""Taps: looking at, and changing, the activations inside a forward pass.

A *tap* (what others call a hook) is any function `(name, layer, array) -> array`. The forward pass
hands every activation named in `NAMES` to it and goes on with what comes back: return the array
itself to look, another one of the same shape and dtype to patch. `layer` is None outside the
blocks.

Some activations are made only for taps: `scores`, `pattern`, the scales of layer norms. A tap may
have a method `wants(name, layer) -> bool`; those that it does not want are then left out, which
takes less time and memory and changes no bit of the rest.

In reading order: `activations` is the table of names, with axes, meaning and TransformerLens's name
of each; `taps` what a tap is, and how several become one; `recorder` the tap that keeps what it
sees.
"""

from npgpt.trace._activations import (
    INSIDE_BLOCKS,
    NAMES,
    OUTSIDE_BLOCKS,
    Activation,
    Key,
    check_patterns,
    check_place,
    explain_name,
    in_order,
    keys,
    label,
)
from npgpt.trace._recorder import Recorder
from npgpt.trace._taps import Selective, Tap, compose, discard, wants

__all__ = [
    "INSIDE_BLOCKS",
    "NAMES",
    "OUTSIDE_BLOCKS",
    "Activation",
    "Key",
    "Recorder",
    "Selective",
    "Tap",
    "check_patterns",
    "check_place",
    "compose",
    "discard",
    "explain_name",
    "in_order",
    "keys",
    "label",
    "wants",
]
