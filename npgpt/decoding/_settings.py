"""Settings: the table of everything that a decoding run can be told, one row a setting.

They are named as in Hugging Face's GenerationConfig. All else that knows of settings derives from
the table: the options of the command line, `help(GPT.generate)`, docs/settings.md, the rules of
`compatibility`, and when a processor acts.
"""

import dataclasses
import difflib
import inspect
import sys
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import TYPE_CHECKING, Any, TypeAlias, TypedDict, TypeVar

import numpy as np
import numpy.typing as npt

from npgpt._arrays import Array
from npgpt._foreign_names import ELSEWHERE, HABITS
from npgpt._quoting import brief
from npgpt.decoding import _validators as valid
from npgpt.decoding._compatibility import Setting, check
from npgpt.decoding._scoring import Row
from npgpt.decoding._validators import boolean, integer
from npgpt.errors import SettingError

if sys.version_info >= (3, 11):
    from typing import Unpack as Unpack
elif TYPE_CHECKING:
    from typing_extensions import Unpack as Unpack

_Documented = TypeVar("_Documented", bound=Callable[..., Any])
Phrase: TypeAlias = tuple[int, ...]
# (the prompt's place, the row's tokens) -> the ids that may follow
AllowedTokens: TypeAlias = Callable[[int, Sequence[int]], Iterable[int]]
# (rows, scores (rows, vocab)) -> scores (rows, vocab)
LogitsProcessor: TypeAlias = Callable[[Sequence[Row], Array], Array]


def _setting(
    default: Any,
    validate: valid.Validator,
    help: str,
    detail: str = "",
    *,
    stage: str,
    off: tuple[Any, ...] = (),
    needs: str | tuple[str, ...] = (),
    excludes: tuple[str, ...] = (),
    file_off: tuple[Any, ...] = (),
    holds_ids: bool = False,
    known_to: str = "T4, T5",
    aliases: tuple[str, ...] = (),
    neutral: bool = True,
    option: bool = True,
) -> Any:
    """A row, as `compatibility.Setting` has it. neutral: whether the default changes nothing."""
    row = Setting(
        default=default,
        validate=validate,
        off=(default, *off) if neutral else off,
        needs=(needs,) if isinstance(needs, str) else needs,
        excludes=excludes,
        file_off=file_off,
        holds_ids=holds_ids,
        stage=stage,
        help=help,
        detail=detail,
        known_to=known_to,
        aliases=aliases,
        option=option,
    )
    return dataclasses.field(default=default, metadata={"setting": row})


_decoder = partial(_setting, stage="which decoder")
_processor = partial(_setting, stage="what may follow")
_sampling = partial(_setting, stage="how tokens are drawn", needs="sampling")
_ending = partial(_setting, stage="where a text ends")
_output = partial(_setting, stage="what is given back")


