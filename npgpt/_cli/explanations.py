"""Explanations of a command line that was not understood: what was given, and what was meant."""

import argparse
import difflib
import re
from collections.abc import Iterable, Sequence

from npgpt._foreign_names import ELSEWHERE
from npgpt._quoting import quoted
from npgpt.decoding._settings import TABLE, habit, meant

_LISTED = "--help lists the options"
_TRUE = ("true", "yes", "on", "1")
_FALSE = ("false", "no", "off", "0")


def check_flags(argv: Sequence[str], parser: argparse.ArgumentParser) -> None:
    """Error where an option that takes no value was given one, in either of the usual forms.

    Else "--do-sample false" would be an option, and the text "false".
    """
    flags = {
        option
        for option, action in parser._option_string_actions.items()
        if action.nargs == 0 and option.startswith("--") and option != "--help"
    }
    for number, word in enumerate(argv):
        if word == "--":
            return
        option, equals, value = word.partition("=")
        if option not in flags:
            continue
        if not equals:
            value = argv[number + 1] if number + 1 < len(argv) else ""
            if value.lower() not in (*_TRUE[:-1], *_FALSE[:-1]):
                continue
        parser.error(
            f"{option} takes no value, but is given {quoted(value)}; {_flag(option, value, flags)}"
        )


def _flag(option: str, value: str, flags: Iterable[str]) -> str:
    opposite = option.replace("--no-", "--") if "--no-" in option else option.replace("--", "--no-")
    if value.lower() in _FALSE:
        return f"write {opposite}" if opposite in flags else "leave it out"
    return f"write {option} alone" if value.lower() in _TRUE else "it stands alone"


def unknown_command(word: str, commands: Iterable[str]) -> str:
    """Which command was perhaps meant, and which there are."""
    names = list(commands)
    near = difflib.get_close_matches(word.lower(), names, n=1)
    hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(names)}"
    return f"there is no command {quoted(word)}; {hint}; see npgpt --help"


def unknown(left_over: Sequence[str], parser: argparse.ArgumentParser) -> str:
    """Why an argument was not understood, and what was perhaps meant."""
    options = [word.partition("=")[0] for word in left_over if word.startswith("-")]
    if not options:
        word = quoted(left_over[0])
        return f"{word} is one argument too many; put a text of several words in quotes"
    return f"there is no option {quoted(options[0])}; {_hint(options[0], parser)}"


def _hint(option: str, parser: argparse.ArgumentParser) -> str:
    known = parser._option_string_actions
    name = option.lstrip("-").replace("-", "_").lower()
    if len(option) == 2 and option[1].isalpha():
        name = _LETTERS.get(name, name)
    takes_settings = "--top-p" in known
    spelled = f"--{name.replace('_', '-')}"
    if spelled in known:
        return f"did you mean {spelled}?"
    positive = name.removeprefix("no_")
    if positive != name and f"--{positive.replace('_', '-')}" in known:
        of_setting = positive in TABLE and takes_settings
        return (
            f"--{positive.replace('_', '-')} none switches it off"
            if of_setting
            else f"leave --{positive.replace('_', '-')} out"
        )
    if takes_settings:
        setting = meant(name)
        if name in ELSEWHERE:
            return ELSEWHERE[name].command_line
        if setting is not None and TABLE[setting].option:
            return f"did you mean --{setting.replace('_', '-')}?"
    elif name in TABLE or habit(name):
        return "only npgpt generate and npgpt audit take settings"
    if not option.startswith("--"):
        return f"a text that starts with a dash goes after --, and {_LISTED}"
    near = difflib.get_close_matches(spelled, [o for o in known if o.startswith("--")], n=1)
    if near:
        return f"did you mean {near[0]}?"
    return f"{_LISTED}; a text that starts with a dash goes after --"


_LETTERS = {"n": "n", "m": "model", "t": "temperature", "s": "seed", "k": "top_k", "p": "top_p"}


def as_options(message: str, parser: argparse.ArgumentParser) -> str:
    """A message of the library, with arguments and settings as the command line spells them.

    top_p becomes --top-p, do_sample=False becomes --no-do-sample.
    """
    options = {
        action.dest: action.option_strings[-1]
        for action in parser._actions
        if action.option_strings and not isinstance(action, argparse._StoreFalseAction)
    }
    if message.startswith("the model's own settings"):
        return message  # of a file, which spells them otherwise

    def spelled(found: re.Match[str]) -> str:
        name, equals, value = found.group("name"), found.group("equals"), found.group("value")
        option = options[name]
        if not equals:
            return option
        if value in ("True", "False"):
            return option if value == "True" else option.replace("--", "--no-")
        return f"{option} {'none' if value == 'None' else value}"

    names = "|".join(sorted((name for name in options if "_" in name), key=len, reverse=True))
    plain = "|".join(name for name in options if "_" not in name)
    value = r"(?P<equals>=)(?P<value>[^\s,;:)]+)"
    if names:
        pattern = rf"(?<![\w'\"/.-])(?P<name>{names})(?![\w'\"/.]\w)\b(?:{value})?"
        message = re.sub(pattern, spelled, message)
    return (
        re.sub(rf"^(?P<name>{plain})(?= is )(?:{value})?", spelled, message) if plain else message
    )
