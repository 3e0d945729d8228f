"""GPT-2 in NumPy, written from the formulas: as far from the oracle's own code as can be."""

import math

import numpy as np
import torch

from oracle import model
from oracle.bounds._rounding import Array
from oracle.mutants._wrapping import Call


def _act(name: str, x: Array) -> Array:
    if name in ("gelu_new", "gelu_pytorch_tanh"):
        return x / 2 * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x * x * x)))
    if name == "gelu":
        erf = [math.erf(v / math.sqrt(2)) for v in x.ravel().tolist()]
        return x / 2 * (1 + np.array(erf, x.dtype).reshape(x.shape))
    return np.maximum(x, 0) if name == "relu" else x / (1 + np.exp(-x))


def _softmax(scores: Array) -> Array:
    top = scores.max(-1, keepdims=True)
    shares = np.exp(scores - np.where(np.isneginf(top), 0, top))
    total = shares.sum(-1, keepdims=True)
    return shares / np.where(total > 0, total, 1)


def _look_up(table: Array, ids: Array) -> Array:
    if ids.size and not 0 <= ids.min() <= ids.max() < len(table):
        raise ValueError(f"an id is outside the table, 0..{len(table) - 1}")
    return table[ids]


def numpy_forward(call: Call) -> model.Output:
    """The call in NumPy, in the weights' dtype; in PyTorch where NumPy lacks that dtype."""
    if call.weights["wte.weight"].dtype not in (torch.float32, torch.float64):
        return call.run()
    with np.errstate(all="ignore"):
        return _forward(call)


def _forward(call: Call) -> model.Output:
    w = {name: tensor.detach().cpu().numpy() for name, tensor in call.weights.items()}
    c, real = call.c, call.all_mask.cpu().numpy()

    def norm(name: str, x: Array) -> Array:
        below = x - x.mean(-1, keepdims=True)
        deviation = np.sqrt((below * below).mean(-1, keepdims=True) + c["layer_norm_epsilon"])
        return below / deviation * w[f"{name}.weight"] + w[f"{name}.bias"]

    def affine(name: str, x: Array) -> Array:
        return x @ w[f"{name}.weight"] + w[f"{name}.bias"]

    tokens, places = call.tokens.cpu().numpy(), call.places.cpu().numpy()
    x = _look_up(w["wte.weight"], tokens) + _look_up(w["wpe.weight"], places)
    (batch, query), key = tokens.shape, real.shape[1]
    looks = np.tri(query, key, key - query, bool) & real[:, None, :]
    keys, values = [], []
    for i in range(c["n_layer"]):
        three = affine(f"h.{i}.attn.c_attn", norm(f"h.{i}.ln_1", x))
        q, k, v = three.reshape(batch, query, 3, c["n_head"], -1).transpose(2, 0, 3, 1, 4)
        if call.past is not None:
            k = np.concatenate([call.past.keys[i].cpu().numpy(), k], 2)
            v = np.concatenate([call.past.values[i].cpu().numpy(), v], 2)
        scale = 1 / math.sqrt(q.shape[-1]) if c["scale_attn_weights"] else 1.0
        scale /= i + 1 if c["scale_attn_by_inverse_layer_idx"] else 1
        scores = np.where(looks[:, None], q @ k.swapaxes(2, 3) * scale, -np.inf)
        seen = (_softmax(scores) @ v).swapaxes(1, 2).reshape(x.shape)
        x = x + affine(f"h.{i}.attn.c_proj", seen)
        inner = _act(c["activation_function"], affine(f"h.{i}.mlp.c_fc", norm(f"h.{i}.ln_2", x)))
        x = x + affine(f"h.{i}.mlp.c_proj", inner)
        keys.append(k)
        values.append(v)
    x = norm("ln_f", x)
    head = w["wte.weight" if c["tie_word_embeddings"] else "lm_head.weight"]

    def tensor(array: Array) -> torch.Tensor:
        return torch.from_numpy(np.ascontiguousarray(array)).to(call.tokens.device)

    past = model.Past(tuple(map(tensor, keys)), tuple(map(tensor, values)), call.all_mask)
    return model.Output(tensor(x @ head.T), tensor(x), past)