# fmt: off
@dataclass(frozen=True, init=False, repr=False)
class Settings:
    """What to decode with: one field a setting, and its row of the table.

    None anywhere means not given. One stop string, lists and NumPy's scalars are taken too, and
    made plain Python: lists become tuples, a mapping of biases a tuple of pairs, and each item of
    force_words_ids a tuple of alternative phrases. Raises SettingError for a name that no setting
    has, with the nearest one that there is, for a value of the wrong kind or out of range, and for
    values that contradict each other.

    >>> Settings(eos_token_id=[3, 4], stop_strings="end").stop_strings
    ('end',)
    >>> Settings(num_beams=2, force_words_ids=[[5, 6], [[7], [8]]]).force_words_ids
    (((5, 6),), ((7,), (8,)))
    """

    do_sample: bool = _decoder(
        False, boolean, "draw each token by chance; if not, take the likeliest", known_to="all")
    num_beams: int = _decoder(
        1, integer(1, 4096),
        "above 1: N beams: without sampling a search for the likeliest whole text, else they are "
        "drawn", known_to="T4, T5, V", aliases=("beam_width",))
    num_beam_groups: int = _decoder(
        1, integer(1), "N groups of beams, each kept off what the others take",
        needs="beams", excludes=("do_sample", "force_words_ids"), known_to="T4")
    force_words_ids: tuple[tuple[Phrase, ...], ...] | None = _decoder(
        None, valid.constraints, "with beams: phrases that the text must hold, or one of several",
        needs="beams", excludes=("do_sample",), holds_ids=True, known_to="T4")
    penalty_alpha: float | None = _decoder(
        None, valid.share,
        "contrastive search: weigh X times likeness to earlier tokens against probability",
        excludes=("do_sample", "num_beams", "prompt_lookup_num_tokens"), file_off=(0,),
        known_to="T4")
    prompt_lookup_num_tokens: int | None = _decoder(
        None, integer(1),
        "faster where a text repeats itself: guess N tokens from it and check them at once",
        excludes=("num_beams",), known_to="T4, T5, V, L")
    diversity_penalty: float = _decoder(
        0.0, valid.penalty, "with groups: what a token costs that another group took",
        "for each time that an earlier group took it in this step; acts after `logit_bias`",
        needs="groups of beams", known_to="T4")
    length_penalty: float = _decoder(
        1.0, valid.exponent, "with beams: above 0 favours longer texts, below 0 shorter ones",
        "beams are ranked by the sum of their scores over (number of new tokens)^X",
        needs="beams", known_to="T4, T5, V")
    early_stopping: bool | str = _decoder(
        False, valid.one_of(boolean, valid.word("never")),
        "with beams: stop at `num_beams` ended ones (true), when none can be expected to beat them "
        "(false), or when none can (never)",
        "false: when the best running beam, at its present length, does not beat the worst of "
        "them; never: nor at any length that it may reach",
        needs="beams")
    force_words_in_prompt: bool = _decoder(
        False, boolean, "let the prompt fulfil `force_words_ids` too", needs="`force_words_ids`",
        known_to="none")
    num_assistant_tokens: int = _decoder(
        5, integer(1), "with `assistant`: guess N tokens at a time",
        needs="`assistant`", neutral=False, known_to="T4, T5, V, L")
    max_matching_ngram_size: int = _decoder(
        2, integer(1), "with `prompt_lookup_num_tokens`: match the last N tokens at most",
        needs="`prompt_lookup_num_tokens`", neutral=False, known_to="T4, T5, V, L")
    num_return_sequences: int = _decoder(
        1, integer(1, 65536), "give N texts: drawn ones, or the N best beams",
        known_to="T4, T5, V", aliases=("n",))

    # In the order in which they act
    guidance_scale: float = _processor(
        1.0, valid.scale,
        "above 1: lead away from what follows a negative prompt, or else the last token alone",
        "scores are log p⁻ + X (log p − log p⁻), p⁻ with the negative prompt as prompt")
    sequence_bias: tuple[tuple[Phrase, float], ...] = _processor(
        (), valid.sequence_biases, "add X to the last token of a phrase where the others came",
        "several add up", holds_ids=True)
    logit_bias: tuple[tuple[int, float], ...] = _processor(
        (), valid.token_biases, "add X to single tokens", holds_ids=True,
        known_to="V, L")
    repetition_penalty: float = _processor(
        1.0, valid.factor, "above 1: make tokens that the text already has less likely",
        "a score s becomes s/X, or s·X where s < 0, once",
        known_to="T4, T5, V, L", aliases=("repeat_penalty",))
    frequency_penalty: float = _processor(
        0.0, valid.offset, "take X off a token for each time that it was generated",
        "the prompt does not count", known_to="V, L")
    presence_penalty: float = _processor(
        0.0, valid.offset, "take X off a token that was generated at all",
        "the prompt does not count", known_to="V, L")
    no_repeat_ngram_size: int | None = _processor(
        None, integer(1), "never the same N tokens in a row twice", "the prompt counts",
        file_off=(0,))
    bad_words_ids: tuple[Phrase, ...] = _processor(
        (), valid.phrases, "never these phrases",
        "their last token is ruled out where the row ends with the rest", holds_ids=True,
        known_to="T4, T5, V", aliases=("bad_words",))
    min_length: int = _processor(
        0, integer(0), "no end-of-text token before N tokens, the prompt counted in",
        needs="`eos_token_id`")
    min_new_tokens: int = _processor(
        0, integer(0), "no end-of-text token before N new tokens",
        "a stop string ends the text all the same",
        needs="`eos_token_id`", known_to="T4, T5, V", aliases=("min_tokens",))
    prefix_allowed_tokens_fn: AllowedTokens | None = _processor(  # noqa: RUF009
        None, valid.function, "a function: (the prompt's place, the row) → the ids that may follow",
        option=False)
    forced_bos_token_id: int | None = _processor(
        None, valid.token_id, "id of the token that comes first", holds_ids=True)
    forced_eos_token_id: int | tuple[int, ...] | None = _processor(
        None, valid.token_ids, "ids of the tokens that may come at the limit, alone", off=((),),
        holds_ids=True)
    exponential_decay_length_penalty: tuple[int, float] | None = _processor(
        None, valid.decay,
        "after N new tokens, let the end-of-text token grow likelier by X to the power of those "
        "beyond", "with k new tokens, k above N, its score s becomes s + |s| (X^(k−N) − 1)",
        needs="`eos_token_id`")
    suppress_tokens: tuple[int, ...] = _processor(
        (), valid.id_set, "never these tokens", holds_ids=True)
    begin_suppress_tokens: tuple[int, ...] = _processor(
        (), valid.id_set, "none of these tokens first", holds_ids=True)
    logits_processor: tuple[LogitsProcessor, ...] = _processor(
        (), valid.functions, "functions of your own: (rows, scores) → scores",
        known_to="T4, T5, V", aliases=("logits_processors",), option=False)

    temperature: float = _sampling(
        1.0, valid.temperature,
        "divide scores by X before drawing: above 1 bolder, below 1 safer, 0 the likeliest",
        off=(0,), known_to="all", aliases=("temp",))
    top_h: float | None = _sampling(
        None, valid.share, "draw from as many likeliest tokens as have X of the entropy",
        "their own distribution has at most this share of the whole entropy", off=(1,),
        known_to="T5")
    top_k: int | None = _sampling(
        None, integer(1), "draw from the N likeliest tokens only", "ties with the N-th stay",
        needs=("sampling", "contrastive search"), file_off=(0,), known_to="all")
    top_p: float | None = _sampling(
        None, valid.share, "draw from the fewest likeliest tokens whose probabilities reach X",
        "the token that crosses X stays, equals are taken in order of id", off=(1,),
        known_to="all")
    min_p: float | None = _sampling(
        None, valid.fraction, "draw from tokens at least X times as likely as the likeliest",
        off=(0,), known_to="all")
    typical_p: float | None = _sampling(
        None, valid.share,
        "draw from the tokens nearest to the expected surprise whose probabilities reach X",
        "the expected surprise is the entropy", off=(1,), known_to="T4, T5, L",
        aliases=("typical",))
    epsilon_cutoff: float = _sampling(
        0.0, valid.cutoff, "draw from tokens of probability X or more")
    eta_cutoff: float = _sampling(
        0.0, valid.cutoff, "the same, but with a lower bar where much is possible",
        "of probability min(X, √X·exp(−H)) or more, H the entropy")

    max_length: int | None = _ending(
        None, integer(1), "stop at N tokens, the prompt counted in")
    max_new_tokens: int | None = _ending(
        None, integer(1), "stop after N new tokens",
        known_to="all", aliases=("max_tokens", "n_predict", "max_completion_tokens"))
    eos_token_id: int | tuple[int, ...] | None = _ending(
        None, valid.token_ids, "ids of the tokens that end a text",
        "a row ends with the first it reaches, and keeps it", off=((),), holds_ids=True,
        known_to="T4, T5, V", aliases=("stop_token_ids",))
    stop_strings: tuple[str, ...] = _ending(
        (), valid.strings, "stop once the new text holds TEXT",
        "the row keeps it; `min_new_tokens` and `min_length` do not hold it back",
        known_to="T4, T5, V, L", aliases=("stop", "stop_sequences"))

    pad_token_id: int | None = _output(
        None, valid.token_id, "id that fills rows up; of no effect on a single text",
        "for `Generation.padded`: no model ever sees padding")
    output_scores: bool = _output(False, boolean, "keep the scores that each token was chosen by")
    output_ledger: bool = _output(
        False, boolean, "keep the record of all decisions", known_to="none", option=False)
    # fmt: on

    def __init__(self, **settings: "Unpack[SettingsDict]") -> None:
        given = validated(settings)
        for name, row in TABLE.items():
            value = given.get(name)
            object.__setattr__(self, name, row.default if value is None else value)
        check(vars(self), TABLE)

    def __repr__(self) -> str:
        """The settings that differ from their defaults, as a call would give them.

        >>> Settings(top_k=5, do_sample=True, temperature=1)
        Settings(do_sample=True, top_k=5)
        """
        given = {name: getattr(self, name) for name in TABLE}
        changed = [f"{n}={v!r}" for n, v in given.items() if v != TABLE[n].default]
        return f"Settings({', '.join(changed)})"

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

    def token_ids(self) -> Iterator[tuple[str, int]]:
        """Every token id in the settings, after the name of its setting. No model sees a pad.

        >>> list(Settings(eos_token_id=3, logit_bias={5: 0.5}).token_ids())
        [('logit_bias', 5), ('eos_token_id', 3)]
        """
        for name, row in TABLE.items():
            if row.holds_ids:
                yield from ((name, token) for token in _integers(getattr(self, name)))


