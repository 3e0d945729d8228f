"""What the oracle's twins of npgpt/audit read, made of what npgpt reads: float64 tensors."""

import numpy as np
import torch

from tests.helpers.device import DEVICE


def tensor(array):
    """An array as a tensor, its floats in float64."""
    wide = np.float64 if array.dtype.kind == "f" else np.int64
    return torch.from_numpy(np.array(array, wide, order="C")).to(DEVICE)


def tensors(trace):
    """Every array of a Recorder."""
    return {key: tensor(array) for key, array in trace.arrays.items()}


def weights_of(model):
    return {name: tensor(array) for name, array in model.weights.items()}


def numbers(found):
    """A tensor as an array."""
    return found.detach().cpu().numpy()


def size(array):
    """The magnitudes of an array, in float64."""
    return np.abs(array.astype(np.float64))
