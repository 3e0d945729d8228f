"""Arguments that commands share: a model, a text or token ids, a position, a next token."""

import re
import sys
from argparse import ArgumentParser, Namespace, _ArgumentGroup
from collections.abc import Callable, Sequence
from pathlib import Path

import npgpt._gpt
from npgpt._cli.argument_types import size, token_ids
from npgpt._cli.output import saying_warnings
from npgpt._gpt import GPT
from npgpt._quoting import quoted
from npgpt.audit._next_token import check_distinct
from npgpt.audit._token_text import described
from npgpt.errors import PromptError, SettingError

_STANDARD_INPUT = "-"
_MOST_TOKENS = 12  # of a text, in a message


def add_model(parser: ArgumentParser) -> None:
    """Declare --model and --json, which all commands have."""
    parser.add_argument(
        "--model",
        metavar="PATH",
        type=Path,
        help="a GPT-2: a folder with config.json and weights, or a file of weights, such as a GGUF "
        "or nanoGPT's ckpt.pt, or a name that `npgpt fetch` got (default: what the environment "
        "variable NPGPT_MODEL names, or the model that ships)",
    )
    parser.add_argument(
        "--json",
        action="store_true",
        help="print one JSON object, the numbers in full; null stands for what is not finite",
    )


def add_tokenizer(parser: ArgumentParser) -> None:
    """Declare --tokenizer."""
    parser.add_argument(
        "--tokenizer",
        metavar="PATH",
        type=Path,
        help="a tokenizer in place of the model's own, or of none: its folder, its tokenizer.json "
        "or vocab.json, or nanoGPT's meta.pkl",
    )


def add_special(parser: ArgumentParser) -> None:
    """Declare --allow-special."""
    parser.add_argument(
        "--allow-special",
        dest="allowed_special",
        action="store_const",
        const="all",
        default=frozenset(),
        help="take special tokens in the text, such as <|endoftext|>, as such: else they are "
        "ordinary text",
    )


