"""Activations (hook points) of a forward pass: names, axes, meaning, TransformerLens's names."""

import difflib
import math
import re
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from typing import NamedTuple, TypeAlias

from npgpt._quoting import quoted
from npgpt.errors import SettingError

Key: TypeAlias = tuple[str, int | None]  # a name and a layer


class Activation(NamedTuple):
    """What an activation is: its axes, its meaning, and TransformerLens's name of it.

    TransformerLens puts `blocks.{layer}.` before the names inside blocks. Its numbers are these
    where it loads a model by `from_pretrained_no_processing`, but for `hook_normalized`, which from
    release 3.0 on comes before the layer norm's gain and bias. `from_pretrained` changes the
    weights, though not what they predict: then also the residual stream lacks its mean, and logits
    are shifted by one number for each position. Its hook_q, hook_k, hook_v and hook_z have the axes
    (batch, query, head, head_dim).
    """

    axes: str
    meaning: str
    lens: str


_STREAM, _HEADS, _LOOKS = "batch query embd", "batch head query head_dim", "batch head query key"
_SCALE = "sqrt(variance + layer_norm_epsilon), which the layer norm divides by"

# Every activation that a tap sees, in the order of the forward pass.
OUTSIDE_BLOCKS = {
    "token_embedding": Activation(_STREAM, "wte[tokens]", "hook_embed"),
    "position_embedding": Activation(_STREAM, "wpe[positions]", "hook_pos_embed"),
    "ln_f_scale": Activation("batch query one", _SCALE, "ln_final.hook_scale"),
    "ln_f": Activation(_STREAM, "layer norm of the last resid_post", "ln_final.hook_normalized"),
    # TransformerLens has no hook there: it is what the model returns.
    "logits": Activation("batch kept vocab", "ln_f @ lm_head^T", ""),
}
INSIDE_BLOCKS = {
    "resid_pre": Activation(_STREAM, "what the block reads", "hook_resid_pre"),
    "ln_1_scale": Activation("batch query one", _SCALE, "ln1.hook_scale"),
    "ln_1": Activation(_STREAM, "layer norm of resid_pre", "ln1.hook_normalized"),
    "query": Activation(_HEADS, "ln_1 @ W + b, before it is scaled", "attn.hook_q"),
    "key": Activation(_HEADS, "the same, of the new positions only", "attn.hook_k"),
    "value": Activation(_HEADS, "the same, of the new positions only", "attn.hook_v"),
    "scores": Activation(_LOOKS, "scaled; -inf where it may not look", "attn.hook_attn_scores"),
    "pattern": Activation(_LOOKS, "softmax(scores)", "attn.hook_pattern"),
    # After c_proj, which TransformerLens calls hook_result: audit.output_directions.head_results.
    "head_out": Activation(_HEADS, "pattern @ value", "attn.hook_z"),
    "attn_out": Activation(_STREAM, "what attention adds to the stream", "hook_attn_out"),
    "resid_mid": Activation(_STREAM, "resid_pre + attn_out", "hook_resid_mid"),
    "ln_2_scale": Activation("batch query one", _SCALE, "ln2.hook_scale"),
    "ln_2": Activation(_STREAM, "layer norm of resid_mid", "ln2.hook_normalized"),
    "mlp_pre": Activation("batch query inner", "before the activation function", "mlp.hook_pre"),
    "mlp_post": Activation("batch query inner", "after it", "mlp.hook_post"),
    "mlp_out": Activation(_STREAM, "what the MLP adds to the stream", "hook_mlp_out"),
    "resid_post": Activation(_STREAM, "resid_mid + mlp_out", "hook_resid_post"),
}
NAMES = OUTSIDE_BLOCKS | INSIDE_BLOCKS
_BEFORE_BLOCKS = ("token_embedding", "position_embedding")


def keys(layers: int) -> list[Key]:
    """Every (name, layer) of a model of so many layers, in the order of the forward pass.

    >>> keys(1)[1:4], len(keys(12))
    ([('position_embedding', None), ('resid_pre', 0), ('ln_1_scale', 0)], 209)
    """
    before: list[Key] = [(name, None) for name in _BEFORE_BLOCKS]
    after: list[Key] = [(name, None) for name in OUTSIDE_BLOCKS if name not in _BEFORE_BLOCKS]
    return [*before, *((name, at) for at in range(layers) for name in INSIDE_BLOCKS), *after]


