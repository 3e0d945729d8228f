"""npgpt as a subject: the only file of the oracle that imports it."""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from npgpt._config import Config
from npgpt._kernels.activation import ACTIVATIONS
from npgpt._kernels.attention import attention
from npgpt._kernels.layer_norm import layer_norm
from npgpt._kernels.linear import linear
from npgpt.decoding import _decoders as decoders
from npgpt.decoding._language_model import Step
from npgpt.decoding._processors.pipeline import pipeline
from npgpt.decoding._prompts import row_limits
from npgpt.decoding._request import seed_uniforms, uniform_shape
from npgpt.decoding._scoring import Row, score
from npgpt.decoding._settings import Settings
from npgpt.model._forward import forward
from npgpt.model._parameters import Parameters, from_arrays
from npgpt.model._score import log_probabilities
from npgpt.ops._embedding import embedding
from npgpt.ops._softmax import log_softmax, softmax
from npgpt.tokenizer._encoding import Tokenizer
from oracle.adapters.claims import Claims
from oracle.adapters.subject import Subject
from oracle.bounds._rounding import Array
from oracle.strategies._decoding_problems import DECODERS, REQUIRED, SAMPLING, room_of, settings_of

SETTINGS = (
    *dict.fromkeys(s for d in DECODERS for s in [*settings_of(d), *REQUIRED[d]]),
    "allowed_special",
)
# More than any minimum of new tokens, which it refuses where there is no room for it.
ROOM = 16
# The seeds of one draw after another, so that a whole run can be repeated.
_SEEDS = itertools.count(20260401)
OPS: dict[str, Callable[..., Array]] = {
    "embedding": embedding,
    "linear": linear,
    "layer_norm": layer_norm,
    "softmax": softmax,
    "log_softmax": log_softmax,
    "attention": attention,
    **ACTIVATIONS,
}


def subject(*, dtype: str = "float32") -> Subject:
    """npgpt computing in float32 or float64."""

    def model(config: Any, weights: Any) -> tuple[Parameters, Config]:
        known = Config(**config)
        return from_arrays({n: a.astype(dtype) for n, a in weights.items()}, known), known

    def logits(config: Any, weights: Any, tokens: Array, mask: Array) -> Array:
        return forward(tokens, *model(config, weights), mask=mask).logits

    def step(config: Any, weights: Any, tokens: Array, mask: Array, cache: Any) -> Any:
        new = mask[:, mask.shape[1] - tokens.shape[1] :]
        output = forward(tokens, *model(config, weights), mask=new, past=cache)
        return output.logits, output.past

    def perplexity(config: Any, weights: Any, tokens: Array, stride: int) -> float:
        scored = log_probabilities(tokens, *model(config, weights), stride=stride)
        return float(np.exp(-scored.mean()))

    return Subject(
        f"npgpt ({dtype})",
        dtype,
        logits=logits,
        step=step,
        ops=OPS,
        process=process,
        generate=generate,
        draw=draw,
        encode=encode,
        decode=lambda vocabulary, merges, ids: tokenizer(vocabulary, merges).decode(ids),
        perplexity=perplexity,
        decoders=DECODERS,
        settings=SETTINGS,
        claims=Claims(dtypes=("float32", "float64")),
    )


def encode(
    vocabulary: dict[str, int],
    merges: Sequence[Sequence[str]],
    text: str,
    *,
    allowed_special: Sequence[str] = (),
) -> list[int]:
    """The ids of a text. npgpt keeps special tokens beside its vocabulary."""
    special = {token: vocabulary[token] for token in allowed_special}
    ordinary = {token: i for token, i in vocabulary.items() if token not in special}
    known = replace(tokenizer(ordinary, merges), special_tokens=special)
    return known.encode(text, allowed_special=frozenset(special))


def tokenizer(vocabulary: dict[str, int], merges: Sequence[Sequence[str]]) -> Tokenizer:
    """npgpt's tokenizer of these, with no special tokens."""
    return Tokenizer(dict(vocabulary), tuple((left, right) for left, right in merges))


def process(settings: dict[str, Any], tokens: Array, prompt_length: int, logits: Array) -> Array:
    """What npgpt's processors make of logits; where no length is set, the next token is not last.

    What acts on what is drawn alone it refuses without do_sample.
    """
    given = {"max_length": tokens.shape[1] + ROOM, **settings}
    known = Settings(**given, do_sample=bool(set(SAMPLING) & set(settings)))
    prompts = tuple(tuple(map(int, row[:prompt_length])) for row in tokens)
    limits = row_limits(prompts, known, context_length=None)
    rows = [
        Row(list(map(int, row)), prompt_length, place, limit)
        for place, (row, limit) in enumerate(zip(tokens, limits, strict=True))
    ]
    return score(rows, logits, pipeline(known)).final


@dataclass(frozen=True)
class _Rows:
    """What a model that is asked for whole rows has read."""

    rows: list[list[int]]

    def select(self, places: Sequence[int]) -> "_Rows":
        """These rows, in this order."""
        return _Rows([self.rows[place] for place in places])


def _next_step(next_logits: Any, hidden: Any = None) -> Any:
    def next_step(rows: Sequence[Sequence[int]], state: _Rows | None) -> Step:
        before = state.rows if state else [[]] * len(rows)
        longer = [[*old, *map(int, new)] for old, new in zip(before, rows, strict=True)]
        last = None if hidden is None else np.array([states[-1] for states in hidden(longer)])
        return Step(np.asarray(next_logits(longer)), last, _Rows(longer))

    return next_step


def generate(
    next_logits: Any,
    prompts: Sequence[Sequence[int]],
    settings: dict[str, Any],
    uniforms: Any,
    *,
    hidden: Any = None,
    draft: Any = None,
    negative_prompts: Any = None,
    text_of: Any = None,
) -> list[list[int]]:
    """Rows as npgpt's decoders make them."""
    given = dict(settings)
    if "logits_processor" in given:  # those of the oracle's problems take lists of ids
        given["logits_processor"] = [
            lambda rows, scores, own=own: own([row.tokens for row in rows], scores)
            for own in given["logits_processor"]
        ]
    found = decoders.generate(
        _next_step(next_logits, hidden),
        prompts,
        Settings(**given),
        uniforms,
        decode=text_of,
        negative_prompt=negative_prompts,
        assistant=None if draft is None else _next_step(draft),
    )
    return [list(row) for row in found.sequences]


def draw(
    next_logits: Any, prompts: Sequence[Sequence[int]], settings: dict[str, Any]
) -> list[list[int]]:
    """The same with the uniforms that npgpt makes of a seed, another one in each call."""
    room = max(room_of(prompt, settings) for prompt in prompts)
    shape = uniform_shape(Settings(**settings), len(prompts), room)
    return generate(next_logits, prompts, settings, seed_uniforms(next(_SEEDS), *shape))
