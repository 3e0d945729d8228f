"""What commands that look inside share: a prompt, a token, a position, as the user gives them."""

import re
from argparse import ArgumentParser, ArgumentTypeError, Namespace, _ArgumentGroup
from collections.abc import Callable, Sequence

from npgpt.cli import inputs
from npgpt.cli.output import piece, pieces
from npgpt.errors import PromptError, SettingError, TokenizerError
from npgpt.gpt import GPT
from npgpt.quoting import LONGEST, quoted

_MOST_TOKENS = 12  # of a text, in a message


def add_prompt(parser: ArgumentParser) -> None:
    """Declare the text and the model to look into."""
    inputs.add_text(parser, "--tokens", 'token ids instead of a text: "1 2 3"')
    inputs.add_model(parser)
    inputs.add_dtype(parser)
    inputs.add_memory(parser)


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


def tokens(gpt: GPT, text: str | list[int]) -> list[int]:
    """A text as ids; ids as they are, once they are known to be the model's."""
    row: list[int] = gpt.tokens(text)[0].tolist() if isinstance(text, str) else text
    known = gpt.config.vocab_size
    for token in row:
        if token >= known:
            raise PromptError(
                f"id {token} is not one of the {known} known ids; give 0 to {known - 1}"
            )
    return row


def whole(text: str) -> int:
    """A whole number, also below 0.

    >>> whole("-1")
    -1
    """
    if not re.fullmatch(r"-?[0-9]{1,40}", text, re.ASCII):
        raise ArgumentTypeError(f"{quoted(text)} is not a whole number")
    return int(text)


def position(number: int, length: int) -> int:
    """A position counted from 0, where one below 0 was counted from the end.

    >>> position(-1, 6)
    5
    """
    if not -length <= number < length:
        raise SettingError(
            f"position {number} is not in the text, which has {count(length)}; give 0 to "
            f"{length - 1}, or -{length} to -1, counted from the end"
        )
    return number % length


def count(length: int) -> str:
    """How many tokens, in words."""
    return "1 token" if length == 1 else f"{length} tokens"


def token(gpt: GPT, text: str, option: str) -> int:
    """The one token that a text, or an id in digits, stands for."""
    known = gpt.config.vocab_size
    if re.fullmatch(r"[0-9]+", text, re.ASCII):
        digits = text.lstrip("0") or "0"
        if len(digits) > len(str(known)) or int(digits) >= known:
            raise SettingError(f"{option} is {quoted(text)}; give an id of 0 to {known - 1}")
        return int(digits)
    if gpt.tokenizer is None:
        raise SettingError(
            f"{option} is {quoted(text)}, and the model has no tokenizer; give an id of 0 to "
            f"{known - 1}"
        )
    if not text:
        raise SettingError(f"{option} is '', which is no token; give a text, or an id")
    found = gpt.tokenizer.encode(text, allowed_special="all")
    if len(found) > 1:
        raise SettingError(
            f"{option} is {quoted(text)}, which is {len(found)} tokens: "
            f"{tokenization(gpt, found)}; give one of them, or its id"
        )
    return found[0]


def pair(gpt: GPT, arguments: Namespace) -> tuple[int | None, int | None]:
    """--token and --against, None where not given."""
    given = (arguments.token, arguments.against)
    options = ("--token", "--against")
    found = [
        None if text is None else token(gpt, text, option)
        for text, option in zip(given, options, strict=True)
    ]
    check_two(gpt, *found)
    return found[0], found[1]


def check_two(gpt: GPT, first: int | None, second: int | None) -> None:
    """Raise SettingError where a token is to be compared with itself."""
    if first is not None and first == second:
        raise SettingError(
            f"the token {label(gpt, first)} (id {first}) is set against itself; give --against "
            "another one"
        )


def label(gpt: GPT, token: int) -> str:
    """A token as `output.piece` shows it, cut where long, or its id where it has no text."""
    try:
        shown = str(token) if gpt.tokenizer is None else piece(gpt.tokenizer, token)
    except TokenizerError:  # the rows of some models' embeddings are more than their tokens
        return str(token)
    return shown if len(shown) <= LONGEST else shown[:LONGEST] + "…"


def named(gpt: GPT, found: Sequence[int]) -> list[str | None] | None:
    """Tokens as `output.pieces` has them for JSON, None for one that the tokenizer lacks."""
    return None if gpt.tokenizer is None else [name(gpt, each) for each in found]


def name(gpt: GPT, token: int) -> str | None:
    """One token of `named`; None without a tokenizer."""
    try:
        found = pieces(gpt.tokenizer, [token])
    except TokenizerError:
        return None
    return None if found is None else found[0]


def described(gpt: GPT, token: int) -> str:
    """A token with its id, for a line of text."""
    shown = label(gpt, token)
    return f"id {token}" if shown == str(token) else f"{shown} (id {token})"


def tokenization(gpt: GPT, found: Sequence[int]) -> str:
    """Tokens with their ids, for a message: the first 12."""
    more = f" and {len(found) - _MOST_TOKENS} more" if len(found) > _MOST_TOKENS else ""
    return ", ".join(described(gpt, each) for each in found[:_MOST_TOKENS]) + more
