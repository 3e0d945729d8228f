"""Beam search, and beam sampling, diverse and constrained beams, which differ in single steps.

Sources: Vijayakumar et al. 2016, https://arxiv.org/abs/1610.02424, for groups; Post and Vilar
2018, https://arxiv.org/abs/1804.06609, for constraints.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from oracle.decoding._candidates import Candidate, by_banks, candidates
from oracle.decoding._generation import Generation
from oracle.decoding._hypotheses import (
    Beam,
    Group,
    Search,
    close,
    hypothesis,
    keep_best,
    results,
    stop,
)
from oracle.decoding._language_model import LanguageModel, next_scores
from oracle.decoding._pipeline import gain, process
from oracle.decoding._rows import Row, Settings
from oracle.decoding._stepwise import TextOf


def search_beams(
    language_model: LanguageModel,
    rows: Sequence[Row],
    settings: Settings,
    *,
    uniforms: Sequence[Sequence[Sequence[float]]] | None = None,
    text_of: TextOf | None = None,
) -> Generation:
    """Every decoder with num_beams > 1, one row a prompt; sampling with uniforms[row][step][draw].

    Each step asks the model about all beams of all prompts at once.
    """
    groups = settings.get("num_beam_groups") or 1
    search = Search(settings, settings["num_beams"] // groups, groups, text_of)
    prompts = [[Group([Beam(row)]) for _ in range(groups)] for row in rows]
    for row, of_prompt in zip(rows, prompts, strict=True):
        if len(row.tokens) >= row.limit:
            for group in of_prompt:
                close(search, group, "length")
    while live := [prompt for prompt in prompts if any(group.running for group in prompt)]:
        beams = [beam for prompt in live for group in prompt for beam in group.running]
        asked = next_scores(language_model, [beam.row for beam in beams], settings, beams=True)
        first = 0
        for prompt in live:
            number = sum(len(group.running) for group in prompt)
            logprobs, scores = (found[first : first + number] for found in asked)
            _step(search, prompt, scores, logprobs, uniforms)
            first += number
    return results(search, prompts)


def _step(
    search: Search,
    prompt: list[Group],
    scores: Tensor,
    logprobs: Tensor,
    uniforms: Sequence[Sequence[Sequence[float]]] | None,
) -> None:
    """One step of a prompt's groups in turn; scores and logprobs: (running of all, vocab)."""
    taken, first = torch.zeros_like(scores[0]), 0
    for group in prompt:
        if not group.running:
            continue
        rows = [beam.row for beam in group.running]
        part = slice(first, first + len(rows))
        now, slack = process(
            search.settings,
            rows,
            scores[part],
            sampling=uniforms is not None,
            taken=taken.expand(len(rows), -1) if search.groups > 1 else None,
        )
        us = None if uniforms is None else uniforms[rows[0].prompt][len(rows[0].generated)]
        slack = slack.min().item()
        for c in _advance(search, group, now, logprobs[part], first, slack, us):
            taken[c.token] += 1
        first = part.stop


def _advance(
    search: Search,
    group: Group,
    scores: Tensor,
    logprobs: Tensor,
    first: int,
    slack: float,
    uniforms: Sequence[float] | None,
) -> list[Candidate]:
    """One step of one group, to the candidates that its beams go on by.

    scores and logprobs: (running, vocab). first: the index among the prompt's running beams of the
    group's first. slack: how narrowly the processors dropped what they did.
    """
    beams, step = group.running, len(group.running[0].row.generated)
    by = gain(search.settings, step, sampling=uniforms is not None, beams=True)
    group.moves += by
    sums = torch.tensor([beam.total for beam in beams], dtype=torch.float64, device=scores.device)
    totals = (sums[:, None] + scores).cpu()
    best, more, narrow = candidates(search, beams, totals, uniforms)
    if not best:
        group.margins.append(min(slack / by, close(search, group, "no_candidates")))
        return []
    scores, logprobs = scores.cpu(), logprobs.cpu()

    def grown(c: Candidate) -> Beam:
        beam = beams[c.beam]
        return Beam(
            beam.row.then(c.token),
            c.total,
            (*beam.parents, first + c.beam),
            (*beam.logprobs, logprobs[c.beam, c.token].item()),
            (*beam.scores, scores[c.beam]),
        )

    for c in best[: search.width]:
        if c.finish:
            group.finished.append(hypothesis(search, group, grown(c), c.finish))
    going_on = [c for c in [*best, *more] if not c.finish]
    chosen = by_banks(going_on, search.width)
    group.running = [grown(c) for c in chosen]
    margins = [slack / by, narrow / (2 * group.moves), keep_best(search, group)]
    if group.running:
        margins.append(stop(search, group))
    group.margins.append(min(margins))
    return chosen
