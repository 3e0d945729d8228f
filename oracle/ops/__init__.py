"""Ops of GPT-2 in PyTorch, each written from its formula."""

from oracle.ops._activation import ACTIVATIONS
from oracle.ops._attention import attention
from oracle.ops._embedding import embedding
from oracle.ops._gelu import gelu, gelu_new
from oracle.ops._layer_norm import layer_norm
from oracle.ops._linear import linear
from oracle.ops._softmax import log_softmax, softmax

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
