"""A model's own settings, where a call gives no others."""

from collections.abc import Mapping
from typing import Any

from npgpt.decoding._compatibility import unmet
from npgpt.decoding._settings import TABLE, Settings, validated
from npgpt.decoding._validators import integer
from npgpt.errors import SettingError

_FILE = "generation_config.json"
# What multiplies time and memory: few calls ask for many, and no file of a stranger should.
_ROWS = ("num_beams", "num_return_sequences")
_MOST_ROWS = 256


def of_file(fields: Mapping[str, Any]) -> dict[str, Any]:
    """What a generation_config.json sets: fields of other names, null, and what is off left out.

    >>> of_file({"top_k": 0, "top_p": 0.9, "transformers_version": "4.49.0"})
    {'top_p': 0.9}
    """
    return {
        name: value
        for name, value in fields.items()
        if name in TABLE and value is not None and value not in TABLE[name].file_off
    }


def filled(given: Mapping[str, Any], defaults: Mapping[str, Any]) -> Settings:
    """The settings given, filled up with the defaults.

    A default does not outlive a call that it contradicts: its limit, the other limit; its sampling,
    a call's do_sample=False or a decoder that does not draw; what it sets for beams, one beam.
    Raises SettingError where what is left of them is bad, saying that the model's file has it, and
    where it asks for more than 256 beams or sequences, which only a call may.

    >>> own = {"do_sample": True, "temperature": 0.8, "max_length": 50}
    >>> settings = filled({"penalty_alpha": 0.6, "top_k": 4, "max_new_tokens": 9}, own)
    >>> settings.do_sample, settings.temperature, settings.max_length
    (False, 1.0, None)
    """
    given, kept = validated(given), dict(defaults)
    if any("do_sample" in row.excludes and _is_on(given, name) for name, row in TABLE.items()):
        kept.pop("do_sample", None)
    merged = {name: row.default for name, row in TABLE.items()}
    merged |= {name: value for name, value in (kept | given).items() if value is not None}
    needs = {name: unmet(row, merged) for name, row in TABLE.items()}
    idle = {name for name, need in needs.items() if need and need.remedy}
    for one, other in (("max_length", "max_new_tokens"), ("max_new_tokens", "max_length")):
        if one in given:
            idle.add(other)
    own = {name: kept[name] for name in kept if name not in given and name not in idle}
    try:
        own = validated(own)
        for name in _ROWS:
            integer(1, _MOST_ROWS)(name, own.get(name) or 1)
    except SettingError as error:
        raise SettingError(
            f"the model's own settings, of its {_FILE}: {error}; or set it in the call"
        ) from None
    return Settings(**own, **given)


def _is_on(given: Mapping[str, Any], name: str) -> bool:
    return given.get(name) is not None and not TABLE[name].is_off(given[name])
