"""What the model would say if it stopped here."""

from npgpt.arrays import Array, quiet
from npgpt.config import Config
from npgpt.model.parameters import Parameters
from npgpt.ops.layer_norm import layer_norm
from npgpt.ops.linear import linear
from npgpt.trace import Recorder


def logit_lens(residual: Array, parameters: Parameters, config: Config) -> Array:
    """`ln_f(x) @ lm_headᵀ`: the logits of a residual stream at any depth.

    residual (batch, query, embd) -> (batch, query, vocab), in its dtype. That of the last
    resid_post, as it was computed, gives the model's logits, bit for bit.

    Source: nostalgebraist 2020, "interpreting GPT: the logit lens".

    >>> import numpy as np
    >>> from npgpt.model.parameters import from_arrays, shapes
    >>> tiny = Config(vocab_size=3, n_positions=3, n_embd=2, n_head=1, n_layer=0)
    >>> ones = {name: np.ones(shape) for name, shape in shapes(tiny).items()}
    >>> weights = from_arrays(ones | {"wte.weight": np.array([[1.0, 0], [0, 1], [1, 1]])}, tiny)
    >>> logit_lens(np.array([[[7.0, -7.0]]]), weights, tiny).round(4)
    array([[[2., 0., 2.]]])
    """
    with quiet():
        normed = layer_norm(
            residual, parameters.ln_f.weight, parameters.ln_f.bias, eps=config.layer_norm_epsilon
        )
        return linear(normed, parameters.lm_head.weight.T, None)


def depths(trace: Recorder, config: Config) -> list[tuple[str, Array]]:
    """The residual stream before each block and after the last, named as TransformerLens does.

    The trace holds "resid_pre", and "resid_post" of the last layer. `"0_pre" .. "final_post"`:
    each (batch, query, embd).
    """
    if config.n_layer == 0:
        return [("final_post", trace["token_embedding"] + trace["position_embedding"])]
    before = [(f"{layer}_pre", trace["resid_pre", layer]) for layer in range(config.n_layer)]
    return [*before, ("final_post", trace["resid_post", config.n_layer - 1])]
