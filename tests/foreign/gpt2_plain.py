"""GPT-2 in float32 NumPy, as somebody else would write it: a class, a batch at once, einsum.

Written from the formulas of the paper. `Net(..., bug="...")` puts one known bug in.
"""

import math

import numpy as np

F = np.float32
_erf = np.vectorize(math.erf, otypes=[F])
_dice = np.random.default_rng(7)


class Refusal(Exception):  # noqa: N818
    pass


class Net:
    def __init__(self, hparams, tensors, bug=""):
        self.hp, self.bug = hparams, bug
        self.width, self.heads = hparams["n_embd"], hparams["n_head"]
        self.inner = hparams.get("n_inner") or 4 * self.width
        self.eps = F(hparams.get("layer_norm_epsilon", 1e-5))
        self.store = tensors

    # -- pieces ---------------------------------------------------------------------------

    def fetch(self, name, *shape):
        if name in self.store:
            return np.asarray(self.store[name], F).reshape(shape)
        if self.bug == "missing-tensor-random":
            return _dice.normal(0, 0.5, shape).astype(F)
        raise Refusal(f"no tensor called {name}")

    def product(self, spec, a, b):
        if self.bug == "tf32":
            a, b = _ten_bits(a), _ten_bits(b)
        return np.einsum(spec, a, b)

    def dense(self, x, name, n_in, n_out):
        kernel = self.fetch(name + ".weight", n_in, n_out)
        if self.bug == "conv1d-transposed" and n_in == n_out:
            kernel = kernel.T
        return self.product("btd,de->bte", x, kernel) + self.fetch(name + ".bias", n_out)

    def standardise(self, x, name):
        centred = x - x.mean(-1, keepdims=True)
        n = x.shape[-1] - (self.bug == "layernorm-bessel")
        spread = (centred**2).sum(-1, keepdims=True) / F(n)
        if self.bug == "layernorm-eps-outside":
            scaled = centred / (np.sqrt(spread) + self.eps)
        elif self.bug == "layernorm-eps-zero":
            scaled = centred / np.sqrt(spread)
        elif self.bug == "layernorm-square":
            scaled = centred / (spread + self.eps)
        else:
            scaled = centred / np.sqrt(spread + self.eps)
        gain, shift = (self.fetch(f"{name}.{part}", self.width) for part in ("weight", "bias"))
        return scaled * gain + shift

    def squash(self, x):
        kind = self.hp.get("activation_function", "gelu_new")
        if kind in ("gelu_new", "gelu_pytorch_tanh"):
            kind = {"gelu-erf": "gelu", "gelu-sigmoid": "quick"}.get(self.bug, "tanh")
        half = F(0.5) * x
        if kind == "tanh":
            cubic = x + F(0.044715) * x * x * x
            return half * (F(1) + np.tanh(F(math.sqrt(2 / math.pi)) * cubic))
        if kind == "gelu":
            return half * (F(1) + _erf(x / F(math.sqrt(2))))
        if kind == "relu":
            return np.maximum(x, F(0))
        if kind in ("silu", "swish", "quick"):
            return x / (F(1) + np.exp(F(-1.702 if kind == "quick" else -1) * x))
        raise Refusal(f"activation {kind} is not implemented")

    def mix(self, x, allowed, depth, name):
        batch, time, _ = x.shape
        size = self.width // self.heads
        parts = self.dense(x, f"{name}.attn.c_attn", self.width, 3 * self.width)
        q, k, v = parts.reshape(batch, time, 3, self.heads, size).transpose(2, 0, 3, 1, 4)
        factor = 1.0
        if self.hp.get("scale_attn_weights", True) or self.bug == "scale-flags-ignored":
            factor /= math.sqrt(size)
        if self.hp.get("scale_attn_by_inverse_layer_idx") and self.bug != "scale-flags-ignored":
            factor /= depth + 1
        if self.bug == "scale-twice":
            factor *= factor
        scores = self.product("bhqd,bhkd->bhqk", q, k)
        if self.bug == "fp16-score-overflow":
            scores = np.where(np.abs(scores) > 65504, np.sign(scores) * F(np.inf), scores)
        scores = scores * F(factor)
        veto = F(-1e4 if self.bug == "mask-minus-1e4" else -np.inf)
        chances = self.spread(np.where(allowed[:, None], scores, veto))
        joined = self.product("bhqk,bhkd->bqhd", chances, v).reshape(batch, time, self.width)
        return self.dense(joined, f"{name}.attn.c_proj", self.width, self.width)

    def spread(self, scores):
        top = scores.max(-1, keepdims=True)
        blind = np.isneginf(top)
        if self.bug != "all-masked-row":
            top = np.where(blind, F(0), top)
        if self.bug == "softmax-max-from-minus-1e4":  # as llm.c's train_gpt2.c
            top = np.maximum(top, F(-1e4))
        mass = np.exp(scores if self.bug == "softmax-no-max" else scores - top)
        total = mass.sum(-1, keepdims=True)
        return mass / np.where(blind | (total == 0), F(1), total)

    # -- the whole ------------------------------------------------------------------------

    def places(self, real):
        room = self.hp["n_positions"]
        count = np.maximum(real.cumsum(1) - 1, 0)
        if self.bug == "pad-takes-position":
            count, real = np.arange(real.shape[1])[None].repeat(len(real), 0), np.ones_like(real)
        if self.bug == "context-wraps":
            return count % room
        if count.max(initial=0) >= room:
            raise Refusal(f"a row has more than {room} tokens")
        return np.where(real, count, 0)

    def scores(self, ids, real):
        vocab, time = self.hp["vocab_size"], ids.shape[1]
        if ids.size and not 0 <= ids.min() <= ids.max() < vocab:
            raise Refusal(f"ids must be from 0 to {vocab - 1}")
        table = self.fetch("wte.weight", vocab, self.width)
        x = table[ids] + self.fetch("wpe.weight", -1, self.width)[self.places(real)]
        ahead = {"causal-off-by-one": 1, "no-causal-mask": time}.get(self.bug, 0)
        allowed = np.tri(time, k=ahead, dtype=bool)[None] & (
            real[:, None] | (self.bug == "pad-unmasked")
        )
        names = [f"h.{i}" for i in range(self.hp["n_layer"])]
        if self.bug == "layers-file-order":
            names.sort()
        with np.errstate(all="ignore"):
            for depth, name in enumerate(names):
                x = x + self.mix(self.standardise(x, f"{name}.ln_1"), allowed, depth, name)
                wide = self.dense(
                    self.standardise(x, f"{name}.ln_2"), f"{name}.mlp.c_fc", self.width, self.inner
                )
                x = x + self.dense(self.squash(wide), f"{name}.mlp.c_proj", self.inner, self.width)
                if self.bug == "dropout-in-eval":
                    x = x * (_dice.random(x.shape) > 0.1).astype(F)
            x = self.standardise(x, "ln_f")
            head = table
            if not self.hp.get("tie_word_embeddings", True):
                head = self.fetch("lm_head.weight", vocab, self.width)
            elif self.bug == "head-untied-on-resize":
                head = np.random.default_rng(1).normal(0, 0.02, table.shape).astype(F)
            return self.product("btd,vd->btv", x, head)


def _ten_bits(x):
    word = np.ascontiguousarray(x, F).view(np.uint32)
    word = (word + np.uint32(0x0FFF) + ((word >> np.uint32(13)) & np.uint32(1))) & np.uint32(
        0xFFFFE000
    )
    return word.view(F)
