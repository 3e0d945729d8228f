"""A model's own settings, where a call gives no others."""

from collections.abc import Mapping
from typing import Any

from npgpt.decoding.combinations import BEAMS, SAMPLING
from npgpt.decoding.settings import Settings, from_keywords, plain
from npgpt.decoding.values import whole
from npgpt.errors import SettingError

# Values by which Hugging Face's files switch a setting off, and what has no such value here.
_OFF = {"top_k": 0, "no_repeat_ngram_size": 0, "penalty_alpha": 0}
_FILE = "generation_config.json"
# What multiplies time and memory: few calls ask for many, and no file of a stranger should.
_ROWS = ("num_beams", "num_return_sequences")
_MOST_ROWS = 256
# Settings that name a decoder which does not draw.
_SEARCHES = (("num_beam_groups", 1), ("force_words_ids", None), ("penalty_alpha", None))


def of_file(fields: Mapping[str, Any]) -> dict[str, Any]:
    """What a generation_config.json sets: fields of other names, null, and what is off left out.

    >>> of_file({"top_k": 0, "top_p": 0.9, "transformers_version": "4.49.0"})
    {'top_p': 0.9}
    """
    return {
        name: value
        for name, value in fields.items()
        if name in Settings.__dataclass_fields__ and value is not None
        if not (name in _OFF and value == _OFF[name])
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
    given, kept = plain(given), dict(defaults)
    if any(given.get(name) not in (None, neutral) for name, neutral in _SEARCHES):
        kept.pop("do_sample", None)
    merged = {**kept, **given}
    idle = set()
    if not merged.get("do_sample"):
        idle |= {name for name, _ in SAMPLING}
        idle -= {"top_k"} if merged.get("penalty_alpha") else set()
    if merged.get("num_beams") in (None, 1):
        idle |= {"diversity_penalty", *(name for name, _ in BEAMS)}
    for one, other in (("max_length", "max_new_tokens"), ("max_new_tokens", "max_length")):
        if one in given:
            idle.add(other)
    own = {name: kept[name] for name in kept if name not in given and name not in idle}
    try:
        own = plain(own)
        for name in _ROWS:
            whole(1, _MOST_ROWS)(name, own.get(name) or 1)
    except SettingError as error:
        raise SettingError(
            f"the model's own settings, of its {_FILE}: {error}; or set it in the call"
        ) from None
    return from_keywords(**own, **given)
