"""The pipeline of logits processors: which of them a run needs, in the order in which they act."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple, TypeAlias

from npgpt._arrays import Array
from npgpt.decoding._compatibility import unmet
from npgpt.decoding._processors import (
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
from npgpt.decoding._scoring import Processor
from npgpt.decoding._settings import TABLE, Settings


class _Run(NamedTuple):
    """What a processor may take besides its setting's value, as `pipeline` describes it."""

    eos: tuple[int, ...]
    vocab_size: int | None
    least: int


# (a setting's value, the run) -> its processor, None where there is nothing to do
_Maker: TypeAlias = Callable[[Any, _Run], Processor | None]


def _rowless(function: Callable[..., Array], **parameters: Any) -> Processor:
    return lambda rows, scores: function(scores, **parameters)


def _filter(function: Callable[..., Array], parameter: str) -> _Maker:
    return lambda v, run: _rowless(function, min_tokens_to_keep=run.least, **{parameter: v})


def _ids(v: int | tuple[int, ...]) -> tuple[int, ...]:
    return v if isinstance(v, tuple) else (v,)


def _decay(v: tuple[int, float], run: _Run) -> Processor | None:
    start, factor = v
    decay = partial(lengths.exponential_decay, start=start, factor=factor, eos_token_ids=run.eos)
    return None if factor == 1 else decay


# In the order in which they act. A setting that is off, or lacks what it needs, has no processor.
# fmt: off
PROCESSORS: dict[str, _Maker] = {
    "sequence_bias": lambda v, run: partial(phrases.sequence_bias, biases=v),
    "logit_bias": lambda v, run: _rowless(phrases.logit_bias, biases=v),
    "diversity_penalty": lambda v, run: None,  # a group of beams puts its own here
    "repetition_penalty": lambda v, run: partial(penalties.repetition_penalty, penalty=v),
    "frequency_penalty": lambda v, run: partial(penalties.frequency_penalty, penalty=v),
    "presence_penalty": lambda v, run: partial(penalties.presence_penalty, penalty=v),
    "no_repeat_ngram_size": lambda v, run: partial(ngrams.no_repeat_ngram, size=v),
    "bad_words_ids": lambda v, run: partial(phrases.bad_words, phrases=v),
    "min_length": lambda v, run: partial(lengths.min_length, length=v, eos_token_ids=run.eos),
    "min_new_tokens":
        lambda v, run: partial(lengths.min_new_tokens, count=v, eos_token_ids=run.eos),
    "prefix_allowed_tokens_fn":
        lambda v, run: partial(custom.prefix_allowed, function=v, vocab_size=run.vocab_size),
    "forced_bos_token_id": lambda v, run: partial(forced.forced_bos, token=v),
    "forced_eos_token_id": lambda v, run: partial(forced.forced_eos, tokens=_ids(v)),
    "exponential_decay_length_penalty": _decay,
    "suppress_tokens": lambda v, run: _rowless(vocabulary.suppress, tokens=v),
    "begin_suppress_tokens": lambda v, run: partial(vocabulary.begin_suppress, tokens=v),
}
# After the functions of the user's own, and only where tokens are drawn
FILTERS: dict[str, _Maker] = {
    "temperature": lambda v, run: _rowless(filters.temperature, value=v),
    "top_h": _filter(entropy_filters.top_h, "alpha"),
    "top_k": _filter(filters.top_k, "k"),
    "top_p": _filter(filters.top_p, "p"),
    "min_p": _filter(filters.min_p, "share"),
    "typical_p": _filter(entropy_filters.typical_p, "mass"),
    "epsilon_cutoff": _filter(filters.epsilon_cutoff, "epsilon"),
    "eta_cutoff": _filter(entropy_filters.eta_cutoff, "epsilon"),
}
# fmt: on


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
    run = _Run(settings.eos_token_ids, vocab_size, min_tokens_to_keep)
    processors: dict[str, Processor] = {}
    if vocab_size is not None:
        processors["vocab_size"] = _rowless(vocabulary.real_vocabulary, size=vocab_size)
    groups = {} if diversity is None else {"diversity_penalty": diversity}
    made = _made(PROCESSORS, settings, run) | groups
    processors |= {name: made[name] for name in PROCESSORS if name in made}
    for index, function in enumerate(settings.logits_processor):
        name = f"logits_processor[{index}]"
        processors[name] = partial(custom.checked, function=function, name=name)
    return processors | (_made(FILTERS, settings, run) if settings.draws else {})


def _made(makers: Mapping[str, _Maker], settings: Settings, run: _Run) -> dict[str, Processor]:
    made = {}
    for name, make in makers.items():
        value, row = getattr(settings, name), TABLE[name]
        if not row.is_off(value) and not unmet(row, vars(settings)):
            processor = make(value, run)
            if processor is not None:
                made[name] = processor
    return made
