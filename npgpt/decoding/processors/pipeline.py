"""Which processors a run needs, and in which order."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, TypeAlias

from npgpt.arrays import Array
from npgpt.decoding.processors.filters import temperature, top_k, top_p
from npgpt.decoding.processors.lengths import min_length, min_new_tokens
from npgpt.decoding.processors.penalties import repetition_penalty
from npgpt.decoding.processors.vocabulary import real_vocabulary
from npgpt.decoding.row import Row
from npgpt.decoding.settings import Settings

# (rows, scores (rows, vocab)) -> scores (rows, vocab), without writing to what it is given
Processor: TypeAlias = Callable[[Sequence[Row], Array], Array]


def pipeline(settings: Settings, *, vocab_size: int | None = None) -> dict[str, Processor]:
    """The processors that `settings` ask for, by the name of the setting, first to last.

    A setting at its neutral value brings none, nor do those of sampling where nothing is drawn.
    `vocab_size` is the model's, where its logits may be padded to a rounder number of columns.

    >>> list(pipeline(Settings(do_sample=True, top_p=0.9, repetition_penalty=1.2)))
    ['repetition_penalty', 'top_p']
    """
    s, draws, eos = settings, settings.draws, settings.eos_token_ids
    length, count = s.min_length, s.min_new_tokens
    # fmt: off
    table: tuple[tuple[str, bool, Processor], ...] = (
        ("vocab_size", vocab_size is not None, _rowless(real_vocabulary, size=vocab_size)),
        ("repetition_penalty", s.repetition_penalty != 1,
         partial(repetition_penalty, penalty=s.repetition_penalty)),
        ("min_length", bool(length and eos),
         partial(min_length, length=length, eos_token_ids=eos)),
        ("min_new_tokens", bool(count and eos),
         partial(min_new_tokens, count=count, eos_token_ids=eos)),
        ("temperature", draws and s.temperature != 1, _rowless(temperature, value=s.temperature)),
        ("top_k", draws and s.top_k is not None, _rowless(top_k, k=s.top_k)),
        ("top_p", draws and s.top_p is not None, _rowless(top_p, p=s.top_p)),
    )
    # fmt: on
    return {name: processor for name, wanted, processor in table if wanted}


def apply(processors: Mapping[str, Processor], rows: Sequence[Row], logits: Array) -> Array:
    """The scores that the processors make of logits (rows, vocab), one after another.

    >>> import numpy as np
    >>> apply(pipeline(Settings(), vocab_size=1), [Row([0], 1)], np.zeros((1, 2)))
    array([[  0., -inf]])
    """
    for process in processors.values():
        logits = process(rows, logits)
    return logits


def _rowless(function: Callable[..., Array], **settings: Any) -> Processor:
    return lambda rows, scores: function(scores, **settings)
