"""Bugs of logits processors in batches and servers: whose history counts, and from when."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from oracle.decoding import _filters as filters
from oracle.decoding import _pipeline as pipeline
from oracle.decoding import _processors as processors
from oracle.decoding._rows import Row
from oracle.mutants._mutant import Mutant
from oracle.mutants._processors import NEVER, processor_bug, stage_bug
from oracle.ops._softmax import softmax

_MODULE = "oracle.decoding._processors"
BAN = -1e4

_rule_out, _sampling_stages = processors.rule_out, pipeline._sampling_stages


def _of_row_0(name: str, tokens: str) -> Any:
    """That penalty, counting row 0's tokens in every row."""
    penalise = getattr(processors, name)

    def act(value: float, batch: pipeline.Batch, scores: Tensor) -> Tensor:
        return penalise([getattr(batch, tokens)[0]] * len(batch.rows), scores, value)

    return act


def _leaking() -> Any:
    """A frequency penalty that counts, too, what the call before this one generated."""
    before: list[tuple[int, ...]] = []
    rows_seen: list[Row] = []

    def goes_on(row: Row) -> bool:
        return any(
            row.generated[:-1] == old.generated and row.prompt == old.prompt for old in rows_seen
        )

    def act(value: float, batch: pipeline.Batch, scores: Tensor) -> Tensor:
        if not all(map(goes_on, batch.rows)):
            before[:] = [row.generated for row in rows_seen][:1]
        rows_seen[:] = batch.rows
        left = [token for tokens in before for token in tokens if token < scores.shape[1]]
        return processors.frequency_penalty([(*g, *left) for g in batch.generated], scores, value)

    return act


def _banned_by_number(scores: Tensor, tokens: Sequence[int], where: Sequence[bool]) -> Tensor:
    ruled_out = _rule_out(scores, tokens, where)
    return torch.where((ruled_out == -math.inf) & (scores > -math.inf), BAN, ruled_out)


def _top_p_of_all(
    settings: Mapping[str, Any], batch: pipeline.Batch, scores: Tensor
) -> Iterator[pipeline.Stage]:
    """What top_k dropped still has its share when top_p adds up shares."""
    top_p = settings.get("top_p")
    for stage in _sampling_stages({**settings, "top_p": None}, batch, scores):
        if stage.name == "temperature":
            scores = stage.scores
        yield stage
        if stage.name == "top_k" and top_p not in (None, filters.OFF["top_p"]):
            share = torch.where(stage.scores == -math.inf, 0, softmax(scores))
            largest, order = torch.sort(share, dim=1, descending=True, stable=True)
            kept = largest.cumsum(1) - largest < top_p
            mask = torch.zeros_like(kept).scatter(1, order, kept)
            left = stage.scores.masked_fill(~mask, -math.inf)
            yield pipeline.Stage("top_p", left, torch.full_like(left[:, 0], NEVER))
            rest = {**settings, "temperature": None, "top_k": None, "top_p": None}
            yield from _sampling_stages(rest, batch, left)
            return


def _keeps_equals(scores: Tensor, p: float, *, least: int = 1) -> tuple[Tensor, Tensor]:
    kept, slack = filters.top_p(scores, p, least=least)
    lowest = torch.where(kept, scores, math.inf).amin(1, keepdim=True)
    return scores >= lowest, torch.full_like(slack, NEVER)


MUTANTS: tuple[Mutant, ...] = (
    stage_bug(
        "repetition-of-row-0",
        "in a batch, every row is penalised for the tokens of row 0",
        "turboderp-org/exllamav2@45d0ddd",
        effect="right alone; other texts in a batch",
        severity="text",
        repetition_penalty=_of_row_0("repetition_penalty", "tokens"),
    ),
    stage_bug(
        "frequency-of-row-0",
        "in a batch, every row's frequencies are those of row 0",
        "",
        effect="right alone; other texts in a batch",
        severity="text",
        frequency_penalty=_of_row_0("frequency_penalty", "generated"),
    ),
    stage_bug(
        "presence-of-row-0",
        "in a batch, what is present is looked up in row 0",
        "",
        effect="right alone; other texts in a batch",
        severity="text",
        presence_penalty=_of_row_0("presence_penalty", "generated"),
    ),
    stage_bug(
        "repetition-last-token-only",
        "the repetition penalty sees the last token alone",
        "OpenNMT/CTranslate2:CHANGELOG.md",
        effect="loops of two tokens and more go unpunished",
        severity="text",
        repetition_penalty=lambda v, b, s: processors.repetition_penalty(
            [t[-1:] for t in b.tokens], s, v
        ),
    ),
    stage_bug(
        "frequency-one-behind",
        "the frequency penalty does not count the last token yet",
        "",
        effect="a token may stand twice in a row before it is penalised",
        severity="text",
        frequency_penalty=lambda v, b, s: processors.frequency_penalty(
            [g[:-1] for g in b.generated], s, v
        ),
    ),
    stage_bug(
        "frequency-leaks",
        "the frequency penalty still counts what the call before generated",
        "",
        effect="right in a fresh process; other texts from the second call on",
        severity="text",
        frequency_penalty=_leaking(),
    ),
    processor_bug(
        "temperature-twice",
        "logits are divided by the temperature twice",
        "",
        {f"{_MODULE}.temperature": lambda scores, value: scores / value / value},
        effect="temperature 0.7 draws as 0.49 does",
        severity="probabilities",
    ),
    stage_bug(
        "min-length-first-eos",
        "a minimum length holds back the first of several eos ids only",
        "",
        effect="texts that end below the minimum",
        severity="text",
        min_length=lambda v, b, s: _rule_out(s, b.eos[:1], [len(t) < v for t in b.tokens]),
    ),
    stage_bug(
        "min-new-first-eos",
        "a minimum of new tokens holds back the first of several eos ids only",
        "vllm-project/vllm#5849",
        effect="texts that end below the minimum",
        severity="text",
        min_new_tokens=lambda v, b, s: _rule_out(s, b.eos[:1], [len(t) < v for t in b.generated]),
    ),
    processor_bug(
        "ban-minus-1e4",
        "what is ruled out gets a score of -1e4, so may be chosen where all is ruled out",
        "oobabooga/text-generation-webui:extensions/long_replies/script.py",
        {f"{_MODULE}.rule_out": _banned_by_number},
        effect="nothing, until all else is ruled out too",
        severity="probabilities",
    ),
    processor_bug(
        "top-p-unnormalised",
        "top_p adds up shares that were not normalised again after top_k",
        "ml-explore/mlx-lm#388",
        {"oracle.decoding._pipeline._sampling_stages": _top_p_of_all},
        effect="with top_k, top_p keeps too many tokens",
        severity="probabilities",
    ),
    processor_bug(
        "top-p-keeps-equals",
        "top_p keeps all tokens that are as likely as the last one that it needs",
        "",
        {"oracle.decoding._pipeline.FILTERS": filters.FILTERS | {"top_p": _keeps_equals}},
        effect="nothing, but where tokens tie",
        severity="probabilities",
    ),
)
