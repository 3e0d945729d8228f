"""JAX: GPT-2 in jax.numpy, compiled by XLA for each shape."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from oracle.adapters.subject import Subject

jax.config.update("jax_enable_x64", True)
ACTIVATIONS = {
    "gelu_new": jax.nn.gelu,
    "gelu_pytorch_tanh": jax.nn.gelu,
    "gelu": partial(jax.nn.gelu, approximate=False),
    "relu": jax.nn.relu,
    "silu": jax.nn.silu,
    "swish": jax.nn.silu,
}


@partial(jax.jit, static_argnames=("fields",))
def forward(w: Any, tokens: Any, mask: Any, fields: tuple[tuple[str, Any], ...]) -> Any:
    """Logits (batch, query, vocab)."""
    c = dict(fields)
    heads, act = c["n_head"], ACTIVATIONS[c["activation_function"]]

    def norm(x: Any, name: str) -> Any:
        x = x - x.mean(-1, keepdims=True)
        x = x / jnp.sqrt((x * x).mean(-1, keepdims=True) + c["layer_norm_epsilon"])
        return x * w[f"{name}.weight"] + w[f"{name}.bias"]

    def dense(x: Any, name: str) -> Any:
        return jnp.matmul(x, w[f"{name}.weight"], precision="highest") + w[f"{name}.bias"]

    places = jnp.maximum(mask.cumsum(1) - 1, 0)
    x = w["wte.weight"][tokens] + w["wpe.weight"][places]
    query = tokens.shape[1]
    look = jnp.tril(jnp.ones((query, query), bool)) & mask[:, None, None, :]
    for i in range(c["n_layer"]):
        h = f"h.{i}"
        qkv = dense(norm(x, f"{h}.ln_1"), f"{h}.attn.c_attn")
        q, k, v = jnp.moveaxis(qkv.reshape(*tokens.shape, 3, heads, -1), (2, 3), (0, 2))
        scale = q.shape[-1] ** -0.5 if c["scale_attn_weights"] else 1.0
        scale /= i + 1 if c["scale_attn_by_inverse_layer_idx"] else 1
        scores = jnp.einsum("bhqd,bhkd->bhqk", q, k, precision="highest") * scale
        parts = jax.nn.softmax(jnp.where(look, scores, jnp.finfo(scores.dtype).min), -1)
        mixed = jnp.einsum("bhqk,bhkd->bqhd", parts, v, precision="highest")
        x = x + dense(mixed.reshape(x.shape), f"{h}.attn.c_proj")
        x = x + dense(act(dense(norm(x, f"{h}.ln_2"), f"{h}.mlp.c_fc")), f"{h}.mlp.c_proj")
    head = w["wte.weight" if c["tie_word_embeddings"] else "lm_head.weight"]
    return jnp.matmul(norm(x, "ln_f"), head.T, precision="highest")


def subject(*, dtype: str = "float32") -> Subject:
    """JAX in dtype."""

    def logits(config: Any, weights: Any, tokens: Any, mask: Any) -> Any:
        if tokens.min(initial=0) < 0 or tokens.max(initial=0) >= config["vocab_size"]:
            raise ValueError("a token outside of the vocabulary")
        if mask.sum(1).max(initial=0) > config["n_positions"]:
            raise ValueError("more tokens than positions")
        fields = tuple(sorted(config.items()))
        arrays = {name: jnp.asarray(array, dtype) for name, array in weights.items()}
        return forward(arrays, jnp.asarray(tokens), jnp.asarray(mask), fields)

    return Subject(f"JAX {jax.__version__}", dtype, logits=logits)
