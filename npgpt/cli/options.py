"""The settings of decoding as options."""

import dataclasses
from argparse import SUPPRESS, ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Callable, Collection
from typing import Any

from npgpt.cli.argument_types import natural, number, token_ids
from npgpt.decoding.settings import Settings
from npgpt.quoting import quoted

_NONE = "none"


def _or_none(read: Callable[[str], Any]) -> Callable[[str], Any]:
    return lambda text: None if text == _NONE else read(text)


def _or_nothing(read: Callable[[str], list[Any]]) -> Callable[[str], list[Any]]:
    return lambda text: [] if text == _NONE else read(text)


def _alternatives(text: str) -> list[list[list[int]]]:
    return [[token_ids(part) for part in text.split("|")]]


def _biases(text: str) -> list[tuple[list[int], float]]:
    ids, equals, bias = text.partition("=")
    if not equals or not ids.strip():
        raise ArgumentTypeError(f'{quoted(text)} is no IDS=X; write it as in "5 6=-1.5"')
    return [(token_ids(ids), number(bias))]


def _token_biases(text: str) -> list[tuple[int, float]]:
    return [(token, bias) for ids, bias in _biases(text) for token in ids]


def _decay(text: str) -> tuple[int, float]:
    start, space, factor = text.strip().partition(" ")
    if not space:
        raise ArgumentTypeError(f'{quoted(text)} is no N X; write it as in "10 1.5"')
    return natural(start), number(factor)


def _early(text: str) -> bool | str:
    return {"true": True, "false": False}.get(text, text)


# How argparse reads each kind of setting.
_FLAG: dict[str, Any] = {"action": "store_true"}
_WHOLE: dict[str, Any] = {"type": _or_none(natural), "metavar": "N"}
_REAL: dict[str, Any] = {"type": _or_none(number), "metavar": "X"}
_IDS: dict[str, Any] = {"type": _or_nothing(token_ids), "metavar": "IDS", "action": "extend"}
_TEXTS: dict[str, Any] = {
    "type": _or_nothing(lambda text: [text]),
    "metavar": "TEXT",
    "action": "extend",
}
_EARLY: dict[str, Any] = {"type": _or_none(_early), "metavar": "WHEN"}
_DECAY: dict[str, Any] = {"type": _or_none(_decay), "metavar": '"N X"'}


def _repeated(read: Callable[[str], list[Any]], metavar: str) -> dict[str, Any]:
    return {"type": _or_nothing(read), "metavar": metavar, "action": "extend"}


_PHRASES = _repeated(lambda text: [token_ids(text)], "IDS")

