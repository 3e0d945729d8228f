"""What commands read: a model, a text, token ids."""

import re
import sys
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from pathlib import Path

import npgpt.gpt
from npgpt.cli.output import saying_warnings
from npgpt.errors import PromptError
from npgpt.gpt import GPT
from npgpt.quoting import quoted

_STANDARD_INPUT = "-"
_LONGEST_NUMBER = 40  # digits; Python takes long over numbers of very many


def add_model(parser: ArgumentParser) -> None:
    """Declare --model and --json, which all commands have."""
    parser.add_argument(
        "--model",
        metavar="PATH",
        type=Path,
        help="a GPT-2: a folder with config.json and weights, or a file of weights, such as a GGUF "
        "or nanoGPT's ckpt.pt, or a name that `npgpt fetch` got (default: the model that ships)",
    )
    parser.add_argument(
        "--json",
        action="store_true",
        help="print one JSON object, the numbers in full; null stands for what is not finite",
    )


def add_dtype(parser: ArgumentParser) -> None:
    """Declare --dtype."""
    parser.add_argument(
        "--dtype",
        choices=("float32", "float64"),
        default="float32",
        help="compute in float32 (default) or float64",
    )
    parser.set_defaults(widen=True, memory=None)


def add_memory(parser: ArgumentParser) -> None:
    """Declare --memory and --no-widen, after --dtype."""
    parser.add_argument(
        "--memory",
        metavar="SIZE",
        type=size,
        help="take no more memory than that, such as 2GB: weights that do not fit are read from "
        "the file again for each token",
    )
    parser.add_argument(
        "--no-widen",
        dest="widen",
        action="store_false",
        help="keep weights that are stored in 16 bits so: half the memory, and slower",
    )


def add_text(parser: ArgumentParser, ids_option: str, ids_help: str) -> None:
    """Declare the ways to give a text, TEXT and --file, and an option for token ids instead."""
    parser.add_argument("text", nargs="?", metavar="TEXT", help="the text; - reads standard input")
    parser.add_argument(
        "--file",
        metavar="FILE",
        help="read the text from FILE: UTF-8, taken as it is, its last newline too",
    )
    parser.add_argument(ids_option, dest="ids", metavar="IDS", type=token_ids, help=ids_help)
    parser.set_defaults(ids_option=ids_option)


def load(arguments: Namespace) -> GPT:
    """The model that --model and the options beside it ask for; its warnings are said."""
    with saying_warnings():
        return npgpt.gpt.load(
            arguments.model,
            dtype=arguments.dtype,
            widen=arguments.widen,
            memory=arguments.memory,
        )


def read(arguments: Namespace) -> str | list[int]:
    """The text or the token ids that were given.

    Raises PromptError unless one thing, not empty, is given, and for a text that is not UTF-8.
    """
    ids: list[int] | None = arguments.ids
    ways = {"TEXT": arguments.text, "--file": arguments.file, arguments.ids_option: ids}
    given = [name for name, value in ways.items() if value is not None]
    if len(given) > 1:
        raise PromptError(f"{' and '.join(given)} are given; give one of them")
    if not given:
        raise PromptError(
            "no text is given; give one in quotes, or --file FILE, or - to read standard input"
        )
    value = ids if ids is not None else _text(arguments)
    if not value:
        (name,) = given
        raise PromptError(
            f"{name} {ways[name]!r} holds nothing; give at least one character, or one id"
        )
    return value


def token_ids(text: str) -> list[int]:
    """The ids in a text such as "1 2 3" or "1, 2, 3"."""
    return [natural(word) for word in text.replace(",", " ").split()]


def natural(text: str) -> int:
    """A whole number, 0 or more."""
    if not (text.isascii() and text.isdigit() and len(text) <= _LONGEST_NUMBER):
        raise ArgumentTypeError(f"{quoted(text)} is not a whole number, 0 or more")
    return int(text)


def number(text: str) -> float:
    """Any number, also inf and nan."""
    try:
        return float(text)
    except ValueError:
        raise ArgumentTypeError(f"{quoted(text)} is not a number") from None


def size(text: str) -> int:
    """Bytes, of a text such as "2GB", "1.5 GiB", "800MB" or "2000000000".

    >>> size("2GB"), size("1.5 GiB")
    (2000000000, 1610612736)
    """
    found = re.fullmatch(
        r"([0-9]{1,20})(?:\.([0-9]{1,20}))? ?(?:([KMGT])(I?))?B?", text, re.ASCII | re.IGNORECASE
    )
    if found is None:
        raise ArgumentTypeError(f"{quoted(text)} is not a size; write it as in 2GB, 800MB or 2GiB")
    whole, part, letter, binary = found.groups("")
    power = " KMGT".index(letter.upper() or " ")
    return int(int(whole + part) * (1024 if binary else 1000) ** power // 10 ** len(part))


def _text(arguments: Namespace) -> str:
    name = arguments.text if arguments.file is None else arguments.file
    if arguments.file is None and name != _STANDARD_INPUT:
        return str(name)
    where = "standard input" if name == _STANDARD_INPUT else repr(name)
    try:
        data = _standard_input() if name == _STANDARD_INPUT else Path(name).read_bytes()
        return data.decode()
    except OSError as error:
        raise PromptError(f"{where} cannot be read ({error.strerror}); check the name") from None
    except UnicodeDecodeError as error:
        raise PromptError(
            f"{where} is not UTF-8: byte {error.start} is 0x{error.object[error.start]:02x}; "
            "save the text as UTF-8"
        ) from None


def _standard_input() -> bytes:
    # Python has no sys.stdin where the process was started without one.
    return sys.stdin.buffer.read() if sys.stdin is not None else b""