def in_order(keys: Iterable[Key]) -> list[Key]:
    """These (name, layer) in the order of the forward pass.

    >>> in_order([("ln_f", None), ("ln_1", 1), ("mlp_out", 0), ("token_embedding", None)])
    [('token_embedding', None), ('mlp_out', 0), ('ln_1', 1), ('ln_f', None)]
    """
    positions = {name: position for position, name in enumerate(NAMES)}

    def order(key: Key) -> tuple[float, int]:
        name, layer = key
        outside = -1 if name in _BEFORE_BLOCKS else math.inf
        return outside if layer is None else layer, positions[name]

    return sorted(keys, key=order)


def label(name: str, layer: int | None) -> str:
    """An activation in one word, which is also a pattern that only it fits: "ln_1.3", "logits"."""
    return name if layer is None else f"{name}.{layer}"


def check_place(name: str, layer: int | None, layers: int) -> None:
    """Raise SettingError unless a model of so many layers has an activation of that name there.

    >>> check_place("resid_prr", 0, 12)
    Traceback (most recent call last):
    npgpt.errors.SettingError: no activation is named 'resid_prr'; did you mean 'resid_pre'?
    """
    if name not in NAMES:
        raise SettingError(f"no activation is named {quoted(name)}; {hint(name)}")
    if name in OUTSIDE_BLOCKS and layer is not None:
        raise SettingError(f"{name!r} is outside the blocks, but layer is {layer!r}; give None")
    if name in INSIDE_BLOCKS and (type(layer) is not int or not 0 <= layer < layers):
        raise SettingError(
            f"layer of {name!r} is {layer!r}; the model has {layers}"
            + (f": give one of 0 to {layers - 1}" if layers else "")
        )


def check_patterns(patterns: Sequence[str], layers: int | None = None) -> None:
    """Raise SettingError for a pattern that fits no activation of a model of so many layers."""
    for pattern in patterns:
        name, dot, layer = pattern.partition(".")
        names = [names for names in (INSIDE_BLOCKS if dot else NAMES) if fnmatchcase(names, name)]
        if not names:
            inside = " inside the blocks" if dot and name in OUTSIDE_BLOCKS else ""
            shown = quoted(pattern)
            raise SettingError(f"no activation{inside} is named {shown}; {hint(pattern)}")
        if dot and not re.fullmatch("[0-9]{1,9}", layer):
            raise SettingError(
                f"{quoted(pattern)} ends in {quoted(layer)}; write the number of a layer after the "
                f"dot, as in '{names[0]}.0'"
            )
        if dot and layers is not None:
            check_place(names[0], int(layer), layers)


def hint(name: str) -> str:
    """What somebody may have meant who wrote this name."""
    lens_names = {activation.lens: known for known, activation in NAMES.items() if activation.lens}
    lens_names |= {lens.rpartition(".")[2]: known for lens, known in lens_names.items()}
    near = difflib.get_close_matches(name.partition(".")[0], NAMES, n=1)
    near = near or [lens_names[n] for n in difflib.get_close_matches(name, lens_names, n=1)]
    return f"did you mean {near[0]!r}?" if near else f"the names are {', '.join(NAMES)}"


def explain_name(name: str) -> str:
    """What an activation is, on a few lines; also TransformerLens's names are understood.

    Raises SettingError for a name that no activation has.

    >>> print(explain_name("hook_resid_mid"))
    resid_mid, of each layer
    axes: batch, query, embd
    what it is: resid_pre + attn_out
    TransformerLens: blocks.{layer}.hook_resid_mid
    """
    for known, activation in NAMES.items():
        if name in (known, activation.lens, f"blocks.{{layer}}.{activation.lens}") and name:
            is_inside = known in INSIDE_BLOCKS
            lens = "blocks.{layer}." * is_inside + activation.lens if activation.lens else "none"
            return (
                f"{known}, {'of each layer' if is_inside else 'outside the layers'}\n"
                f"axes: {', '.join(activation.axes.split())}\n"
                f"what it is: {activation.meaning}\n"
                f"TransformerLens: {lens}"
            )
    raise SettingError(f"no activation is named {quoted(name)}; {hint(name)}")
