"""Decoders that keep one text a row: greedy, sampling, and what all such share."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import torch
from torch import Tensor

from oracle.decoding._choice import draw, highest
from oracle.decoding._generation import Generation
from oracle.decoding._language_model import LanguageModel, next_scores
from oracle.decoding._pipeline import gain, process
from oracle.decoding._rows import Row, Settings, ids

TextOf: TypeAlias = Callable[[Sequence[int]], str]


@dataclass
class Run:
    """One row while it is generated, and what is to be told of it."""

    row: Row
    stopped: str | None = None
    logprobs: list[float] = field(default_factory=list)
    scores: list[Tensor] = field(default_factory=list)
    margins: list[float] = field(default_factory=list)

    def take(self, decision: "Decision", settings: Settings, text_of: TextOf | None) -> None:
        """Go on by the token that was decided, or stop where there is none."""
        self.margins.append(decision.margin)
        if decision.token < 0:
            self.stopped = "no_candidates"
            return
        self.row = self.row.then(decision.token)
        self.logprobs.append(decision.logprob)
        self.scores.append(decision.scores)
        self.stopped = ending(self.row, settings, text_of)


@dataclass(frozen=True)
class Decision:
    """What follows a row; token -1 means that all were ruled out. scores: (vocab,) on the CPU."""

    token: int
    logprob: float
    scores: Tensor
    margin: float


def ending(row: Row, settings: Settings, text_of: TextOf | None) -> str | None:
    """Why the row ends with its last token, or None.

    >>> from oracle.decoding._rows import start_rows
    >>> row, = start_rows([[0]], {"max_new_tokens": 2})
    >>> ending(row, {"eos_token_id": 0}, None)
    >>> ending(row.then(0), {"eos_token_id": 0}, None)
    'eos'
    """
    if row.generated and row.generated[-1] in ids(settings.get("eos_token_id")):
        return "eos"
    if holds_stop_string(row, settings, text_of):
        return "stop_string"
    return "length" if len(row.tokens) >= row.limit else None


def holds_stop_string(row: Row, settings: Settings, text_of: TextOf | None) -> bool:
    """Whether the generated text has a stop string in it."""
    wanted = settings.get("stop_strings") or ()
    wanted = [wanted] if isinstance(wanted, str) else wanted
    if not wanted or not row.generated:
        return False
    if text_of is None:
        raise ValueError("stop_strings need text_of, a function from generated ids to their text")
    text = text_of(row.generated)
    return any(stop in text for stop in wanted)


def decide(
    language_model: LanguageModel,
    rows: Sequence[Row],
    settings: Settings,
    uniforms: Sequence[float] | None,
) -> list[Decision]:
    """What greedy search, or sampling with one uniform a row, puts after each row."""
    sampling = uniforms is not None
    logprobs, scores = next_scores(language_model, rows, settings, beams=False)
    scores, slack = process(settings, rows, scores, sampling=sampling)
    if sampling:
        u = torch.tensor(uniforms, dtype=torch.float64, device=scores.device)
        tokens, narrow = draw(scores, u)
    else:
        tokens, narrow = highest(scores)
    chosen = logprobs.gather(1, tokens.clamp(min=0)[:, None])[:, 0].tolist()
    tokens, slack, scores = tokens.tolist(), torch.minimum(slack, narrow).tolist(), scores.cpu()
    decisions = []
    for i, row in enumerate(rows):
        by = gain(settings, len(row.generated), sampling=sampling, beams=False)
        decisions.append(Decision(tokens[i], chosen[i], scores[i], slack[i] / by))
    return decisions


def samples(settings: Settings) -> bool:
    """Whether tokens are drawn: asked for, and not at temperature 0, which is greedy search."""
    return bool(settings.get("do_sample")) and settings.get("temperature") != 0


def run_stepwise(
    language_model: LanguageModel,
    rows: Sequence[Row],
    settings: Settings,
    *,
    uniforms: Sequence[Sequence[float]] | None = None,
    text_of: TextOf | None = None,
) -> Generation:
    """Greedy search; or sampling with uniforms[row][step], (rows, steps)."""
    runs = [Run(row, "length" if len(row.tokens) >= row.limit else None) for row in rows]
    while live := [i for i, run in enumerate(runs) if run.stopped is None]:
        some = [runs[i].row for i in live]
        us = None if uniforms is None else [uniforms[i][len(runs[i].row.generated)] for i in live]
        for i, decision in zip(live, decide(language_model, some, settings, us), strict=True):
            runs[i].take(decision, settings, text_of)
    return generation(runs)


def greedy(
    language_model: LanguageModel,
    rows: Sequence[Row],
    settings: Settings,
    *,
    text_of: TextOf | None = None,
) -> Generation:
    """The highest score at each step, the lowest id among equals."""
    return run_stepwise(language_model, rows, settings, text_of=text_of)


def sample(
    language_model: LanguageModel,
    rows: Sequence[Row],
    settings: Settings,
    *,
    uniforms: Sequence[Sequence[float]],
    text_of: TextOf | None = None,
) -> Generation:
    """A draw at each step by uniforms[row][step], the inverse of the cumulated shares by id."""
    return run_stepwise(language_model, rows, settings, uniforms=uniforms, text_of=text_of)


def generation(runs: Sequence[Run]) -> Generation:
    """The results of finished runs."""
    return Generation(
        prompts=tuple(run.row.prompt for run in runs),
        sequences=tuple(run.row.tokens for run in runs),
        stopped=tuple(run.stopped for run in runs),
        logprobs=tuple(tuple(run.logprobs) for run in runs),
        scores=tuple(stack(run.scores) for run in runs),
        margins=tuple(tuple(run.margins) for run in runs),
    )


def stack(scores: Sequence[Tensor]) -> Tensor:
    """Scores of each generated token, (generated, vocab); (0, 0) where there are none."""
    return torch.stack(list(scores)) if scores else torch.zeros(0, 0, dtype=torch.float64)
