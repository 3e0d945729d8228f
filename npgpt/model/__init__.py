"""GPT-2's forward pass over a tree of weights and a key-value cache.

`forward` reads tokens and gives an `Output`: logits, hidden states, and the `Cache` to go on from.
`Parameters` is the tree of weights, named as checkpoints name them; `from_arrays` makes one of
named arrays, `to_arrays` is its inverse, `shapes` says which arrays a config has. `prefill` reads
a long prompt in chunks, `log_probabilities` scores a text, `Score` is what `GPT.score` returns.

To read it: `_forward` first, then `_parameters`, `_cache`. `docs/gpt2.md` is the same pass in one
page, without cache, padding and taps.

>>> import numpy as np
>>> from npgpt import Config
>>> from npgpt.model import forward, from_arrays, shapes
>>> tiny = Config(vocab_size=5, n_positions=3, n_embd=2, n_head=1, n_layer=1)
>>> parameters = from_arrays({name: np.ones(shape) for name, shape in shapes(tiny).items()}, tiny)
>>> first = forward(np.array([[4, 1]]), parameters, tiny)
>>> forward(np.array([[2]]), parameters, tiny, past=first.past).logits.shape
(1, 1, 5)
"""

from npgpt.model._batch_invariant import batch_invariant_logits
from npgpt.model._cache import Cache
from npgpt.model._column_major import column_major
from npgpt.model._forward import Output, forward
from npgpt.model._parameters import (
    MLP,
    Affine,
    Attention,
    Block,
    Embedding,
    Parameters,
    from_arrays,
    shapes,
    to_arrays,
)
from npgpt.model._prefill import prefill
from npgpt.model._score import Score, log_probabilities

__all__ = [
    "MLP",
    "Affine",
    "Attention",
    "Block",
    "Cache",
    "Embedding",
    "Output",
    "Parameters",
    "Score",
    "batch_invariant_logits",
    "column_major",
    "forward",
    "from_arrays",
    "log_probabilities",
    "prefill",
    "shapes",
    "to_arrays",
]
