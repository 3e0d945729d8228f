"""Bugs of logits processors and of the filters of sampling."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from oracle.decoding import _filters as filters
from oracle.decoding import _pipeline as pipeline
from oracle.decoding import _processors as processors
from oracle.decoding._rows import counts
from oracle.mutants._mutant import Mutant, Severity
from oracle.ops._softmax import softmax
from oracle.strategies._scores import PROCESSED

_MODULE = "oracle.decoding._processors"
NEVER = math.inf  # a slack that nobody reads


def processor_bug(
    id: str,
    bug: str,
    source: str,
    replaces: Mapping[str, Any],
    *,
    effect: str = "",
    severity: Severity = "",
) -> Mutant:
    """The mutant in which these names are replaced, by their full names."""
    return Mutant(id, bug, source, "processors", replaces, effect=effect, severity=severity)


def filter_bug(
    id: str,
    bug: str,
    source: str,
    name: str,
    kept: Callable[..., Tensor],
    *,
    effect: str = "",
    severity: Severity = "",
) -> Mutant:
    """A mutant whose filter keeps what kept(scores, value, least) says."""

    def act(scores: Tensor, value: float, *, least: int = 1) -> tuple[Tensor, Tensor]:
        found = kept(scores, value, least)
        return found, torch.full_like(scores[:, 0], NEVER)

    table = {"oracle.decoding._pipeline.FILTERS": filters.FILTERS | {name: act}}
    return processor_bug(id, bug, source, table, effect=effect, severity=severity)


def stage_bug(
    id: str,
    bug: str,
    source: str,
    *,
    effect: str = "",
    severity: Severity = "",
    **acts: Callable[..., Tensor],
) -> Mutant:
    """A mutant with other entries in the table of processors."""
    table = pipeline.PROCESSORS | acts
    replaces = {"oracle.decoding._pipeline.PROCESSORS": table}
    return processor_bug(id, bug, source, replaces, effect=effect, severity=severity)


def _sorted(scores: Tensor) -> tuple[Tensor, Tensor]:
    """Shares from largest to smallest, and the ids in that order."""
    values, order = torch.sort(scores, dim=1, descending=True, stable=True)
    return softmax(values), order


def _unsorted(kept: Tensor, order: Tensor) -> Tensor:
    return torch.zeros_like(kept).scatter(1, order, kept)


def _first(kept: Tensor, least: int) -> Tensor:
    kept[:, :least] = True
    return kept


def _before(share: Tensor) -> Tensor:
    return torch.cat([torch.zeros_like(share[:, :1]), share.cumsum(1)[:, :-1]], 1)


def _top_p(compare: Callable[[Tensor, float], Tensor]) -> Callable[..., Tensor]:
    def kept(scores: Tensor, p: float, least: int) -> Tensor:
        share, order = _sorted(scores)
        return _unsorted(_first(compare(share, p), least), order)

    return kept


def _top_p_not_unsorted(scores: Tensor, p: float, least: int) -> Tensor:
    return _first(_before(_sorted(scores)[0]) < p, least)


def _top_p_ascending(scores: Tensor, p: float, least: int) -> Tensor:
    values, order = torch.sort(scores, dim=1, stable=True)
    kept = _before(softmax(values)) < p
    return _unsorted(kept & (values > -math.inf), order)


def _at_least(kept: Tensor, scores: Tensor) -> Tensor:
    return kept | (scores == scores.amax(1, keepdim=True))


def _typical(scores: Tensor, mass: float, less: int, distance: Callable[..., Tensor]) -> Tensor:
    p = softmax(scores)
    near = distance(-p.log(), torch.special.entr(p).sum(1, keepdim=True))
    _, order = torch.sort(near, dim=1, stable=True)
    number = (_before(p.gather(1, order)) < mass).sum(1, keepdim=True) - less
    return _unsorted(torch.arange(p.shape[1]) < number.clamp(min=1), order)


def _kth(scores: Tensor, k: int) -> Tensor:
    values = torch.sort(scores, dim=1, descending=True).values
    return values[:, min(k, scores.shape[1]) - 1][:, None]


def _top_k_exactly(scores: Tensor, k: int, least: int) -> Tensor:
    _, order = _sorted(scores)
    places = torch.arange(scores.shape[1]).expand_as(scores)
    return _unsorted(places < k, order)


def _eta(power: float, sign: float) -> Callable[..., Tensor]:
    def kept(scores: Tensor, epsilon: float, least: int) -> Tensor:
        p = softmax(scores)
        entropy = torch.special.entr(p).sum(1, keepdim=True)
        return _at_least(p >= (epsilon**power * (sign * entropy).exp()).clamp(max=epsilon), scores)

    return kept


def _fill_tiny(settings: Mapping[str, Any], batch: pipeline.Batch, scores: Tensor) -> Any:
    for stage in _sampling_stages(settings, batch, scores):
        ruled_out = (stage.scores == -math.inf) & (scores > -math.inf)
        yield stage._replace(scores=torch.where(ruled_out, 1e-10, stage.scores))


def _top_h_of_itself(scores: Tensor, alpha: float, least: int) -> Tensor:
    entropy = torch.special.entr(softmax(scores)).sum(1)
    rows = [
        filters.top_h(row[None], alpha / max(float(h), alpha), least=least)[0]
        for row, h in zip(scores, entropy, strict=True)
    ]
    return torch.cat(rows)


_sampling_stages = pipeline._sampling_stages


def _filters_first(settings: Mapping[str, Any], batch: pipeline.Batch, scores: Tensor) -> Any:
    heat = settings.get("temperature")
    without = {**settings, "temperature": None}
    for stage in _sampling_stages(without, batch, scores):
        scores = stage.scores
        yield stage
    if heat is not None:
        yield pipeline.Stage("temperature", processors.temperature(scores, heat), None)


def _top_p_first(settings: Mapping[str, Any], batch: pipeline.Batch, scores: Tensor) -> Any:
    only = {name: settings[name] for name in ("temperature", "top_p") if name in settings}
    for stage in _sampling_stages(only, batch, scores):
        scores = stage.scores
        yield stage
    rest = {**settings, "temperature": None, "top_p": None}
    yield from _sampling_stages(rest, batch, scores)


def _probabilities(settings: Mapping[str, Any], batch: pipeline.Batch, scores: Tensor) -> Any:
    p = torch.where(scores == -math.inf, scores, softmax(scores))
    yield from _sampling_stages(settings, batch, p)


def _penalised(tokens: Any, scores: Tensor, times: Tensor, penalty: float) -> Tensor:
    return torch.where(scores < 0, scores * penalty**times, scores / penalty**times)


def _per_occurrence(tokens: Any, scores: Tensor, penalty: float) -> Tensor:
    times = counts(tokens, scores.shape[1], scores.device)
    return _penalised(tokens, scores, times, penalty)


def _divides(tokens: Any, scores: Tensor, penalty: float) -> Tensor:
    seen = counts(tokens, scores.shape[1], scores.device) > 0
    return torch.where(seen, scores / penalty, scores)


def _multiplies(tokens: Any, scores: Tensor, penalty: float) -> Tensor:
    return _repetition(tokens, scores, 1 / penalty)


_repetition, _ngram, _bias = (
    processors.repetition_penalty,
    processors.no_repeat_ngram,
    processors.sequence_bias,
)


def _bias_anywhere(tokens: Any, scores: Tensor, biases: Any) -> Tensor:
    return _bias(tokens, scores, {tuple(s)[-1:]: bias for s, bias in biases.items()})


def _last_bias_wins(tokens: Any, scores: Tensor, biases: Any) -> Tensor:
    return _bias(tokens, scores, dict([*biases.items()][-1:]))


def _first_banned(tokens: Any, scores: Tensor, sequences: Any) -> Tensor:
    return _bias(tokens, scores, {tuple(s)[:1]: -math.inf for s in sequences})


def _plain_decay(generated: Any, scores: Tensor, eos: Any, start: int, factor: float) -> Tensor:
    over = torch.tensor([max(len(row) - start, 0) for row in generated])[:, None].double()
    lifted = scores * factor**over
    of_eos = torch.zeros_like(scores, dtype=torch.bool)
    of_eos[:, list(eos)] = True
    return torch.where(of_eos & (scores > -math.inf), lifted, scores)


def _times(scores: Tensor, value: float) -> Tensor:
    return scores * value


# Where a setting was accepted and did nothing.
_IGNORED_IN = {
    "bad_words_ids": "microsoft/onnxruntime-genai#2201",
    "begin_suppress_tokens": "microsoft/onnxruntime-genai#2201",
    "forced_bos_token_id": "huggingface/transformers.js@50256213",
    "forced_eos_token_id": "huggingface/transformers.js@46376c0b",
    "frequency_penalty": "Trans-N-ai/swama#118",
    "logit_bias": "huggingface/huggingface_hub#2724",
    "min_p": "waybarrios/vllm-mlx#213",
    "no_repeat_ngram_size": "elixir-nx/bumblebee@6c4d885",
    "presence_penalty": "ollama/ollama#6665",
    "repetition_penalty": "waybarrios/vllm-mlx#213",
    "suppress_tokens": "microsoft/onnxruntime-genai#2201",
    "temperature": "pegainfer-project/pegainfer#237",
    "top_k": "waybarrios/vllm-mlx#213",
    "top_p": "Dao-AILab/flash-attention@7a3bd55f",
    "typical_p": "huggingface/text-generation-inference#1794",
}


def _ignores(name: str) -> Mutant:
    """A mutant that takes a setting and does nothing with it."""
    table = "FILTERS" if name in filters.FILTERS else "PROCESSORS"
    rest = {other: act for other, act in getattr(pipeline, table).items() if other != name}
    id = f"ignores-{name.replace('_', '-')}"
    replaces = {f"oracle.decoding._pipeline.{table}": rest}
    if name == "temperature":
        replaces = {f"{_MODULE}.temperature": lambda scores, value: scores}
    source = _IGNORED_IN.get(name, "")
    return processor_bug(id, f"{name} is accepted and changes nothing", source, replaces)


def _rule_out_late(name: str, of: str, off: int) -> Callable[..., Tensor]:
    return lambda v, b, s: processors.rule_out(s, b.eos, [len(t) < v + off for t in getattr(b, of)])


HF = "huggingface/transformers"
MUTANTS: tuple[Mutant, ...] = (
    filter_bug(
        "top-p-drops-crossing",
        "the token that crosses p is dropped",
        "rasbt/reasoning-from-scratch#164",
        "top_p",
        _top_p(lambda q, p: q.cumsum(1) <= p),
    ),
    filter_bug(
        "top-p-keeps-extra",
        "one token too many where the sum equals p",
        f"{HF}#18976",
        "top_p",
        _top_p(lambda q, p: _before(q) <= p),
    ),
    filter_bug(
        "top-p-not-unsorted",
        "the sorted mask is applied without sorting back",
        "",
        "top_p",
        _top_p_not_unsorted,
    ),
    filter_bug(
        "top-p-ascending",
        "the least probable tokens are kept up to p",
        "",
        "top_p",
        _top_p_ascending,
    ),
    filter_bug(
        "top-p-against-p",
        "each token's own probability is compared with 1 - p",
        "",
        "top_p",
        lambda s, p, least: _at_least(softmax(s) > 1 - p, s),
    ),
    filter_bug(
        "top-k-strict",
        "> for >= at the k-th value",
        "kingoflolz/mesh-transformer-jax#164",
        "top_k",
        lambda s, k, least: s > _kth(s, k),
    ),
    filter_bug(
        "top-k-one-less",
        "k - 1 tokens are kept",
        "",
        "top_k",
        lambda s, k, least: s >= _kth(s, max(k - 1, 1)),
    ),
    filter_bug(
        "top-k-one-more",
        "k + 1 tokens are kept",
        "",
        "top_k",
        lambda s, k, least: s >= _kth(s, k + 1),
    ),
    filter_bug(
        "top-k-drops-ties",
        "of tokens that tie with the k-th some are dropped",
        "",
        "top_k",
        _top_k_exactly,
    ),
    filter_bug(
        "min-p-absolute",
        "min_p is compared with p itself, not with a share of the largest",
        "",
        "min_p",
        lambda s, m, least: _at_least(softmax(s) >= m, s),
    ),
    filter_bug(
        "min-p-on-logits",
        "min_p times the largest logit in place of probability",
        "",
        "min_p",
        lambda s, m, least: _at_least(s >= m * s.amax(1, keepdim=True), s),
    ),
    filter_bug(
        "typical-one-short",
        "typical sampling keeps one token too few",
        f"{HF}#27165",
        "typical_p",
        lambda s, m, least: _typical(s, m, 1, lambda i, h: (i - h).abs()),
    ),
    filter_bug(
        "typical-by-surprise",
        "typical sampling sorts by -log p alone",
        "",
        "typical_p",
        lambda s, m, least: _typical(s, m, 0, lambda i, h: i),
    ),
    filter_bug(
        "typical-signed",
        "typical sampling sorts by -log p - H without its magnitude",
        "",
        "typical_p",
        lambda s, m, least: _typical(s, m, 0, lambda i, h: h - i),
    ),
    filter_bug(
        "epsilon-of-largest",
        "epsilon is taken as a share of the largest probability",
        "",
        "epsilon_cutoff",
        lambda s, e, least: _at_least(softmax(s) >= e * softmax(s).amax(1, keepdim=True), s),
    ),
    filter_bug(
        "epsilon-none-kept",
        "the likeliest goes too where all are below epsilon",
        "",
        "epsilon_cutoff",
        lambda s, e, least: softmax(s) >= e,
    ),
    filter_bug(
        "eta-no-root", "eta uses epsilon in place of its root", "", "eta_cutoff", _eta(1.0, -1.0)
    ),
    filter_bug(
        "eta-entropy-sign", "eta uses exp(H) in place of exp(-H)", "", "eta_cutoff", _eta(0.5, 1.0)
    ),
    filter_bug(
        "top-h-of-largest",
        "top_h compares with alpha, not alpha times H",
        "",
        "top_h",
        _top_h_of_itself,
    ),
    processor_bug(
        "fill-tiny",
        "removed logits are set to 1e-10 in place of -1e10",
        "karpathy/minGPT#10",
        {"oracle.decoding._pipeline._sampling_stages": _fill_tiny},
    ),
    processor_bug(
        "probabilities-as-logits",
        "softmax output is passed where logits are meant",
        "ml-explore/mlx-examples#521",
        {"oracle.decoding._pipeline._sampling_stages": _probabilities},
    ),
    processor_bug(
        "temperature-after-filters",
        "temperature acts after the filters",
        "ggml-org/llama.cpp#4091",
        {"oracle.decoding._pipeline._sampling_stages": _filters_first},
    ),
    processor_bug(
        "top-p-before-top-k",
        "top_p acts before top_k",
        "ggml-org/llama.cpp#1977",
        {"oracle.decoding._pipeline._sampling_stages": _top_p_first},
    ),
    processor_bug(
        "temperature-multiplies",
        "logits are multiplied by the temperature",
        "huggingface/transformers.js@9eec801a",
        {f"{_MODULE}.temperature": _times},
    ),
    processor_bug(
        "repetition-boosts-negatives",
        "negative logits are divided too, so boosted",
        f"{HF}#2302",
        {f"{_MODULE}.repetition_penalty": _divides},
    ),
    processor_bug(
        "repetition-per-occurrence",
        "the repetition penalty acts once per occurrence",
        "",
        {f"{_MODULE}.repetition_penalty": _per_occurrence},
    ),
    processor_bug(
        "repetition-inverted",
        "the repetition penalty favours what was seen",
        "mlc-ai/mlc-llm#2937",
        {f"{_MODULE}.repetition_penalty": _multiplies},
    ),
    stage_bug(
        "repetition-generated-only",
        "the repetition penalty leaves out the prompt",
        "",
        repetition_penalty=lambda v, b, s: _repetition(b.generated, s, v),
    ),
    stage_bug(
        "frequency-counts-prompt",
        "the frequency penalty counts the prompt",
        "NVIDIA/TensorRT-LLM#5623",
        frequency_penalty=lambda v, b, s: processors.frequency_penalty(b.tokens, s, v),
    ),
    stage_bug(
        "frequency-once",
        "the frequency penalty acts once, as presence does",
        "huggingface/text-generation-inference#1811",
        frequency_penalty=lambda v, b, s: processors.presence_penalty(b.generated, s, v),
    ),
    stage_bug(
        "presence-counts",
        "the presence penalty acts once per occurrence",
        "",
        presence_penalty=lambda v, b, s: processors.frequency_penalty(b.generated, s, v),
    ),
    stage_bug(
        "presence-sees-prompt",
        "the presence penalty sees the prompt",
        "",
        presence_penalty=lambda v, b, s: processors.presence_penalty(b.tokens, s, v),
    ),
    processor_bug(
        "ngram-one-longer",
        "n-grams of one token more are banned",
        "",
        {f"{_MODULE}.no_repeat_ngram": lambda t, s, n: _ngram(t, s, n + 1)},
    ),
    stage_bug(
        "ngram-ignores-prompt",
        "n-grams of the prompt may be repeated",
        "",
        no_repeat_ngram_size=lambda v, b, s: _ngram(b.generated, s, v),
    ),
    processor_bug(
        "bad-words-first-token",
        "a bad word's first token is always banned",
        "",
        {f"{_MODULE}.bad_words": _first_banned},
    ),
    processor_bug(
        "bad-words-last-token",
        "a bad word's last token is banned whatever stands before",
        "",
        {
            f"{_MODULE}.bad_words": lambda t, s, words: _bias_anywhere(
                t, s, {tuple(w): -math.inf for w in words}
            )
        },
    ),
    processor_bug(
        "sequence-bias-anywhere",
        "a sequence's last token is biased whatever stands before",
        "",
        {f"{_MODULE}.sequence_bias": _bias_anywhere},
    ),
    processor_bug(
        "sequence-bias-last-wins",
        "of several biases only the last acts",
        "",
        {f"{_MODULE}.sequence_bias": _last_bias_wins},
    ),
    stage_bug(
        "logit-bias-multiplies",
        "logit_bias is a factor",
        "",
        logit_bias=lambda v, b, s: s * torch.tensor([v.get(i, 1.0) for i in range(s.shape[1])]),
    ),
    stage_bug(
        "min-new-counts-prompt",
        "the minimum of new tokens counts the prompt",
        f"{HF}#20814",
        min_new_tokens=_rule_out_late("min_new_tokens", "tokens", 0),
    ),
    stage_bug(
        "min-length-new-only",
        "min_length leaves out the prompt",
        "",
        min_length=_rule_out_late("min_length", "generated", 0),
    ),
    stage_bug(
        "min-length-one-late",
        "eos is held back one token too long",
        "",
        min_length=_rule_out_late("min_length", "tokens", 1),
    ),
    stage_bug(
        "min-new-one-early",
        "eos is let go one token too early",
        "",
        min_new_tokens=_rule_out_late("min_new_tokens", "generated", -1),
    ),
    stage_bug(
        "forced-eos-one-early",
        "eos is forced one token too early",
        "",
        forced_eos_token_id=lambda v, b, s: processors.force(
            s, pipeline.ids(v), [len(r.tokens) + 2 == r.limit for r in b.rows]
        ),
    ),
    stage_bug(
        "forced-bos-always",
        "the first token is forced at every step",
        "",
        forced_bos_token_id=lambda v, b, s: processors.force(
            s, pipeline.ids(v), [True] * len(b.rows)
        ),
    ),
    stage_bug(
        "begin-suppress-always",
        "what is suppressed at the beginning is suppressed throughout",
        "",
        begin_suppress_tokens=lambda v, b, s: processors.rule_out(s, v, [True] * len(b.rows)),
    ),
    stage_bug(
        "suppress-first-only",
        "only the first of the tokens is suppressed",
        "",
        suppress_tokens=lambda v, b, s: processors.rule_out(s, v[:1], [True] * len(b.rows)),
    ),
    stage_bug(
        "decay-counts-prompt",
        "the length penalty's start counts the prompt",
        "",
        exponential_decay_length_penalty=lambda v, b, s: (
            processors.exponential_decay_length_penalty(b.tokens, s, b.eos, *v)
        ),
    ),
    processor_bug(
        "decay-multiplies",
        "the length penalty multiplies, so that it lowers negative scores",
        "",
        {f"{_MODULE}.exponential_decay_length_penalty": _plain_decay},
    ),
    *map(_ignores, PROCESSED),
)