# Group -> setting -> how it is read, and the line of help. `test_options.py` sees to it that no
# setting is left out.
_GROUPS: dict[str, dict[str, tuple[dict[str, Any], str]]] = {
    "which decoder": {
        "do_sample": (_FLAG, "draw each token by chance; --no-do-sample takes the likeliest"),
        "num_beams": (
            _WHOLE,
            "above 1: N beams: with --no-do-sample a search for the likeliest whole text, else "
            "they are drawn",
        ),
        "num_beam_groups": (_WHOLE, "N groups of beams, each kept off what the others take"),
        "force_words_ids": (
            _repeated(_alternatives, "IDS"),
            'with beams: the text must hold this phrase, or one of several: "1 2 | 3"; repeatable',
        ),
        "penalty_alpha": (
            _REAL,
            "contrastive search: weigh X times likeness to earlier tokens against probability",
        ),
        "prompt_lookup_num_tokens": (
            _WHOLE,
            "faster where a text repeats itself: guess N tokens from it and check them at once",
        ),
        "num_assistant_tokens": (_WHOLE, "with --assistant: guess N tokens at a time (default: 5)"),
        "max_matching_ngram_size": (
            _WHOLE,
            "with --prompt-lookup-num-tokens: match the last N tokens at most (default: 2)",
        ),
        "diversity_penalty": (_REAL, "with groups: what a token costs that another group took"),
        "length_penalty": (_REAL, "with beams: above 0 favours longer texts, below 0 shorter ones"),
        "early_stopping": (
            _EARLY,
            "with beams: stop at N ended ones (true), when none can be expected to beat them "
            "(false), or when none can (never)",
        ),
        "force_words_in_prompt": (_FLAG, "let the prompt fulfil --force-words-ids too"),
        "num_return_sequences": (_WHOLE, "give N texts: drawn ones, or the N best beams"),
    },
    "what may follow": {
        "guidance_scale": (
            _REAL,
            "above 1: lead away from what follows a negative prompt, or else the last token alone",
        ),
        "sequence_bias": (
            _repeated(_biases, "IDS=X"),
            'add X to the last token of a phrase where the others came: "1 2=-3.5"; repeatable',
        ),
        "logit_bias": (_repeated(_token_biases, "IDS=X"), "add X to single tokens; repeatable"),
        "repetition_penalty": (
            _REAL,
            "above 1: make tokens that the text already has less likely",
        ),
        "frequency_penalty": (_REAL, "take X off a token for each time that it was generated"),
        "presence_penalty": (_REAL, "take X off a token that was generated at all"),
        "no_repeat_ngram_size": (_WHOLE, "never the same N tokens in a row twice"),
        "bad_words_ids": (_PHRASES, 'never this phrase: "1 2"; repeatable'),
        "min_length": (_WHOLE, "no end-of-text token before N tokens, the prompt counted in"),
        "min_new_tokens": (_WHOLE, "no end-of-text token before N new tokens"),
        "forced_bos_token_id": (_WHOLE, "id of the token that comes first"),
        "forced_eos_token_id": (_IDS, "ids of the tokens that may come at the limit, alone"),
        "exponential_decay_length_penalty": (
            _DECAY,
            "after N new tokens, let the end-of-text token grow likelier by X to the power of "
            "those beyond",
        ),
        "suppress_tokens": (_IDS, "never these tokens"),
        "begin_suppress_tokens": (_IDS, "none of these tokens first"),
    },
    "how tokens are drawn": {
        "temperature": (
            _REAL,
            "divide scores by X before drawing: above 1 bolder, below 1 safer, 0 the likeliest",
        ),
        "top_h": (_REAL, "draw from as many likeliest tokens as have X of the entropy"),
        "top_k": (_WHOLE, "draw from the N likeliest tokens only"),
        "top_p": (_REAL, "draw from the fewest likeliest tokens whose probabilities reach X"),
        "min_p": (_REAL, "draw from tokens at least X times as likely as the likeliest"),
        "typical_p": (
            _REAL,
            "draw from the tokens nearest to the expected surprise whose probabilities reach X",
        ),
        "epsilon_cutoff": (_REAL, "draw from tokens of probability X or more"),
        "eta_cutoff": (_REAL, "the same, but with a lower bar where much is possible"),
    },
    "where a text ends": {
        "max_length": (_WHOLE, "stop at N tokens, the prompt counted in"),
        "max_new_tokens": (_WHOLE, "stop after N new tokens"),
        "eos_token_id": (_IDS, 'ids of the tokens that end a text: "1 2"; repeatable'),
        "stop_strings": (_TEXTS, "stop once the new text holds TEXT; repeatable"),
    },
    "what is given back": {
        "pad_token_id": (_WHOLE, "id that fills rows up; of no effect on a single text"),
        "output_scores": (_FLAG, "with --json: add the scores that each token was chosen by"),
    },
}


def add_settings(parser: ArgumentParser, *, without: Collection[str] = ()) -> None:
    """Declare an option for each setting of `Settings` that a command line can give.

    without: settings that mean nothing to a command.
    """
    parser.epilog = (
        "Settings not given are the model's own (its generation_config.json); the value "
        f"{_NONE} switches one off.\n\n{parser.epilog or ''}"
    )
    for title, settings in _GROUPS.items():
        group = parser.add_argument_group(title)
        for name, (reading, meaning) in settings.items():
            if name in without:
                continue
            option = name.replace("_", "-")
            group.add_argument(f"--{option}", dest=name, default=SUPPRESS, help=meaning, **reading)
            if reading is _FLAG:
                group.add_argument(
                    f"--no-{option}",
                    dest=name,
                    default=SUPPRESS,
                    action="store_false",
                    help=SUPPRESS,
                )


def settings(arguments: Namespace) -> dict[str, Any]:
    """The settings that the command line gives, and no others, as keywords for `GPT.generate`."""
    names = (field.name for field in dataclasses.fields(Settings))
    given = {name: getattr(arguments, name) for name in names if hasattr(arguments, name)}
    return {name: None if value == [] else value for name, value in given.items()}
