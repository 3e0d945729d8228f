"""The mathematics of GPT-2: pure functions over NumPy arrays, each in the form of its paper.

Read them in the order of a forward pass, `_embedding.py` and so on; `docs/gpt2.md` puts them
together in one page:

1. `embedding`: `weight[ids]`
2. `layer_norm`: `(x − mean) / sqrt(variance + eps) · weight + bias`
3. `linear`: `x @ W + b`
4. `attention`: `softmax(scale · q kᵀ, −inf where masked) v`, with `causal_mask` and `softmax`
5. `gelu_new`: `x/2 · (1 + tanh(√(2/π) · (x + 0.044715 x³)))`; `ACTIVATIONS` has the others by name
6. `log_softmax`: from logits to log-probabilities

Each keeps the dtype it is given, states its limits, and never writes to its arguments. The model
computes the same functions by `npgpt._kernels`, which are held to these and are faster.

>>> import numpy as np
>>> from npgpt.ops import softmax
>>> softmax(np.array([6.0, 3.0])).round(4)
array([0.9526, 0.0474])
"""

from npgpt.ops._activation import ACTIVATIONS, relu, silu
from npgpt.ops._attention import attention, causal_mask
from npgpt.ops._embedding import embedding
from npgpt.ops._gelu import gelu, gelu_new
from npgpt.ops._layer_norm import layer_norm, layer_norm_given_scale, layer_norm_scale
from npgpt.ops._linear import linear
from npgpt.ops._softmax import log_softmax, softmax
from npgpt.ops._upcast import upcast

__all__ = [
    "ACTIVATIONS",
    "attention",
    "causal_mask",
    "embedding",
    "gelu",
    "gelu_new",
    "layer_norm",
    "layer_norm_given_scale",
    "layer_norm_scale",
    "linear",
    "log_softmax",
    "relu",
    "silu",
    "softmax",
    "upcast",
]
