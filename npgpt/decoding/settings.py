"""The settings of a decoding run, named as in Hugging Face's GenerationConfig."""

import dataclasses
import difflib
from dataclasses import dataclass
from typing import Any

from npgpt.decoding.values import Reader, flag, number, texts, token_ids, whole
from npgpt.errors import SettingError


def _setting(default: Any, read: Reader) -> Any:
    return dataclasses.field(default=default, metadata={"read": read})


_temperature = number("a finite number, 0 (greedy) or more", lambda value: value >= 0)
_share = number("a number above 0 and at most 1", lambda value: 0 < value <= 1)
_factor = number("a finite number above 0; 1 changes nothing", lambda value: value > 0)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What to decode with.

    - do_sample: draw each token; else take the likeliest (greedy).
    - temperature: scores are divided by it before a draw; 0 is greedy.
    - top_k, top_p: draw from the k likeliest (ties with the k-th stay), from the smallest set of
      likeliest tokens whose probabilities reach p (the one that reaches p stays).
    - repetition_penalty: θ; tokens already in the row score s/θ, or s·θ where s < 0.
    - max_length, min_length: tokens in the row, prompt included; max_new_tokens, min_new_tokens:
      without it. Below a minimum no eos is possible (a stop string is).
    - eos_token_id: one id or several; a row ends with the first it reaches, and keeps it.
    - pad_token_id: for `Generation.padded`; no model ever sees it.
    - stop_strings: a row ends when its generated text holds one of them, and keeps it.
    - output_scores: keep the scores that each token was chosen by.

    None anywhere means not given. One stop string, lists and NumPy's scalars are taken too, and
    made plain Python. Raises SettingError for a value of the wrong kind or out of range, and for
    values that contradict each other.

    >>> Settings(eos_token_id=[3, 4], stop_strings="end").stop_strings
    ('end',)
    """

    do_sample: bool = _setting(False, flag)
    temperature: float = _setting(1.0, _temperature)
    top_k: int | None = _setting(None, whole(1))
    top_p: float | None = _setting(None, _share)
    repetition_penalty: float = _setting(1.0, _factor)
    max_length: int | None = _setting(None, whole(1))
    max_new_tokens: int | None = _setting(None, whole(1))
    min_length: int = _setting(0, whole(0))
    min_new_tokens: int = _setting(0, whole(0))
    eos_token_id: int | tuple[int, ...] | None = _setting(None, token_ids)
    pad_token_id: int | None = _setting(None, whole(0))
    stop_strings: tuple[str, ...] = _setting((), texts)
    output_scores: bool = _setting(False, flag)

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            given = getattr(self, field.name)
            read = field.metadata["read"]
            value = field.default if given is None else read(field.name, given)
            object.__setattr__(self, field.name, value)
        _check_sampling(self)
        _check_lengths(self)

    @property
    def draws(self) -> bool:
        """Whether tokens are drawn: temperature 0 is greedy, whatever do_sample says."""
        return self.do_sample and self.temperature > 0

    @property
    def eos_token_ids(self) -> tuple[int, ...]:
        """The eos ids as a tuple, whether none, one or several were given."""
        if self.eos_token_id is None:
            return ()
        return self.eos_token_id if isinstance(self.eos_token_id, tuple) else (self.eos_token_id,)


def from_keywords(**keywords: Any) -> Settings:
    """The Settings of these names, for callers that take them from a person.

    Raises SettingError for a name that is none, with the nearest one that is.

    >>> from_keywords(top_k=5, do_sample=True).top_k
    5
    """
    known = [field.name for field in dataclasses.fields(Settings)]
    for name, value in keywords.items():
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(known)}"
            raise SettingError(f"{name} = {value!r}: no setting has that name; {hint}")
    return Settings(**keywords)


def _check_sampling(s: Settings) -> None:
    neutral = s.temperature in (0, 1), s.top_k is None, s.top_p is None
    for name, unused in zip(("temperature", "top_k", "top_p"), neutral, strict=True):
        if not (s.do_sample or unused):
            raise SettingError(
                f"{name} is {getattr(s, name)!r}, which changes nothing without sampling; "
                f"set do_sample=True, or leave {name} out"
            )


def _check_lengths(s: Settings) -> None:
    if s.max_length is not None and s.max_new_tokens is not None:
        raise SettingError(
            f"max_length is {s.max_length} and max_new_tokens is {s.max_new_tokens}; "
            "give one of them"
        )
    # A prompt has one token at least, so max_length leaves room for max_length − 1 new ones.
    room = None if s.max_length is None else s.max_length - 1
    for low, high, limit in (
        ("min_length", "max_length", s.max_length),
        ("min_new_tokens", "max_new_tokens", s.max_new_tokens),
        ("min_new_tokens", "max_length", room),
    ):
        if limit is not None and getattr(s, low) > limit:
            raise SettingError(
                f"{low} is {getattr(s, low)}, which {high} = {getattr(s, high)} never reaches; "
                f"lower {low} or raise {high}"
            )
