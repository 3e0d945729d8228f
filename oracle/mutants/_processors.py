"""Bugs of logits processors and filters of sampling."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from oracle.decoding import _filters as filters
from oracle.decoding import _pipeline as pipeline
from oracle.decoding import _processors as processors
from oracle.decoding._rows import counts, ids
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
        mask = kept(scores, value, least)
        return mask, torch.full_like(scores[:, 0], NEVER)

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
    replaces: dict[str, Any] = {f"oracle.decoding._pipeline.{table}": rest}
    if name == "temperature":
        replaces = {f"{_MODULE}.temperature": lambda scores, value: scores}
    drawn = name == "temperature" or name in filters.FILTERS
    return processor_bug(
        id,
        f"{name} is accepted and changes nothing",
        _IGNORED_IN.get(name, ""),
        replaces,
        effect="as if it were not set",
        severity="probabilities" if drawn else "text",
    )


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
        effect="one token too few: with p = 0.5 often the likeliest alone",
        severity="probabilities",
    ),
    filter_bug(
        "top-p-keeps-extra",
        "one token too many where the sum equals p",
        f"{HF}#18976",
        "top_p",
        _top_p(lambda q, p: _before(q) <= p),
        effect="nothing but where a sum meets p exactly",
        severity="probabilities",
    ),
    filter_bug(
        "top-p-not-unsorted",
        "the sorted mask is applied without sorting back",
        "lucidrains/PaLM-rlhf-pytorch#60",
        "top_p",
        _top_p_not_unsorted,
        effect="ids of unlikely tokens stay, likely ones go",
        severity="text",
    ),
    filter_bug(
        "top-p-ascending",
        "the least probable tokens are kept up to p",
        "dmlc/gluon-nlp#1481",
        "top_p",
        _top_p_ascending,
        effect="rubbish: the least likely tokens are drawn",
        severity="text",
    ),
    filter_bug(
        "top-p-against-p",
        "each token's own probability is compared with 1 - p",
        "",
        "top_p",
        lambda s, p, least: _at_least(softmax(s) > 1 - p, s),
        effect="far fewer tokens stay than are asked for",
        severity="probabilities",
    ),
    filter_bug(
        "top-k-strict",
        "> for >= at the k-th value",
        "",
        "top_k",
        lambda s, k, least: s > _kth(s, k),
        effect="k - 1 tokens stay: with k = 1 none, or the likeliest by chance",
        severity="probabilities",
    ),
    filter_bug(
        "top-k-one-less",
        "k - 1 tokens are kept",
        "",
        "top_k",
        lambda s, k, least: s >= _kth(s, max(k - 1, 1)),
        effect="k - 1 tokens stay",
        severity="probabilities",
    ),
    filter_bug(
        "top-k-one-more",
        "k + 1 tokens are kept",
        "kingoflolz/mesh-transformer-jax#164",
        "top_k",
        lambda s, k, least: s >= _kth(s, k + 1),
        effect="k + 1 tokens stay: with k = 1 it is not greedy",
        severity="probabilities",
    ),
    filter_bug(
        "top-k-drops-ties",
        "of tokens that tie with the k-th some are dropped",
        "ml-explore/mlx-lm:mlx_lm/sample_utils.py",
        "top_k",
        _top_k_exactly,
        effect="nothing but where tokens tie at the k-th place",
        severity="probabilities",
    ),
    filter_bug(
        "min-p-absolute",
        "min_p is compared with p itself, not with a share of the largest",
        "",
        "min_p",
        lambda s, m, least: _at_least(softmax(s) >= m, s),
        effect="flat distributions keep the likeliest token alone",
        severity="probabilities",
    ),
    filter_bug(
        "min-p-on-logits",
        "min_p times the largest logit in place of probability",
        "",
        "min_p",
        lambda s, m, least: _at_least(s >= m * s.amax(1, keepdim=True), s),
        effect="far too few, or all, tokens stay",
        severity="probabilities",
    ),
    filter_bug(
        "typical-one-short",
        "typical sampling keeps one token too few",
        f"{HF}#27165",
        "typical_p",
        lambda s, m, least: _typical(s, m, 1, lambda i, h: (i - h).abs()),
        effect="one token too few",
        severity="probabilities",
    ),
    filter_bug(
        "typical-by-surprise",
        "typical sampling sorts by -log p alone",
        "",
        "typical_p",
        lambda s, m, least: _typical(s, m, 0, lambda i, h: i),
        effect="the likeliest tokens are kept, as by top_p",
        severity="probabilities",
    ),
    filter_bug(
        "epsilon-none-kept",
        "the likeliest goes too where all are below epsilon",
        "",
        "epsilon_cutoff",
        lambda s, e, least: softmax(s) >= e,
        effect="no token is left where the distribution is flat",
        severity="probabilities",
    ),
    filter_bug(
        "eta-no-root",
        "eta uses epsilon in place of its root",
        "",
        "eta_cutoff",
        _eta(1.0, -1.0),
        effect="far more tokens stay where entropy is high",
        severity="probabilities",
    ),
    processor_bug(
        "fill-tiny",
        "removed logits are set to 1e-10 in place of -1e10",
        "karpathy/minGPT#10",
        {"oracle.decoding._pipeline._sampling_stages": _fill_tiny},
        effect="removed tokens are drawn wherever logits are negative",
        severity="text",
    ),
    processor_bug(
        "probabilities-as-logits",
        "softmax output is passed where logits are meant",
        "ml-explore/mlx-examples#521",
        {"oracle.decoding._pipeline._sampling_stages": _probabilities},
        effect="nearly all tokens equally likely: rubbish",
        severity="text",
    ),
    processor_bug(
        "temperature-after-filters",
        "temperature acts after the filters",
        "ggml-org/llama.cpp#4091",
        {"oracle.decoding._pipeline._sampling_stages": _filters_first},
        effect="other tokens stay at temperatures other than 1",
        severity="probabilities",
    ),
    processor_bug(
        "top-p-before-top-k",
        "top_p acts before top_k",
        "ggml-org/llama.cpp#1977",
        {"oracle.decoding._pipeline._sampling_stages": _top_p_first},
        effect="other tokens stay where both are set",
        severity="probabilities",
    ),
    processor_bug(
        "temperature-multiplies",
        "logits are multiplied by the temperature",
        "huggingface/transformers.js@9eec801a",
        {f"{_MODULE}.temperature": _times},
        effect="0.5 draws as 2 does: rubbish where care was asked for",
        severity="text",
    ),
    processor_bug(
        "repetition-boosts-negatives",
        "negative logits are divided too, so boosted",
        f"{HF}#2302",
        {f"{_MODULE}.repetition_penalty": _divides},
        effect="repeats what it should avoid, where logits are negative",
        severity="text",
    ),
    processor_bug(
        "repetition-per-occurrence",
        "the repetition penalty acts once per occurrence",
        "huggingface/transformers.js#1062",
        {f"{_MODULE}.repetition_penalty": _per_occurrence},
        effect="common words vanish from long texts",
        severity="text",
    ),
    processor_bug(
        "repetition-inverted",
        "the repetition penalty favours what was seen",
        "mlc-ai/mlc-llm#2937",
        {f"{_MODULE}.repetition_penalty": _multiplies},
        effect="falls into loops",
        severity="text",
    ),
    stage_bug(
        "repetition-generated-only",
        "the repetition penalty leaves out the prompt",
        "",
        effect="the prompt's words are not penalised",
        severity="text",
        repetition_penalty=lambda v, b, s: _repetition(b.generated, s, v),
    ),
    stage_bug(
        "frequency-counts-prompt",
        "the frequency penalty counts the prompt",
        "NVIDIA/TensorRT-LLM#5623",
        effect="the prompt's words are avoided too",
        severity="text",
        frequency_penalty=lambda v, b, s: processors.frequency_penalty(b.tokens, s, v),
    ),
    stage_bug(
        "frequency-once",
        "the frequency penalty acts once, as presence does",
        "huggingface/text-generation-inference#1811",
        effect="a word's third and later uses are as cheap as its second",
        severity="text",
        frequency_penalty=lambda v, b, s: processors.presence_penalty(b.generated, s, v),
    ),
    stage_bug(
        "presence-counts",
        "the presence penalty acts once per occurrence",
        "",
        effect="common words vanish from long texts",
        severity="text",
        presence_penalty=lambda v, b, s: processors.frequency_penalty(b.generated, s, v),
    ),
    stage_bug(
        "presence-sees-prompt",
        "the presence penalty sees the prompt",
        "LostRuins/koboldcpp:examples/server/server.cpp",
        effect="the prompt's words are avoided too",
        severity="text",
        presence_penalty=lambda v, b, s: processors.presence_penalty(b.tokens, s, v),
    ),
    processor_bug(
        "ngram-one-longer",
        "n-grams of one token more are banned",
        "",
        {f"{_MODULE}.no_repeat_ngram": lambda t, s, n: _ngram(t, s, n + 1)},
        effect="n-grams of the forbidden length repeat",
        severity="text",
    ),
    stage_bug(
        "ngram-ignores-prompt",
        "n-grams of the prompt may be repeated",
        "",
        effect="the prompt's phrases are repeated",
        severity="text",
        no_repeat_ngram_size=lambda v, b, s: _ngram(b.generated, s, v),
    ),
    processor_bug(
        "bad-words-first-token",
        "a bad word's first token is always banned",
        "",
        {f"{_MODULE}.bad_words": _first_banned},
        effect="harmless words that begin alike are banned",
        severity="text",
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
        effect="harmless words that end alike are banned",
        severity="text",
    ),
    processor_bug(
        "sequence-bias-anywhere",
        "a sequence's last token is biased whatever stands before",
        "",
        {f"{_MODULE}.sequence_bias": _bias_anywhere},
        effect="the last token is biased in every context",
        severity="text",
    ),
    processor_bug(
        "sequence-bias-last-wins",
        "of several biases only the last acts",
        "",
        {f"{_MODULE}.sequence_bias": _last_bias_wins},
        effect="all biases but one are lost",
        severity="text",
    ),
    stage_bug(
        "min-new-counts-prompt",
        "the minimum of new tokens counts the prompt",
        f"{HF}#20814",
        effect="no minimum after a long prompt",
        severity="text",
        min_new_tokens=_rule_out_late("min_new_tokens", "tokens", 0),
    ),
    stage_bug(
        "min-length-new-only",
        "min_length leaves out the prompt",
        "",
        effect="texts longer than asked by the prompt's length",
        severity="text",
        min_length=_rule_out_late("min_length", "generated", 0),
    ),
    stage_bug(
        "min-length-one-late",
        "eos is held back one token too long",
        "",
        effect="texts one token longer than they need be",
        severity="text",
        min_length=_rule_out_late("min_length", "tokens", 1),
    ),
    stage_bug(
        "min-new-one-early",
        "eos is let go one token too early",
        "",
        effect="texts one token below the minimum",
        severity="text",
        min_new_tokens=_rule_out_late("min_new_tokens", "generated", -1),
    ),
    stage_bug(
        "forced-eos-one-early",
        "eos is forced one token too early",
        "",
        effect="texts one token short, and then another token",
        severity="text",
        forced_eos_token_id=lambda v, b, s: processors.force(
            s, ids(v), [len(r.tokens) + 2 == r.limit for r in b.rows]
        ),
    ),
    stage_bug(
        "begin-suppress-always",
        "what is suppressed at the beginning is suppressed throughout",
        "",
        effect="tokens banned at the start are never used",
        severity="text",
        begin_suppress_tokens=lambda v, b, s: processors.rule_out(s, v, [True] * len(b.rows)),
    ),
    stage_bug(
        "decay-counts-prompt",
        "the length penalty's start counts the prompt",
        "",
        effect="texts end early after a long prompt",
        severity="text",
        exponential_decay_length_penalty=lambda v, b, s: (
            processors.exponential_decay_length_penalty(b.tokens, s, b.eos, *v)
        ),
    ),
    processor_bug(
        "decay-multiplies",
        "the length penalty multiplies, so that it lowers negative scores",
        "huggingface/transformers#25416",
        {f"{_MODULE}.exponential_decay_length_penalty": _plain_decay},
        effect="texts run on where they should come to an end",
        severity="text",
    ),
    *map(_ignores, PROCESSED),
)
