"""Compatibility rules: which settings need, exclude or bound one another.

A `Setting` is what is known of one setting; `npgpt.decoding._settings` has the table of them.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from npgpt._quoting import brief
from npgpt.decoding._validators import LARGEST, Validator
from npgpt.errors import SettingError

# The value of every setting, by its name
Values = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Setting:
    """One row of the table of settings.

    default: the value where none is given. validate: checks a value and makes it plain Python. off:
    the values at which the setting changes nothing. needs: what it changes nothing without, by the
    names of `NEEDS`; any of them is enough. excludes: settings that cannot be on beside it.
    file_off: the values by which a generation_config.json switches it off, besides.

    holds_ids: whether the integers in its value are ids of tokens, which a vocabulary must have.

    stage: where it acts, which is also the heading over it. help: what it does, in one line, in
    which N, X, IDS and TEXT stand for its value, and names in backquotes for other settings.
    detail: the rest of it. known_to: who else has it. aliases: how others spell it. option: whether
    the command line has it.
    """

    default: Any
    validate: Validator
    off: tuple[Any, ...]
    needs: tuple[str, ...]
    excludes: tuple[str, ...]
    file_off: tuple[Any, ...]
    holds_ids: bool
    stage: str
    help: str
    detail: str
    known_to: str
    aliases: tuple[str, ...]
    option: bool

    def is_off(self, value: Any) -> bool:
        """Whether the setting changes nothing at that value."""
        return value in self.off


@dataclass(frozen=True)
class Need:
    """What a setting may need: when it is there; and, where its lack is an error, what that says.

    Where there is no remedy the setting waits in silence: no Settings tell of a draft model.
    """

    is_met: Callable[[Values], bool]
    without: str = ""
    remedy: str = ""


NEEDS = {
    "sampling": Need(lambda v: bool(v["do_sample"]), "without sampling", "set do_sample=True"),
    "contrastive search": Need(lambda v: bool(v["penalty_alpha"])),
    "beams": Need(lambda v: v["num_beams"] != 1, "without beams", "set num_beams to 2 or more"),
    "groups of beams": Need(
        lambda v: v["num_beams"] != 1 and v["num_beam_groups"] != 1,
        "within one group",
        "set num_beam_groups to 2 or more",
    ),
    "`force_words_ids`": Need(lambda v: v["force_words_ids"] is not None),
    "`assistant`": Need(lambda v: True),
    "`prompt_lookup_num_tokens`": Need(lambda v: v["prompt_lookup_num_tokens"] is not None),
    "`eos_token_id`": Need(lambda v: v["eos_token_id"] not in (None, ())),
}


def unmet(setting: Setting, values: Values) -> Need | None:
    """The first of what the setting needs, where none of it is there beside these values."""
    needs = [NEEDS[name] for name in setting.needs]
    return None if not needs or any(need.is_met(values) for need in needs) else needs[0]


def check(values: Values, table: Mapping[str, Setting]) -> None:
    """Nothing, where the settings go together; else SettingError, which names the first two."""
    on = {name for name, setting in table.items() if not setting.is_off(values[name])}
    _check_lengths(values)
    for name in table:
        for other in table[name].excludes:
            if {name, other} <= on:
                raise SettingError(
                    f"{name} is {brief(values[name])} and {other} is {brief(values[other])}, which "
                    "do not go together; leave one of them out"
                )
    _check_contrastive(values)
    for name, setting in table.items():
        need = unmet(setting, values)
        if name in on and need and need.remedy:
            raise SettingError(
                f"{name} is {brief(values[name])}, which changes nothing {need.without}; "
                f"{need.remedy}, or leave {name} out"
            )
    _check_beams(values)
    _check_constraints(values)


def _check_lengths(v: Values) -> None:
    if v["max_length"] is not None and v["max_new_tokens"] is not None:
        raise SettingError(
            f"max_length is {v['max_length']} and max_new_tokens is {v['max_new_tokens']}; "
            "give one of them"
        )
    # A prompt has one token at least, so max_length leaves room for max_length − 1 new ones.
    room = None if v["max_length"] is None else v["max_length"] - 1
    for low, high, limit in (
        ("min_length", "max_length", v["max_length"]),
        ("min_new_tokens", "max_new_tokens", v["max_new_tokens"]),
        ("min_new_tokens", "max_length", room),
    ):
        if limit is not None and v[low] > limit:
            raise SettingError(
                f"{low} is {v[low]}, which {high} = {v[high]} never reaches; "
                f"lower {low} or raise {high}"
            )


def _check_contrastive(v: Values) -> None:
    alpha, top_k = v["penalty_alpha"], v["top_k"]
    if alpha is not None and (top_k is None or top_k < 2):
        raise SettingError(
            f"penalty_alpha is {brief(alpha)} and top_k is {brief(top_k)}; "
            "contrastive search weighs the top_k likeliest tokens, so give a top_k of 2 or more"
        )


def _check_beams(v: Values) -> None:
    beams, groups, returned = v["num_beams"], v["num_beam_groups"], v["num_return_sequences"]
    draws = v["do_sample"] and v["temperature"] > 0
    if beams > 1 and draws and v["temperature"] < 1 / LARGEST:
        raise SettingError(
            f"temperature is {brief(v['temperature'])}, too low for beams, which add scores up; "
            f"give {1 / LARGEST:g} or more, or 0"
        )
    if groups > 1 and beams % groups:
        raise SettingError(
            f"num_beams is {beams} and num_beam_groups is {groups}; give a multiple of "
            f"{groups} beams"
        )
    if groups > 1 and v["diversity_penalty"] == 0:
        raise SettingError(
            f"num_beam_groups is {groups} and diversity_penalty is 0, so all groups would be "
            "equal; give a diversity_penalty above 0"
        )
    if beams > 1 and returned > beams:
        raise SettingError(
            f"num_return_sequences is {returned} and num_beams is {beams}; a search "
            "returns at most as many sequences as it has beams"
        )
    if beams == 1 and returned > 1 and not draws:
        raise SettingError(
            f"num_return_sequences is {returned}, but without sampling or beams they "
            "would all be equal; set do_sample=True or num_beams, or leave it out"
        )


def _check_constraints(v: Values) -> None:
    if v["force_words_ids"] is None and v["force_words_in_prompt"]:
        raise SettingError(
            "force_words_in_prompt is True, but there are no force_words_ids; give them, or "
            "leave it out"
        )
    eos = v["eos_token_id"]
    ends = {*eos} if isinstance(eos, tuple) else {eos}
    for alternatives in v["force_words_ids"] or ():
        for phrase in alternatives:
            if ends.intersection(phrase):
                raise SettingError(
                    f"force_words_ids holds the phrase {list(phrase)}, which an eos_token_id "
                    f"({brief(eos)}) would end; leave the phrase out"
                )
