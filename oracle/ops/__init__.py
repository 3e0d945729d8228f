"""Ops of GPT-2 in PyTorch, each written from its formula."""

from oracle.ops.activation import ACTIVATIONS
from oracle.ops.attention import attention
from oracle.ops.embedding import embedding
from oracle.ops.gelu import gelu, gelu_new
from oracle.ops.layer_norm import layer_norm
from oracle.ops.linear import linear
from oracle.ops.softmax import log_softmax, softmax

__all__ = [
    "ACTIVATIONS",
    "attention",
    "embedding",
    "gelu",
    "gelu_new",
    "layer_norm",
    "linear",
    "log_softmax",
    "softmax",
]
