"""The settings of decoding as options of the command line, made of the table of settings."""

import re
from argparse import SUPPRESS, ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Callable, Collection
from dataclasses import fields
from typing import Any

from npgpt._cli.argument_types import natural, number, token_ids
from npgpt._quoting import quoted
from npgpt.decoding._settings import TABLE, Phrase, Settings

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


def _option(read: Callable[[str], Any], metavar: str) -> dict[str, Any]:
    return {"type": _or_none(read), "metavar": metavar}


def _repeatable(read: Callable[[str], list[Any]], metavar: str, example: str) -> dict[str, Any]:
    more = {"example": example} if example else {}
    return {"type": _or_nothing(read), "metavar": metavar, "action": "extend", **more}


_FLAG: dict[str, Any] = {"action": "store_true"}
_INTEGER = _option(natural, "N")
_NUMBER = _option(number, "X")
_IDS = _repeatable(token_ids, "IDS", '"1 2"')
# From the type of a setting to what argparse is told of its option. example: how to write a value.
_KINDS: dict[Any, dict[str, Any]] = {
    bool: _FLAG,
    int: _INTEGER,
    int | None: _INTEGER,
    float: _NUMBER,
    float | None: _NUMBER,
    tuple[int, ...]: _IDS,
    int | tuple[int, ...] | None: _IDS,
    tuple[str, ...]: _repeatable(lambda text: [text], "TEXT", ""),
    tuple[Phrase, ...]: _repeatable(lambda text: [token_ids(text)], "IDS", '"1 2"'),
    tuple[tuple[Phrase, ...], ...] | None: _repeatable(_alternatives, "IDS", '"1 2 | 3"'),
    tuple[tuple[Phrase, float], ...]: _repeatable(_biases, "IDS=X", '"1 2=-3.5"'),
    tuple[tuple[int, float], ...]: _repeatable(_token_biases, "IDS=X", '"1 2=-3.5"'),
    tuple[int, float] | None: _option(_decay, '"N X"'),
    bool | str: _option(_early, "WHEN"),
}


def add_settings(parser: ArgumentParser, *, without: Collection[str] = ()) -> None:
    """Declare an option for each setting of `Settings` that a command line can give.

    without: settings that mean nothing to a command.
    """
    parser.epilog = (
        "Settings not given are the model's own (its generation_config.json); the value "
        f"{_NONE} switches one off.\n\n{parser.epilog or ''}"
    )
    groups = {
        stage: parser.add_argument_group(stage)
        for stage in dict.fromkeys(row.stage for row in TABLE.values())
    }
    for field in fields(Settings):
        name, row = field.name, TABLE[field.name]
        if not row.option or name in without:
            continue
        kind = dict(_KINDS[field.type])
        option = name.replace("_", "-")
        groups[row.stage].add_argument(
            f"--{option}", dest=name, default=SUPPRESS, help=_help(name, kind), **kind
        )
        if field.type is bool:
            groups[row.stage].add_argument(
                f"--no-{option}", dest=name, default=SUPPRESS, action="store_false", help=SUPPRESS
            )


def _help(name: str, kind: dict[str, Any]) -> str:
    """The setting's line, with other settings as options, and how to write a value."""
    row = TABLE[name]
    line = row.help.replace("if not", f"with `no_{name}`")
    line = re.sub("`([a-z_]+)`", lambda m: "--" + m[1].replace("_", "-"), line)
    if not row.is_off(row.default):
        line += f" (default: {row.default})"
    example = kind.pop("example", None)
    line += f": {example}" if example else ""
    return f"{line}; repeatable" if kind.get("action") == "extend" else line


def settings(arguments: Namespace) -> dict[str, Any]:
    """The settings that the command line gives, and no others, as keywords for `GPT.generate`."""
    given = {name: getattr(arguments, name) for name in TABLE if hasattr(arguments, name)}
    return {name: None if value == [] else value for name, value in given.items()}
