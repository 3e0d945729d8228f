"""Direct logit attribution (DLA): what each part of the model adds to a logit."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import NamedTuple

import numpy as np

from npgpt._arrays import Array, quiet
from npgpt._config import Config
from npgpt.audit._frozen_norm import Float64, before_norm, in_float64
from npgpt.audit.sites import Site
from npgpt.errors import SettingError
from npgpt.model._parameters import Parameters
from npgpt.trace import Recorder

ATTRIBUTION_NAMES = ("token_embedding", "position_embedding", "head_out", "mlp_out", "ln_f_scale")


class Part(NamedTuple):
    """What one part of the model adds to a logit; `str(part.site)` is its name."""

    site: Site
    value: float

    @property
    def kind(self) -> str:
        """The name without its numbers: head, attn_bias, mlp_post, mlp_bias, ..."""
        return str(self.site).partition(" ")[0]


@dataclass(frozen=True, eq=False)
class Attribution:
    """The parts of a logit, in float64; `total` is their sum.

    What attention adds is its heads and attn_bias, what an MLP adds mlp_post and mlp_bias: each
    time through c_proj, and the bias of that. ln_f_bias is the final layer norm's.
    """

    token_embedding: Float64  # batch, query
    position_embedding: Float64  # batch, query
    head: Float64  # layer, head, batch, query
    attn_bias: Float64  # layer, batch, query
    mlp_post: Float64  # layer, batch, query
    mlp_bias: Float64  # layer, batch, query
    ln_f_bias: Float64  # batch, query

    @property
    def total(self) -> Float64:
        """(batch, query)."""
        parts = (getattr(self, field.name) for field in fields(self))
        sums = [part.sum(axis=tuple(range(part.ndim - 2))) for part in parts]
        total: Float64 = np.sum(sums, axis=0)
        return total

    def parts(self, position: int = -1, *, row: int = 0) -> list[Part]:
        """Each part at a position of a row by itself, in the order of the forward pass."""

        def part(
            values: Float64, name: str, layer: int | None = None, *at: tuple[str, int]
        ) -> Part:
            return Part(Site(name, layer, at), float(values[row, position]))

        parts = [
            part(self.token_embedding, "token_embedding"),
            part(self.position_embedding, "position_embedding"),
        ]
        for layer, heads in enumerate(self.head):
            parts += [part(head, "head_out", layer, ("head", n)) for n, head in enumerate(heads)]
            parts.append(part(self.attn_bias[layer], "attn_bias", layer))
            parts.append(part(self.mlp_post[layer], "mlp_post", layer))
            parts.append(part(self.mlp_bias[layer], "mlp_bias", layer))
        return [*parts, part(self.ln_f_bias, "ln_f_bias")]


def largest_first(parts: Iterable[Part]) -> list[Part]:
    """Parts by the size of what they add, NaN before all."""
    return sorted(parts, key=lambda part: size_order(part.value))


def size_order(value: float) -> float:
    """What sorts numbers so that the largest in size comes first, and NaN before it."""
    return -np.inf if np.isnan(value) else -abs(value)


def attribute(
    trace: Recorder, parameters: Parameters, config: Config, direction: Array
) -> Attribution:
    """What each part adds to `ln_f · direction` at each position of a recorded pass.

    trace: a whole pass with the names of `ATTRIBUTION_NAMES`. direction (embd), or anything that
    repeats to (batch, query, embd): for a token's logit its row of the head
    (`frozen_norm.unembedding`), for the difference of two logits the difference of their rows.

    The final layer norm is held to the scale that it had in this pass, which makes it linear:
    `part · P(w · d / s)`, P the projection that takes the mean away (`frozen_norm.before_norm`). So
    the parts sum to the logit but for rounding, and are linear in the direction. They say what is
    written, not what would happen without the part: that takes an ablation. Where a pass was
    patched in "attn_out", in a residual stream or in the final norm, the parts are not its logit's.

    Source: Elhage et al. 2021, "A Mathematical Framework for Transformer Circuits".

    Raises SettingError for what was not recorded, or only of some positions.
    """
    scale, token = trace["ln_f_scale"], trace["token_embedding"]
    if scale.shape[:2] != token.shape[:2]:
        raise SettingError(
            f"the final norm was recorded of {scale.shape[1]} positions, the embedding of "
            f"{token.shape[1]}; record a pass that keeps all hidden states"
        )
    with quiet():
        toward = before_norm(np.broadcast_to(direction, token.shape), scale, parameters)
        blocks = range(config.n_layer)
        mlp_bias = [in_float64(parameters.h[layer].mlp.c_proj.bias) for layer in blocks]
        attn_bias = [in_float64(parameters.h[layer].attn.c_proj.bias) for layer in blocks]
        mlp = [trace["mlp_out", layer] - mlp_bias[layer] for layer in blocks]
        heads = [_heads(trace, parameters, layer, toward) for layer in blocks]
        last = direction.astype(np.float64) * in_float64(parameters.ln_f.bias)
        places = token.shape[:2]
        return Attribution(
            token_embedding=_along(token, toward),
            position_embedding=_along(trace["position_embedding"], toward),
            head=np.reshape(heads, (config.n_layer, config.n_head, *places)),
            attn_bias=np.reshape([_along(b, toward) for b in attn_bias], (-1, *places)),
            mlp_post=np.reshape([_along(m, toward) for m in mlp], (-1, *places)),
            mlp_bias=np.reshape([_along(b, toward) for b in mlp_bias], (-1, *places)),
            ln_f_bias=np.broadcast_to(last.sum(axis=-1), places),
        )


def neuron_attribution(
    trace: Recorder, parameters: Parameters, layer: int, direction: Array
) -> Float64:
    """What each neuron of a layer adds to `ln_f · direction`: (batch, query, inner).

    trace: a whole pass with "mlp_post" and "ln_f_scale". They sum to the layer's
    `Attribution.mlp_post`.
    """
    post, scale = trace["mlp_post", layer], trace["ln_f_scale"]
    with quiet():
        toward = before_norm(np.asarray(direction), scale, parameters)
        added: Float64 = post * (toward @ in_float64(parameters.h[layer].mlp.c_proj.weight).T)
    return added


def _along(part: Array, toward: Float64) -> Float64:
    products: Float64 = np.add.reduce(part * toward, axis=-1)
    return products


def _heads(trace: Recorder, parameters: Parameters, layer: int, toward: Float64) -> Float64:
    """(head, batch, query)."""
    out = trace["head_out", layer]
    batch, head, query, width = out.shape
    back = toward @ in_float64(parameters.h[layer].attn.c_proj.weight).T
    back = back.reshape(batch, query, head, width).transpose(0, 2, 1, 3)
    return _along(out, back).swapaxes(0, 1)