def add_raw(parser: ArgumentParser) -> None:
    """Declare --raw."""
    parser.add_argument(
        "--raw",
        action="store_true",
        help="print control characters of the text as they are: on a terminal they are escaped, as "
        r"\x1b is, so that no model and no file commands it",
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
    parser.add_argument(
        "text",
        nargs="?",
        metavar="TEXT",
        help="the text; - reads it from standard input, and leaves out one line break at its end",
    )
    parser.add_argument(
        "--file",
        metavar="FILE",
        help="read the text from FILE, or - for standard input: UTF-8, taken as it is, its last "
        "line break too",
    )
    parser.add_argument(ids_option, dest="ids", metavar="IDS", type=token_ids, help=ids_help)
    parser.set_defaults(ids_option=ids_option)


def load_model(arguments: Namespace) -> GPT:
    """The model that --model and the options beside it ask for; its warnings are said."""
    with saying_warnings():
        return npgpt._gpt.load(
            arguments.model,
            dtype=arguments.dtype,
            widen=arguments.widen,
            memory=arguments.memory,
            tokenizer=getattr(arguments, "tokenizer", None),
        )


def read_prompt(arguments: Namespace) -> str | list[int]:
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
        how = ""
        if arguments.ids_option == "--tokens":
            how = ": to start from nothing, the model's end-of-text id, which npgpt inspect shows"
        raise PromptError(
            f"{name} {ways[name]!r} holds nothing; give at least one character, or one id{how}"
        )
    return value


def add_prompt(parser: ArgumentParser) -> None:
    """Declare the text and the model to look into."""
    add_text(parser, "--tokens", 'token ids instead of a text: "1 2 3"')
    add_model(parser)
    add_tokenizer(parser)
    add_dtype(parser)
    add_memory(parser)


def add_token(parser: ArgumentParser | _ArgumentGroup, default: str) -> None:
    """Declare --token and --against."""
    parser.add_argument(
        "--token",
        metavar="WORD",
        help='the next token that is asked about: a text such as " be", mind the space, or, in '
        f"digits alone, an id (default: {default})",
    )
    parser.add_argument(
        "--against",
        metavar="WORD",
        help="another next token: how far the logit of --token is above this one's",
    )


def add_position(
    parser: ArgumentParser, metavar: str, reading: Callable[[str], int | None], also: str = ""
) -> None:
    """Declare --position, the last by default."""
    parser.add_argument(
        "--position",
        metavar=metavar,
        type=reading,
        default=-1,
        help=f"after which token: 0 is the first, -1 the last (default: -1){also}",
    )


def prompt_tokens(gpt: GPT, text: str | list[int]) -> list[int]:
    """A text as ids; ids as they are, once they are known to be the model's."""
    row: list[int] = gpt.tokens(text)[0].tolist() if isinstance(text, str) else text
    vocab_size = gpt.config.vocab_size
    for token in row:
        if token >= vocab_size:
            raise PromptError(
                f"id {token} is not one of the {vocab_size} known ids; give 0 to {vocab_size - 1}"
            )
    return row


def resolve_position(number: int, length: int) -> int:
    """A position counted from 0, where one below 0 was counted from the end.

    >>> resolve_position(-1, 6)
    5
    """
    if not -length <= number < length:
        raise SettingError(
            f"position {number} is not in the text, which has {count_tokens(length)}; give 0 to "
            f"{length - 1}, or -{length} to -1, counted from the end"
        )
    return number % length


def read_token(gpt: GPT, text: str, option: str) -> int:
    """The one token that a text, or an id in digits, stands for."""
    vocab_size = gpt.config.vocab_size
    if re.fullmatch(r"[0-9]+", text, re.ASCII):
        digits = text.lstrip("0") or "0"
        if len(digits) > len(str(vocab_size)) or int(digits) >= vocab_size:
            raise SettingError(f"{option} is {quoted(text)}; give an id of 0 to {vocab_size - 1}")
        return int(digits)
    if gpt.tokenizer is None:
        raise SettingError(
            f"{option} is {quoted(text)}, and the model has no tokenizer; give an id of 0 to "
            f"{vocab_size - 1}"
        )
    if not text:
        raise SettingError(f"{option} is '', which is no token; give a text, or an id")
    tokens = gpt.tokenizer.encode(text, allowed_special="all")
    if len(tokens) > 1:
        raise SettingError(
            f"{option} is {quoted(text)}, which is {len(tokens)} tokens: "
            f"{describe_tokens(gpt, tokens)}; give one of them, or its id"
        )
    return tokens[0]


def read_token_pair(gpt: GPT, arguments: Namespace) -> tuple[int | None, int | None]:
    """--token and --against, None where not given."""
    given = (arguments.token, arguments.against)
    options = ("--token", "--against")
    pair = [
        None if text is None else read_token(gpt, text, option)
        for text, option in zip(given, options, strict=True)
    ]
    check_distinct(gpt, *pair)
    return pair[0], pair[1]


def count_tokens(length: int) -> str:
    """How many tokens, in words."""
    return "1 token" if length == 1 else f"{length} tokens"


def describe_tokens(gpt: GPT, tokens: Sequence[int]) -> str:
    """Tokens with their ids, for a message: the first 12."""
    more = f" and {len(tokens) - _MOST_TOKENS} more" if len(tokens) > _MOST_TOKENS else ""
    return ", ".join(described(gpt, token) for token in tokens[:_MOST_TOKENS]) + more


def _text(arguments: Namespace) -> str:
    name = arguments.text if arguments.file is None else arguments.file
    if arguments.file is None and name != _STANDARD_INPUT:
        return str(name)
    where = "standard input" if name == _STANDARD_INPUT else repr(name)
    try:
        data = _standard_input() if name == _STANDARD_INPUT else Path(name).read_bytes()
        text = data.decode()
        # What echo and a shell's <<< add is no part of what was meant.
        return text if arguments.file is not None else text.removesuffix("\n").removesuffix("\r")
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
