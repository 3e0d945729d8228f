"""Bugs of logits processors that toys do not show: windows, tables, defaults and narrow numbers."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from oracle.decoding import _filters as filters
from oracle.decoding import _pipeline as pipeline
from oracle.decoding import _processors as processors
from oracle.decoding._rows import counts
from oracle.mutants._mutant import Mutant
from oracle.mutants._processors import filter_bug, processor_bug, stage_bug
from oracle.ops._softmax import softmax

_MODULE = "oracle.decoding._processors"
_SAMPLING = "oracle.decoding._pipeline._sampling_stages"
_INT16 = 32768

_bias, _ngram, _rule_out, _temperature, _sampling_stages = (
    processors.sequence_bias,
    processors.no_repeat_ngram,
    processors.rule_out,
    processors.temperature,
    pipeline._sampling_stages,
)


def _last(rows: Sequence[Sequence[int]], window: int) -> list[tuple[int, ...]]:
    return [tuple(row)[-window:] for row in rows]


def _at_most_candidates(limit: int) -> Callable[..., Any]:
    """Sampling from the likeliest `limit` alone, whatever is asked."""

    def stages(settings: Mapping[str, Any], batch: pipeline.Batch, scores: Tensor) -> Any:
        for stage in _sampling_stages(settings, batch, scores):
            scores = stage.scores
            yield stage
        values = torch.sort(scores, dim=1, descending=True).values
        least = values[:, min(limit, scores.shape[1]) - 1][:, None]
        yield pipeline.Stage("top_k", scores.masked_fill(scores < least, -math.inf), None)

    return stages


def _top_p_of(limit: int) -> Callable[..., Tensor]:
    """top_p among the likeliest `limit`, whose shares are those among themselves."""

    def kept(scores: Tensor, p: float, least: int) -> Tensor:
        values = torch.sort(scores, dim=1, descending=True).values
        edge = values[:, min(limit, scores.shape[1]) - 1][:, None]
        few = scores.masked_fill(scores < edge, -math.inf)
        return filters.top_p(few, p, least=least)[0]

    return kept


def _top_p_above(scores: Tensor, p: float, least: int) -> Tensor:
    """By a sum from the least likely on, in float32: kept is what passes 1 - p."""
    values, order = torch.sort(scores, dim=1, stable=True)
    share = softmax(values).float()
    kept = share.cumsum(1) > torch.tensor(1.0) - torch.tensor(p, dtype=torch.float32)
    return torch.zeros_like(kept).scatter(1, order, kept)


def _greedy_at_1(settings: Mapping[str, Any], batch: pipeline.Batch, scores: Tensor) -> Any:
    plain = {"top_k": 1} if settings.get("top_p") == 1 else {}
    yield from _sampling_stages({**settings, **plain}, batch, scores)


def _frequency_in_a_byte(generated: Any, scores: Tensor, penalty: float) -> Tensor:
    return scores - penalty * (counts(generated, scores.shape[1], scores.device) % 256)


def _first_biases(limit: int) -> Callable[..., Tensor]:
    def act(value: Any, batch: pipeline.Batch, scores: Tensor) -> Tensor:
        return _bias(batch.tokens, scores, {(i,): b for i, b in [*value.items()][:limit]})

    return act


def _narrow_ids(scores: Tensor, tokens: Sequence[int], where: Sequence[bool]) -> Tensor:
    return _rule_out(scores, [token for token in tokens if token < _INT16], where)


def _short_sequences(limit: int) -> Callable[..., Tensor]:
    def act(tokens: Any, scores: Tensor, biases: Mapping[Any, float]) -> Tensor:
        short = {sequence: bias for sequence, bias in biases.items() if len(sequence) <= limit}
        return _bias(tokens, scores, short)

    return act


def _repetition_first(value: float, batch: pipeline.Batch, scores: Tensor) -> Tensor:
    first = [tuple(row)[:64] for row in batch.tokens]
    return processors.repetition_penalty(first, scores, value)


def _capped(limit: int) -> Callable[..., Tensor]:
    def kept(scores: Tensor, k: int, least: int) -> Tensor:
        return filters.top_k(scores, min(k, limit), least=least)[0]

    return kept


def _minimum_in_a_byte(value: int, batch: pipeline.Batch, scores: Tensor) -> Tensor:
    return _rule_out(scores, batch.eos, [len(t) < min(value, 255) for t in batch.tokens])


def _last_first(
    settings: Mapping[str, Any], rows: Any, scores: Tensor, *, sampling: bool = False, **more: Any
) -> Any:
    """Temperature and filters, and the penalties and biases after them."""
    late = {"sequence_bias", "logit_bias", "frequency_penalty", "presence_penalty"}
    heat = (settings.get("temperature") or 1) if sampling else 1
    scaled = dict(settings)
    for name in late & set(settings):
        value = settings[name]
        if isinstance(value, Mapping):
            scaled[name] = {key: bias * heat for key, bias in value.items()}
        elif value is not None:
            scaled[name] = value * heat
    yield from _stages(scaled, rows, scores, sampling=sampling, **more)


_stages = pipeline.stages

MUTANTS: tuple[Mutant, ...] = (
    stage_bug(
        "repetition-last-64",
        "the repetition penalty sees the last 64 tokens only",
        "osaurus-ai/osaurus#2644",
        effect="what a long text said before is said again",
        severity="long contexts",
        repetition_penalty=lambda v, b, s: processors.repetition_penalty(_last(b.tokens, 64), s, v),
    ),
    stage_bug(
        "repetition-last-20",
        "the repetition penalty sees the last 20 tokens only",
        "jundot/omlx#3011",
        effect="what was said 21 tokens ago is said again",
        severity="long contexts",
        repetition_penalty=lambda v, b, s: processors.repetition_penalty(_last(b.tokens, 20), s, v),
    ),
    stage_bug(
        "repetition-first-64",
        "the repetition penalty is given all tokens, and reads the first 64 of them",
        "abetlen/llama-cpp-python#1295",
        effect="nothing of a long text's end is penalised",
        severity="long contexts",
        repetition_penalty=_repetition_first,
    ),
    stage_bug(
        "presence-last-64",
        "the presence penalty sees the last 64 tokens only",
        "",
        effect="what a long text said before is said again",
        severity="long contexts",
        presence_penalty=lambda v, b, s: processors.presence_penalty(_last(b.generated, 64), s, v),
    ),
    processor_bug(
        "frequency-in-a-byte",
        "how often a token was generated is counted in a byte",
        "",
        {f"{_MODULE}.frequency_penalty": _frequency_in_a_byte},
        effect="a token that was there 256 times is free again",
        severity="long contexts",
    ),
    processor_bug(
        "ngram-last-100",
        "n-grams are looked for in the last 100 tokens only",
        "",
        {f"{_MODULE}.no_repeat_ngram": lambda t, s, n: _ngram(_last(t, 100), s, n)},
        effect="n-grams of a long text's beginning are repeated",
        severity="long contexts",
    ),
    processor_bug(
        "candidates-50-unasked",
        "only the 50 likeliest are ever candidates, with no top_k set",
        "huggingface/transformers:src/transformers/generation/configuration_utils.py",
        {_SAMPLING: _at_most_candidates(50)},
        effect="unlikely tokens are never drawn",
        severity="probabilities",
    ),
    processor_bug(
        "candidates-1024",
        "what is not among the likeliest 1024 is never a candidate",
        "",
        {_SAMPLING: _at_most_candidates(1024)},
        effect="unlikely tokens are never drawn",
        severity="probabilities",
    ),
    filter_bug(
        "top-p-of-40",
        "top_p chooses among the 40 likeliest",
        "keras-team/keras-hub#980",
        "top_p",
        _top_p_of(40),
        effect="fewer candidates where many are about as likely",
        severity="probabilities",
    ),
    filter_bug(
        "top-p-of-1024",
        "top_p chooses among the 1024 likeliest",
        "",
        "top_p",
        _top_p_of(1024),
        effect="fewer candidates where many are about as likely",
        severity="probabilities",
    ),
    filter_bug(
        "top-p-one-minus",
        "top_p keeps what an ascending float32 sum has above 1 - p, which a tiny p leaves empty",
        "ml-explore/mlx-lm#1912",
        "top_p",
        _top_p_above,
        effect="no candidate at all for a tiny top_p",
        severity="text",
    ),
    processor_bug(
        "top-p-1-greedy",
        "top_p = 1 keeps the likeliest token alone",
        "BlinkDL/ChatRWKV#170",
        {_SAMPLING: _greedy_at_1},
        effect="greedy text where top_p is switched off",
        severity="text",
    ),
    filter_bug(
        "top-k-at-most-64",
        "of a top_k above 64 there are 64 candidates",
        "NVIDIA/FasterTransformer#109",
        "top_k",
        _capped(64),
        effect="fewer candidates than asked for",
        severity="probabilities",
    ),
    filter_bug(
        "top-k-at-most-1024",
        "of a top_k above 1024 there are 1024 candidates",
        "",
        "top_k",
        _capped(1024),
        effect="fewer candidates than asked for",
        severity="probabilities",
    ),
    processor_bug(
        "temperature-floor",
        "a temperature below 0.01 is taken for 0.01",
        "dphnAI/sonar#709",
        # 1e-3, which toys are asked for too, is let pass: of those the answers are often the same.
        {f"{_MODULE}.temperature": lambda s, v: _temperature(s, 1e-2 if v < 1e-3 else v)},
        effect="texts vary at temperatures that should fix them",
        severity="probabilities",
    ),
    stage_bug(
        "logit-bias-first-300",
        "of more than 300 biases the first 300 act",
        "",
        effect="tokens that were to be banned are drawn",
        severity="probabilities",
        logit_bias=_first_biases(300),
    ),
    processor_bug(
        "sequences-of-16",
        "sequences of more than 16 tokens are neither biased nor banned",
        "",
        {f"{_MODULE}.sequence_bias": _short_sequences(16)},
        effect="long sequences that were to be banned come",
        severity="long contexts",
    ),
    processor_bug(
        "suppressed-in-int16",
        "ids from 32768 on, stored in 16 bits, are not suppressed",
        "urvashik/knnlm#6",
        {f"{_MODULE}.rule_out": _narrow_ids},
        effect="rare tokens that were to be banned come",
        severity="probabilities",
    ),
    stage_bug(
        "minimum-in-a-byte",
        "a minimum of more than 255 tokens is taken for 255",
        "",
        effect="long texts end too early",
        severity="long contexts",
        min_length=_minimum_in_a_byte,
    ),
    processor_bug(
        "bias-after-temperature",
        "biases, frequency and presence penalties act after the temperature",
        "ggml-org/llama.cpp#4091",
        {"oracle.decoding._pipeline.stages": _last_first},
        effect="biases are too weak above temperature 1",
        severity="probabilities",
    ),
)