TABLE: Mapping[str, Setting] = {
    field.name: field.metadata["setting"] for field in dataclasses.fields(Settings)
}
# As help() and editors show it.
_KEYWORDS = [
    inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=row.default)
    for name, row in TABLE.items()
]
Settings.__signature__ = inspect.Signature(_KEYWORDS)  # type: ignore[attr-defined]

_Integer: TypeAlias = int | np.integer[Any]
_Number: TypeAlias = float | np.floating[Any] | np.integer[Any]
_Flag: TypeAlias = bool | np.bool_
_Ids: TypeAlias = Sequence[_Integer] | npt.NDArray[np.integer[Any]]
_Phrases: TypeAlias = Sequence[_Ids]
_Constraints: TypeAlias = Sequence[_Ids | _Phrases]
_PhraseBiases: TypeAlias = Mapping[Phrase, _Number] | Sequence[tuple[_Ids, _Number]]
_TokenBiases: TypeAlias = Mapping[int, _Number] | Sequence[tuple[_Integer, _Number]]


class SettingsDict(TypedDict, total=False):
    """What a call may give for each setting: more types than `Settings` holds, and None."""

    do_sample: _Flag | None
    num_beams: _Integer | None
    num_beam_groups: _Integer | None
    force_words_ids: _Constraints | None
    penalty_alpha: _Number | None
    prompt_lookup_num_tokens: _Integer | None
    diversity_penalty: _Number | None
    length_penalty: _Number | None
    early_stopping: _Flag | str | None
    force_words_in_prompt: _Flag | None
    num_assistant_tokens: _Integer | None
    max_matching_ngram_size: _Integer | None
    num_return_sequences: _Integer | None
    guidance_scale: _Number | None
    sequence_bias: _PhraseBiases | None
    logit_bias: _TokenBiases | None
    repetition_penalty: _Number | None
    frequency_penalty: _Number | None
    presence_penalty: _Number | None
    no_repeat_ngram_size: _Integer | None
    bad_words_ids: _Phrases | None
    min_length: _Integer | None
    min_new_tokens: _Integer | None
    prefix_allowed_tokens_fn: AllowedTokens | None
    forced_bos_token_id: _Integer | None
    forced_eos_token_id: _Integer | _Ids | None
    exponential_decay_length_penalty: tuple[_Integer, _Number] | None
    suppress_tokens: _Ids | None
    begin_suppress_tokens: _Ids | None
    logits_processor: LogitsProcessor | Sequence[LogitsProcessor] | None
    temperature: _Number | None
    top_h: _Number | None
    top_k: _Integer | None
    top_p: _Number | None
    min_p: _Number | None
    typical_p: _Number | None
    epsilon_cutoff: _Number | None
    eta_cutoff: _Number | None
    max_length: _Integer | None
    max_new_tokens: _Integer | None
    eos_token_id: _Integer | _Ids | None
    stop_strings: str | Sequence[str] | None
    pad_token_id: _Integer | None
    output_scores: _Flag | None
    output_ledger: _Flag | None


