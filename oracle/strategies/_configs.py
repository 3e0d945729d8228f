"""Small GPT-2 configurations with every switch that changes the forward pass."""

from collections.abc import Sequence
from typing import Any, TypeAlias

from hypothesis import strategies as st

Config: TypeAlias = dict[str, Any]

ACTIVATIONS = ("gelu_new", "gelu", "relu", "silu", "gelu_pytorch_tanh", "swish")
# Without an epsilon a constant row has no layer norm, so 0 is not among them.
EPSILONS = (1e-5, 1e-6, 1e-3, 1e-12)


@st.composite
def configs(
    draw: st.DrawFn,
    *,
    max_layer: int = 3,
    max_head: int = 3,
    max_head_dim: int = 5,
    max_vocab: int = 17,
    max_positions: int = 10,
    max_inner: int = 11,
    activations: Sequence[str] = ACTIVATIONS,
    **fixed: Any,
) -> Config:
    """Configurations as plain dicts with the field names of Hugging Face's `GPT2Config`.

    They reach zero layers, one layer, one head, width 1, odd widths, odd and default `n_inner`, a
    vocabulary of one token, tied and untied heads, and each flag and activation. Fields named in
    `fixed` get that value (fix `n_embd` and `n_head` together). Shrinks to zero layers of width 1
    with the flags of the released models.
    """
    n_head = draw(up_to(max_head))
    config = {
        "vocab_size": draw(up_to(max_vocab)),
        "n_positions": draw(up_to(max_positions)),
        "n_embd": n_head * draw(up_to(max_head_dim)),
        "n_layer": draw(up_to(max_layer, least=0)),
        "n_head": n_head,
        "n_inner": draw(st.none() | up_to(max_inner)),
        "activation_function": draw(st.sampled_from(activations)),
        "layer_norm_epsilon": draw(st.sampled_from(EPSILONS)),
        "scale_attn_weights": not draw(st.booleans()),
        "scale_attn_by_inverse_layer_idx": draw(st.booleans()),
        "reorder_and_upcast_attn": draw(st.booleans()),
        "tie_word_embeddings": not draw(st.booleans()),
    }
    unknown = fixed.keys() - config.keys()
    if unknown:
        raise ValueError(f"no field is named {sorted(unknown)}; the fields are {list(config)}")
    return config | fixed


def up_to(most: int, *, least: int = 1) -> st.SearchStrategy[int]:
    """Sizes from least to most, all as likely: `st.integers` draws the least far too often."""
    return st.sampled_from(range(least, most + 1))


def inner_width(config: Config) -> int:
    """Width of the MLP's hidden layer: four times `n_embd` where `n_inner` is None.

    >>> inner_width({"n_embd": 3, "n_inner": None}), inner_width({"n_embd": 3, "n_inner": 5})
    (12, 5)
    """
    return 4 * config["n_embd"] if config["n_inner"] is None else config["n_inner"]
