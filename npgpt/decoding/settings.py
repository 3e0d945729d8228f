"""The settings of a decoding run, named as in Hugging Face's GenerationConfig."""

import dataclasses
import difflib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from npgpt.arrays import Array
from npgpt.decoding import token_values, values
from npgpt.decoding.combinations import check
from npgpt.decoding.row import Row
from npgpt.decoding.values import LARGEST, flag, number, one_of, whole
from npgpt.errors import SettingError
from npgpt.quoting import brief

Phrase: TypeAlias = tuple[int, ...]
# (the prompt's place, the row's tokens) -> the ids that may follow
AllowedTokens: TypeAlias = Callable[[int, Sequence[int]], Iterable[int]]
# (rows, scores (rows, vocab)) -> scores (rows, vocab)
OwnProcessor: TypeAlias = Callable[[Sequence[Row], Array], Array]


def _setting(default: Any, read: values.Reader) -> Any:
    return dataclasses.field(default=default, metadata={"read": read})


_temperature = number("a finite number, 0 (greedy) or more", lambda x: x >= 0)
_share = number("a number above 0 and at most 1", lambda x: 0 < x <= 1)
_fraction = number("a number from 0 (off) to 1", lambda x: 0 <= x <= 1)
_cutoff = number("a number from 0 (off), below 1", lambda x: 0 <= x < 1)
_factor = number(
    f"a number from {1 / LARGEST:g} to {LARGEST:g}; 1 changes nothing",
    lambda x: 1 / LARGEST <= x <= LARGEST,
)
_scale = number(f"a number from 0 to {LARGEST:g}; 1 changes nothing", lambda x: 0 <= x <= LARGEST)
_offset = number(f"a number from {-LARGEST:g} to {LARGEST:g}", lambda x: abs(x) <= LARGEST)
_exponent = number("a number from -100 to 100", lambda x: abs(x) <= 100)
_penalty = number(f"a number from 0 (off) to {LARGEST:g}", lambda x: 0 <= x <= LARGEST)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What to decode with: README's table gives each setting's meaning, its processor the formula.

    None anywhere means not given. One stop string, lists and NumPy's scalars are taken too, and
    made plain Python: lists become tuples, a mapping of biases a tuple of pairs, and each item of
    force_words_ids a tuple of alternative phrases. Raises SettingError for a value of the wrong
    kind or out of range, and for values that contradict each other.

    >>> Settings(eos_token_id=[3, 4], stop_strings="end").stop_strings
    ('end',)
    >>> Settings(num_beams=2, force_words_ids=[[5, 6], [[7], [8]]]).force_words_ids
    (((5, 6),), ((7,), (8,)))
    """

    # Which decoder runs
    do_sample: bool = _setting(False, flag)
    num_beams: int = _setting(1, whole(1, 4096))
    num_beam_groups: int = _setting(1, whole(1))
    force_words_ids: tuple[tuple[Phrase, ...], ...] | None = _setting(
        None, token_values.constraints
    )
    penalty_alpha: float | None = _setting(None, _share)
    prompt_lookup_num_tokens: int | None = _setting(None, whole(1))
    # What a decoder needs
    diversity_penalty: float = _setting(0.0, _penalty)
    length_penalty: float = _setting(1.0, _exponent)
    early_stopping: bool | str = _setting(False, one_of(flag, values.word("never")))
    force_words_in_prompt: bool = _setting(False, flag)
    num_assistant_tokens: int = _setting(5, whole(1))
    max_matching_ngram_size: int = _setting(2, whole(1))
    num_return_sequences: int = _setting(1, whole(1, 65536))
    # Processors, in the order in which they act
    guidance_scale: float = _setting(1.0, _scale)
    sequence_bias: tuple[tuple[Phrase, float], ...] = _setting((), token_values.sequence_biases)
    logit_bias: tuple[tuple[int, float], ...] = _setting((), token_values.token_biases)
    repetition_penalty: float = _setting(1.0, _factor)
    frequency_penalty: float = _setting(0.0, _offset)
    presence_penalty: float = _setting(0.0, _offset)
    no_repeat_ngram_size: int | None = _setting(None, whole(1))
    bad_words_ids: tuple[Phrase, ...] = _setting((), token_values.phrases)
    min_length: int = _setting(0, whole(0))
    min_new_tokens: int = _setting(0, whole(0))
    prefix_allowed_tokens_fn: AllowedTokens | None = _setting(None, values.function)  # noqa: RUF009
    forced_bos_token_id: int | None = _setting(None, token_values.token_id)
    forced_eos_token_id: int | tuple[int, ...] | None = _setting(None, token_values.token_ids)
    exponential_decay_length_penalty: tuple[int, float] | None = _setting(None, token_values.decay)
    suppress_tokens: tuple[int, ...] = _setting((), token_values.id_set)
    begin_suppress_tokens: tuple[int, ...] = _setting((), token_values.id_set)
    logits_processor: tuple[OwnProcessor, ...] = _setting((), values.functions)
    # The same, of sampling alone
    temperature: float = _setting(1.0, _temperature)
    top_h: float | None = _setting(None, _share)
    top_k: int | None = _setting(None, whole(1))
    top_p: float | None = _setting(None, _share)
    min_p: float | None = _setting(None, _fraction)
    typical_p: float | None = _setting(None, _share)
    epsilon_cutoff: float = _setting(0.0, _cutoff)
    eta_cutoff: float = _setting(0.0, _cutoff)
    # Where a row ends
    max_length: int | None = _setting(None, whole(1))
    max_new_tokens: int | None = _setting(None, whole(1))
    eos_token_id: int | tuple[int, ...] | None = _setting(None, token_values.token_ids)
    stop_strings: tuple[str, ...] = _setting((), values.texts)
    # What is given back
    pad_token_id: int | None = _setting(None, token_values.token_id)
    output_scores: bool = _setting(False, flag)
    output_ledger: bool = _setting(False, flag)

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            given = getattr(self, field.name)
            read = field.metadata["read"]
            value = field.default if given is None else read(field.name, given)
            object.__setattr__(self, field.name, value)
        check(self)

    @property
    def draws(self) -> bool:
        """Whether tokens are drawn: temperature 0 is greedy, whatever do_sample says."""
        return self.do_sample and self.temperature > 0

    @property
    def eos_token_ids(self) -> tuple[int, ...]:
        """The eos ids as a tuple, whether none, one or several were given."""
        return _tuple(self.eos_token_id)

    @property
    def forced_eos_token_ids(self) -> tuple[int, ...]:
        """The forced eos ids as a tuple, whether none, one or several were given."""
        return _tuple(self.forced_eos_token_id)


def from_keywords(**keywords: Any) -> Settings:
    """The Settings of these names, for callers that take them from a person.

    Raises SettingError for a name that is none, with the nearest one that is.

    >>> from_keywords(top_k=5, do_sample=True).top_k
    5
    """
    return Settings(**plain(keywords))


def plain(given: Mapping[str, Any]) -> dict[str, Any]:
    """The values by name, each as `Settings` would hold it; whether they go together is not asked.

    Raises SettingError for a name that is none, with the nearest one that is, and for a bad value.

    >>> plain({"stop_strings": "end", "top_k": None})
    {'stop_strings': ('end',), 'top_k': None}
    """
    readers = {field.name: field.metadata["read"] for field in dataclasses.fields(Settings)}
    known = list(readers)
    for name, value in given.items():
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(known)}"
            raise SettingError(f"{brief(name)} = {brief(value)}: no setting has that name; {hint}")
    return {
        name: None if value is None else readers[name](name, value) for name, value in given.items()
    }


def _tuple(ids: int | tuple[int, ...] | None) -> tuple[int, ...]:
    if ids is None:
        return ()
    return ids if isinstance(ids, tuple) else (ids,)