@cache
def listing() -> str:
    """All settings as `help` shows them: by stage, a line each, with the default.

    >>> print(listing().partition("num_beams=")[0])
    Settings (None: as by default). N, X, IDS and TEXT stand for the value:
    <BLANKLINE>
    which decoder
        do_sample=False: draw each token by chance; if not, take the likeliest
    <BLANKLINE>
    """
    wrap = partial(textwrap.fill, width=96, initial_indent=" " * 4, subsequent_indent=" " * 8)
    lines = ["Settings (None: as by default). N, X, IDS and TEXT stand for the value:"]
    stage = ""
    for name, row in TABLE.items():
        lines += ["", row.stage] if row.stage != stage else []
        lines.append(wrap(f"{name}={row.default!r}: {row.help}"))
        stage = row.stage
    return "\n".join(lines)


def lists_settings(documented: _Documented) -> _Documented:
    """A decorator: the docstring ends with the `listing`, so that `help` shows every setting."""
    if documented.__doc__ is not None:  # as it is under python -OO
        documented.__doc__ = f"{inspect.cleandoc(documented.__doc__)}\n\n{listing()}"
    return documented


lists_settings(Settings)


def validated(given: Mapping[str, Any]) -> dict[str, Any]:
    """The values by name, each as `Settings` would hold it; whether they go together is not asked.

    Raises SettingError for a name that is none, with the nearest one that is, and for a bad value.

    >>> validated({"stop_strings": "end", "top_k": None})
    {'stop_strings': ('end',), 'top_k': None}
    """
    for name, value in given.items():
        if name not in TABLE:
            near, elsewhere = meant(name), ELSEWHERE.get(name)
            hint = f"did you mean {near!r}?" if near else f"there are {', '.join(TABLE)}"
            if elsewhere is not None:
                hint = elsewhere.python
            raise SettingError(f"{brief(name)} = {brief(value)}: no setting has that name; {hint}")
    return {
        name: None if value is None else TABLE[name].validate(name, value)
        for name, value in given.items()
    }


def meant(name: str) -> str | None:
    """The setting that others call so, or else the one that is spelled most like it.

    >>> meant("max_tokens"), meant("beam_size"), meant("top_q"), meant("colour")
    ('max_new_tokens', 'num_beams', 'top_p', None)
    """
    return habit(name) or next(iter(difflib.get_close_matches(name, TABLE, n=1)), None)


def habit(name: str) -> str | None:
    """The setting that others call so, or None."""
    for setting, row in TABLE.items():
        if name in row.aliases:
            return setting
    return HABITS.get(name)


def _integers(value: Any) -> Iterator[int]:
    if isinstance(value, int):
        yield value
    elif isinstance(value, tuple):
        for item in value:
            yield from _integers(item)


def _tuple(ids: int | tuple[int, ...] | None) -> tuple[int, ...]:
    if ids is None:
        return ()
    return ids if isinstance(ids, tuple) else (ids,)
