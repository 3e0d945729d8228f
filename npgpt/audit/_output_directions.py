"""Output directions of heads and neurons in the residual stream, and the tokens they promote."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from npgpt._arrays import Array, quiet
from npgpt._config import Config
from npgpt.audit._frozen_norm import Float64, in_float64
from npgpt.errors import SettingError
from npgpt.model._parameters import Parameters
from npgpt.trace import check_place

_ROWS = 4096  # of the head in float64 at once


def neuron_direction(parameters: Parameters, config: Config, layer: int, neuron: int) -> Float64:
    """What a neuron adds to the residual stream for each unit of its mlp_post: (embd)."""
    check_place("mlp_post", layer, config.n_layer)
    if type(neuron) is not int or not 0 <= neuron < config.inner:
        raise SettingError(f"neuron is {neuron!r}; give one of 0 to {config.inner - 1}")
    return in_float64(parameters.h[layer].mlp.c_proj.weight[neuron])


def head_results(head_out: Array, parameters: Parameters, layer: int) -> Float64:
    """What each head adds to the residual stream, without c_proj's bias.

    head_out (batch, head, query, head_dim), of that layer -> (batch, head, query, embd):
    TransformerLens's hook_result, but for the order of axes.
    """
    _, head, _, width = head_out.shape
    weight = in_float64(parameters.h[layer].attn.c_proj.weight)
    with quiet():
        results: Float64 = head_out.astype(np.float64) @ weight.reshape(head, width, -1)
    return results


def top_tokens(
    written: Array, parameters: Parameters, *, k: int = 10
) -> tuple[npt.NDArray[np.intp], Float64]:
    """The k tokens whose logits a vector of the residual stream raises most, and by how much.

    written (..., embd) -> ids and logits (..., k), the highest first, of equal ones the lower id.
    What is added to a logit is `written · P(w · row / s)`, as in attribution, for a scale s of 1:
    divide by the scale that the final layer norm has in a text. Give −written for the lowest.

    Source: Geva et al. 2022, "Transformer Feed-Forward Layers Build Predictions by Promoting
    Concepts in the Vocabulary Space"; the final norm's mean and weight are taken along here.
    """
    rows = parameters.lm_head.weight
    if type(k) is not int or not 1 <= k <= len(rows):
        raise SettingError(f"k is {k!r}; give 1 to {len(rows)}, the number of tokens")
    # In float64 all rows at once would take more memory than a model may.
    blocks = [rows[first : first + _ROWS] for first in range(0, len(rows), _ROWS)]
    with quiet():
        centred = written - np.mean(written, axis=-1, keepdims=True, dtype=np.float64)
        toward = centred * in_float64(parameters.ln_f.weight)
        logits = np.concatenate([toward @ in_float64(block).T for block in blocks], axis=-1)
    ids = np.argsort(-logits, axis=-1, kind="stable")[..., :k]
    return ids, np.take_along_axis(logits, ids, axis=-1)
