"""The settings of decoding as options."""

import dataclasses
from argparse import SUPPRESS, ArgumentParser, ArgumentTypeError, Namespace
from typing import Any

from npgpt.checkpoints.quoting import quoted
from npgpt.cli.inputs import natural, token_ids
from npgpt.decoding.settings import Settings

_NONE = "none"


def _whole(text: str) -> int | None:
    return None if text == _NONE else natural(text)


def _number(text: str) -> float | None:
    try:
        return None if text == _NONE else float(text)
    except ValueError:
        raise ArgumentTypeError(f"{quoted(text)} is not a number") from None


def _ids(text: str) -> list[int]:
    return [] if text == _NONE else token_ids(text)


# Setting -> how argparse reads it, and the line of help. `test_options.py` sees to it that no
# setting is left out.
_FLAG: dict[str, Any] = {"action": "store_true"}
_WHOLE: dict[str, Any] = {"type": _whole, "metavar": "N"}
_REAL: dict[str, Any] = {"type": _number, "metavar": "X"}
_IDS: dict[str, Any] = {"type": _ids, "metavar": "IDS", "action": "extend"}
_TEXTS: dict[str, Any] = {"metavar": "TEXT", "action": "append"}

_SETTINGS: dict[str, tuple[dict[str, Any], str]] = {
    "do_sample": (_FLAG, "draw each token by chance; --no-do-sample takes the likeliest"),
    "temperature": (
        _REAL,
        "divide scores by X before drawing: above 1 bolder, below 1 safer, 0 safest",
    ),
    "top_k": (_WHOLE, "draw from the N likeliest tokens only"),
    "top_p": (_REAL, "draw from the fewest likeliest tokens whose probabilities reach X"),
    "repetition_penalty": (_REAL, "above 1: make tokens that the text already has less likely"),
    "max_length": (_WHOLE, "stop at N tokens, the prompt counted in"),
    "max_new_tokens": (_WHOLE, "stop after N new tokens"),
    "min_length": (_WHOLE, "no end-of-text token before N tokens, the prompt counted in"),
    "min_new_tokens": (_WHOLE, "no end-of-text token before N new tokens"),
    "eos_token_id": (_IDS, 'ids of the tokens that end a text, one or several: "1 2"; repeatable'),
    "pad_token_id": (_WHOLE, "id that fills rows up; of no effect on a single text"),
    "stop_strings": (_TEXTS, "stop once the new text holds TEXT; repeatable"),
    "output_scores": (_FLAG, "with --json: add the scores that each token was chosen by"),
}


def add_settings(parser: ArgumentParser) -> None:
    """Declare an option for each setting of `Settings`."""
    group = parser.add_argument_group(
        "settings",
        "Those not given are the model's own (its generation_config.json); "
        f"the value {_NONE} switches one off.",
    )
    for name, (reading, meaning) in _SETTINGS.items():
        option = name.replace("_", "-")
        group.add_argument(f"--{option}", dest=name, default=SUPPRESS, help=meaning, **reading)
        if reading is _FLAG:
            no = f"--no-{option}"
            group.add_argument(no, dest=name, default=SUPPRESS, action="store_false", help=SUPPRESS)


def settings(arguments: Namespace) -> dict[str, Any]:
    """The settings that the command line gives, and no others, as keywords for `GPT.generate`."""
    names = (field.name for field in dataclasses.fields(Settings))
    return {name: getattr(arguments, name) for name in names if hasattr(arguments, name)}
