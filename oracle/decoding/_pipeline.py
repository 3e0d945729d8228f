"""All processors in their order, over a batch of rows."""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from oracle.decoding import _processors as processors
from oracle.decoding._filters import FILTERS, OFF
from oracle.decoding._rows import Row, Settings, ids


class Stage(NamedTuple):
    """The scores after the setting `name` acted, and the slack of what it dropped, (rows,)."""

    name: str
    scores: Tensor
    slack: Tensor | None


class Batch(NamedTuple):
    """What processors may look at. taken: how often earlier groups took each token, if any."""

    rows: Sequence[Row]
    eos: list[int]
    taken: Tensor | None

    @property
    def tokens(self) -> list[tuple[int, ...]]:
        """All tokens of each row."""
        return [row.tokens for row in self.rows]

    @property
    def generated(self) -> list[tuple[int, ...]]:
        """The generated tokens of each row."""
        return [row.generated for row in self.rows]

    @property
    def first(self) -> list[bool]:
        """Whether the next token is the first generated one."""
        return [not row.generated for row in self.rows]

    @property
    def last(self) -> list[bool]:
        """Whether the next token is the last for which there is room."""
        return [len(row.tokens) + 1 == row.limit for row in self.rows]


# In the order in which they act; the setting's value, the batch, the scores.
PROCESSORS: dict[str, Callable[..., Tensor]] = {
    "sequence_bias": lambda v, b, s: processors.sequence_bias(b.tokens, s, v),
    "logit_bias": lambda v, b, s: processors.sequence_bias(
        b.tokens, s, {(token,): bias for token, bias in v.items()}
    ),
    "diversity_penalty": lambda v, b, s: (
        s if b.taken is None else processors.diversity_penalty(s, b.taken, v)
    ),
    "repetition_penalty": lambda v, b, s: processors.repetition_penalty(b.tokens, s, v),
    "frequency_penalty": lambda v, b, s: processors.frequency_penalty(b.generated, s, v),
    "presence_penalty": lambda v, b, s: processors.presence_penalty(b.generated, s, v),
    "no_repeat_ngram_size": lambda v, b, s: processors.no_repeat_ngram(b.tokens, s, v) if v else s,
    "bad_words_ids": lambda v, b, s: processors.bad_words(b.tokens, s, v),
    "min_length": lambda v, b, s: processors.rule_out(s, b.eos, [len(t) < v for t in b.tokens]),
    "min_new_tokens": lambda v, b, s: processors.rule_out(
        s, b.eos, [len(t) < v for t in b.generated]
    ),
    "prefix_allowed_tokens_fn": lambda v, b, s: processors.prefix_allowed(
        b.tokens, s, [row.prompt for row in b.rows], v
    ),
    "forced_bos_token_id": lambda v, b, s: processors.force(s, ids(v), b.first),
    "forced_eos_token_id": lambda v, b, s: processors.force(s, ids(v), b.last),
    "exponential_decay_length_penalty": lambda v, b, s: processors.exponential_decay_length_penalty(
        b.generated, s, b.eos, *v
    ),
    "suppress_tokens": lambda v, b, s: processors.rule_out(s, v, [True] * len(b.rows)),
    "begin_suppress_tokens": lambda v, b, s: processors.rule_out(s, v, b.first),
}


def stages(
    settings: Settings,
    rows: Sequence[Row],
    scores: Tensor,
    *,
    sampling: bool = False,
    taken: Tensor | None = None,
) -> Iterator[Stage]:
    """The scores, float64 (rows, vocab), after each setting that is given, in the order of action.

    sampling: whether temperature and the filters act. In beam sampling the filters keep as many
    tokens as there are eos ids, and one more.

    >>> from oracle.decoding._rows import start_rows
    >>> given = {"max_new_tokens": 1, "repetition_penalty": 2.0, "suppress_tokens": [1]}
    >>> for stage in stages(given, start_rows([[0]], given), torch.tensor([[-1.0, 2.0, 3.0]])):
    ...     print(stage.name, stage.scores.tolist())
    repetition_penalty [[-2.0, 2.0, 3.0]]
    suppress_tokens [[-2.0, -inf, 3.0]]
    """
    batch = Batch(rows, ids(settings.get("eos_token_id")), taken)
    for name, act in PROCESSORS.items():
        if settings.get(name) is not None:
            scores = act(settings[name], batch, scores)
            yield Stage(name, scores, None)
    for act in settings.get("logits_processor") or ():
        scores = act([list(row.tokens) for row in rows], scores)
        yield Stage("logits_processor", scores, None)
    if sampling:
        yield from _sampling_stages(settings, batch, scores)


def _sampling_stages(settings: Settings, batch: Batch, scores: Tensor) -> Iterator[Stage]:
    if settings.get("temperature") is not None:
        scores = processors.temperature(scores, settings["temperature"])
        yield Stage("temperature", scores, None)
    least = 1 if settings.get("num_beams", 1) == 1 else len(batch.eos) + 1
    for name, act in FILTERS.items():
        if settings.get(name) not in (None, OFF[name]):
            kept, slack = act(scores, settings[name], least=least)
            possible = (scores > -math.inf).any(1)
            scores = scores.masked_fill(~kept, -math.inf)
            yield Stage(name, scores, torch.where(possible, slack, math.inf))


def process(
    settings: Settings,
    rows: Sequence[Row],
    scores: Tensor,
    *,
    sampling: bool = False,
    taken: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """The scores after all `stages`, and the least slack of them, (rows,)."""
    slack = scores.new_full((len(rows),), math.inf)
    for stage in stages(settings, rows, scores, sampling=sampling, taken=taken):
        scores = stage.scores
        slack = slack if stage.slack is None else torch.minimum(slack, stage.slack)
    return scores, slack


def gain(settings: Settings, generated: int, *, sampling: bool, beams: bool) -> float:
    """By how much a processed score may move, at most, while every logit moves by 1.

    generated: the number of tokens generated before. What `logits_processor` does is taken to move
    nothing further than its argument moved.

    >>> gain({"temperature": 0.5}, 0, sampling=True, beams=False)
    2.0
    """
    scale = settings.get("guidance_scale") or 1
    found = 2.0 * (abs(scale) + abs(1 - scale)) if scale != 1 else 1.0
    found *= 2 if beams else 1  # log_softmax: a logit and the mean of all
    penalty = settings.get("repetition_penalty") or 1
    found *= max(penalty, 1 / penalty)
    if settings.get("exponential_decay_length_penalty") is not None:
        start, factor = settings["exponential_decay_length_penalty"]
        growth = factor ** max(generated - start, 0)
        found *= max(growth, 2 - growth, 1)
    if sampling:
        found /= settings.get("temperature") or 1
    return found
