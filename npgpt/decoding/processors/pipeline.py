"""Which processors a run needs, and in which order."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, TypeAlias

from npgpt.arrays import Array
from npgpt.decoding.processors import (
    custom,
    entropy_filters,
    filters,
    forced,
    lengths,
    ngrams,
    penalties,
    phrases,
    vocabulary,
)
from npgpt.decoding.row import Row
from npgpt.decoding.settings import Settings

# (rows, scores (rows, vocab)) -> scores (rows, vocab), without writing to what it is given
Processor: TypeAlias = Callable[[Sequence[Row], Array], Array]
# The name of a setting, whether its value asks for a processor, and that processor
_Entry: TypeAlias = tuple[str, bool, Processor]


def pipeline(
    settings: Settings,
    *,
    vocab_size: int | None = None,
    diversity: Processor | None = None,
    min_tokens_to_keep: int = 1,
) -> dict[str, Processor]:
    """The processors that `settings` ask for, by the name of the setting, first to last.

    A setting at its neutral value brings none, nor do those of sampling where nothing is drawn.
    `vocab_size` is the model's, where its logits may be padded to a rounder number of columns.
    `diversity` is what a group of beams puts in its place. Each filter of sampling keeps at least
    `min_tokens_to_keep` tokens.

    >>> list(pipeline(Settings(do_sample=True, top_p=0.9, repetition_penalty=1.2)))
    ['repetition_penalty', 'top_p']
    """
    entries = [
        *_shaping(settings, vocab_size, diversity),
        *_ruling(settings, vocab_size),
        *_custom(settings),
    ]
    if settings.draws:
        entries += _sampling(settings, min_tokens_to_keep)
    return {name: processor for name, wanted, processor in entries if wanted}


def stages(
    processors: Mapping[str, Processor], rows: Sequence[Row], logits: Array
) -> dict[str, Array]:
    """Logits (rows, vocab) as "model", then the scores after each processor, by its name.

    The last are the ones to choose by. A processor that gives back the very array has no stage.

    >>> import numpy as np
    >>> stages(pipeline(Settings(logit_bias={1: 2.0})), [Row([0], 1)], np.zeros((1, 2)))
    {'model': array([[0., 0.]]), 'logit_bias': array([[0., 2.]])}
    """
    scores = {"model": logits}
    for name, process in processors.items():
        before, logits = logits, process(rows, logits)
        if logits is not before:
            scores[name] = logits
    return scores


# fmt: off
def _shaping(
    s: Settings, vocab_size: int | None, diversity: Processor | None
) -> Iterator[_Entry]:
    yield ("vocab_size", vocab_size is not None,
           _rowless(vocabulary.real_vocabulary, size=vocab_size))
    yield ("sequence_bias", bool(s.sequence_bias),
           partial(phrases.sequence_bias, biases=s.sequence_bias))
    yield "logit_bias", bool(s.logit_bias), _rowless(phrases.logit_bias, biases=s.logit_bias)
    if diversity is not None:
        yield "diversity_penalty", True, diversity
    for name, neutral, function in (
        ("repetition_penalty", 1, penalties.repetition_penalty),
        ("frequency_penalty", 0, penalties.frequency_penalty),
        ("presence_penalty", 0, penalties.presence_penalty),
    ):
        value = getattr(s, name)
        yield name, value != neutral, partial(function, penalty=value)


def _ruling(s: Settings, vocab_size: int | None) -> Iterator[_Entry]:
    eos, size, allowed = s.eos_token_ids, s.no_repeat_ngram_size, s.prefix_allowed_tokens_fn
    if size is not None:
        yield "no_repeat_ngram_size", True, partial(ngrams.no_repeat_ngram, size=size)
    yield ("bad_words_ids", bool(s.bad_words_ids),
           partial(phrases.bad_words, phrases=s.bad_words_ids))
    yield ("min_length", bool(s.min_length and eos),
           partial(lengths.min_length, length=s.min_length, eos_token_ids=eos))
    yield ("min_new_tokens", bool(s.min_new_tokens and eos),
           partial(lengths.min_new_tokens, count=s.min_new_tokens, eos_token_ids=eos))
    if allowed is not None:
        yield ("prefix_allowed_tokens_fn", True,
               partial(custom.prefix_allowed, function=allowed, vocab_size=vocab_size))
    if s.forced_bos_token_id is not None:
        yield ("forced_bos_token_id", True,
               partial(forced.forced_bos, token=s.forced_bos_token_id))
    yield ("forced_eos_token_id", bool(s.forced_eos_token_ids),
           partial(forced.forced_eos, tokens=s.forced_eos_token_ids))
    start, factor = s.exponential_decay_length_penalty or (0, 1.0)
    yield ("exponential_decay_length_penalty", bool(factor != 1 and eos),
           partial(lengths.exponential_decay, start=start, factor=factor, eos_token_ids=eos))
    yield ("suppress_tokens", bool(s.suppress_tokens),
           _rowless(vocabulary.suppress, tokens=s.suppress_tokens))
    yield ("begin_suppress_tokens", bool(s.begin_suppress_tokens),
           partial(vocabulary.begin_suppress, tokens=s.begin_suppress_tokens))


def _custom(s: Settings) -> Iterator[_Entry]:
    for place, function in enumerate(s.logits_processor):
        name = f"logits_processor[{place}]"
        yield name, True, partial(custom.checked, function=function, name=name)


def _sampling(s: Settings, least: int) -> Iterator[_Entry]:
    yield "temperature", s.temperature != 1, _rowless(filters.temperature, value=s.temperature)
    for name, off, function, parameter in (
        ("top_h", (None, 1), entropy_filters.top_h, "alpha"),
        ("top_k", (None,), filters.top_k, "k"),
        ("top_p", (None, 1), filters.top_p, "p"),
        ("min_p", (None, 0), filters.min_p, "share"),
        ("typical_p", (None, 1), entropy_filters.typical_p, "mass"),
        ("epsilon_cutoff", (0,), filters.epsilon_cutoff, "epsilon"),
        ("eta_cutoff", (0,), entropy_filters.eta_cutoff, "epsilon"),
    ):
        value = getattr(s, name)
        chosen = {parameter: value, "min_tokens_to_keep": least}
        yield name, value not in off, _rowless(function, **chosen)
# fmt: on


def _rowless(function: Callable[..., Array], **settings: Any) -> Processor:
    return lambda rows, scores: function(scores, **settings)
