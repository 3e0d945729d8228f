"""Which settings contradict each other, and which decoder the others name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from npgpt.decoding.values import LARGEST
from npgpt.errors import SettingError
from npgpt.quoting import brief

if TYPE_CHECKING:
    from npgpt.decoding.settings import Settings

# Settings that do nothing unless tokens are drawn, and unless there are beams.
SAMPLING = (
    ("temperature", (0, 1)),
    ("top_h", (None,)),
    ("top_k", (None,)),
    ("top_p", (None,)),
    ("min_p", (None,)),
    ("typical_p", (None,)),
    ("epsilon_cutoff", (0,)),
    ("eta_cutoff", (0,)),
)
BEAMS = (
    ("num_beam_groups", (1,)),
    ("length_penalty", (1,)),
    ("early_stopping", (False,)),
    ("force_words_ids", (None,)),
)


def decoder(settings: Settings, *, assistant: bool = False) -> str:
    """The name of the decoder that runs; `assistant`, whether there is a draft model.

    >>> from npgpt.decoding.settings import Settings
    >>> decoder(Settings(num_beams=4)), decoder(Settings(do_sample=True))
    ('beam search', 'sampling')
    """
    if settings.num_beams > 1:
        if settings.num_beam_groups > 1:
            return "diverse beam search"
        if settings.force_words_ids:
            return "constrained beam search"
        return "beam sampling" if settings.draws else "beam search"
    if settings.penalty_alpha:
        return "contrastive search"
    if assistant or settings.prompt_lookup_num_tokens:
        return "speculative decoding"
    return "sampling" if settings.draws else "greedy"


def check(settings: Settings) -> None:
    """Nothing, where the settings go together; else SettingError, which names the first two."""
    _check_lengths(settings)
    _check_contrastive(settings)
    if not settings.do_sample:
        exempt = {"top_k"} if settings.penalty_alpha else set()
        _check_unused(settings, SAMPLING, exempt, "without sampling", "set do_sample=True")
    if settings.num_beams == 1:
        _check_unused(settings, BEAMS, set(), "without beams", "set num_beams to 2 or more")
    _check_beams(settings)
    _check_constraints(settings)
    _check_speculative(settings)


def _check_unused(
    settings: Settings,
    table: tuple[tuple[str, tuple[object, ...]], ...],
    exempt: set[str],
    without: str,
    remedy: str,
) -> None:
    for name, neutral in table:
        value = getattr(settings, name)
        if name not in exempt and value not in neutral:
            raise SettingError(
                f"{name} is {brief(value)}, which changes nothing {without}; {remedy}, or leave "
                f"{name} out"
            )


def _refuse(settings: Settings, name: str, *others: str) -> None:
    """SettingError for the first of `others` that is at work beside `name`."""
    for other in others:
        value = getattr(settings, other)
        if value != getattr(type(settings), other):  # the default
            raise SettingError(
                f"{name} is {brief(getattr(settings, name))} and {other} is {brief(value)}, which "
                "do not go together; leave one of them out"
            )


def _check_contrastive(s: Settings) -> None:
    if s.penalty_alpha is None:
        return
    _refuse(s, "penalty_alpha", "do_sample", "num_beams", "prompt_lookup_num_tokens")
    if s.top_k is None or s.top_k < 2:
        raise SettingError(
            f"penalty_alpha is {brief(s.penalty_alpha)} and top_k is {brief(s.top_k)}; "
            "contrastive search weighs the top_k likeliest tokens, so give a top_k of 2 or more"
        )


def _check_beams(s: Settings) -> None:
    beams, groups = s.num_beams, s.num_beam_groups
    if beams > 1 and s.draws and s.temperature < 1 / LARGEST:
        raise SettingError(
            f"temperature is {brief(s.temperature)}, too low for beams, which add scores up; give "
            f"{1 / LARGEST:g} or more, or 0"
        )
    if groups > 1:
        _refuse(s, "num_beam_groups", "do_sample", "force_words_ids")
        if beams % groups:
            raise SettingError(
                f"num_beams is {beams} and num_beam_groups is {groups}; give a multiple of "
                f"{groups} beams"
            )
        if s.diversity_penalty == 0:
            raise SettingError(
                f"num_beam_groups is {groups} and diversity_penalty is 0, so all groups would be "
                "equal; give a diversity_penalty above 0"
            )
    elif s.diversity_penalty:
        raise SettingError(
            f"diversity_penalty is {brief(s.diversity_penalty)}, which changes nothing within one "
            "group; set num_beam_groups to 2 or more, or leave diversity_penalty out"
        )
    if beams > 1 and s.num_return_sequences > beams:
        raise SettingError(
            f"num_return_sequences is {s.num_return_sequences} and num_beams is {beams}; a search "
            "returns at most as many sequences as it has beams"
        )
    if beams == 1 and s.num_return_sequences > 1 and not s.draws:
        raise SettingError(
            f"num_return_sequences is {s.num_return_sequences}, but without sampling or beams they "
            "would all be equal; set do_sample=True or num_beams, or leave it out"
        )


def _check_constraints(s: Settings) -> None:
    if s.force_words_ids is None:
        if s.force_words_in_prompt:
            raise SettingError(
                "force_words_in_prompt is True, but there are no force_words_ids; give them, or "
                "leave it out"
            )
        return
    _refuse(s, "force_words_ids", "do_sample")
    for alternatives in s.force_words_ids:
        for phrase in alternatives:
            if set(phrase) & set(s.eos_token_ids):
                raise SettingError(
                    f"force_words_ids holds the phrase {list(phrase)}, which an eos_token_id "
                    f"({brief(s.eos_token_id)}) would end; leave the phrase out"
                )


def _check_speculative(s: Settings) -> None:
    if s.prompt_lookup_num_tokens is not None:
        _refuse(s, "prompt_lookup_num_tokens", "num_beams")


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
