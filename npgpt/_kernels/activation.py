"""Activation functions by the name that a config gives them, each in its fastest form."""

from npgpt._kernels.gelu import gelu_new
from npgpt.ops._activation import ACTIVATIONS as FORMULAS

ACTIVATIONS = FORMULAS | {"gelu_new": gelu_new, "gelu_pytorch_tanh": gelu_new}
