"""Argument types: what argparse makes of an option's text, or why it cannot."""

import re
from argparse import ArgumentTypeError

from npgpt._quoting import quoted

_LONGEST_NUMBER = 40  # digits; Python takes long over numbers of very many


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
    parsed = re.fullmatch(
        r"([0-9]{1,20})(?:\.([0-9]{1,20}))? ?(?:([KMGT])(I?))?B?", text, re.ASCII | re.IGNORECASE
    )
    if parsed is None:
        raise ArgumentTypeError(f"{quoted(text)} is not a size; write it as in 2GB, 800MB or 2GiB")
    whole, part, letter, binary = parsed.groups("")
    power = " KMGT".index(letter.upper() or " ")
    return int(int(whole + part) * (1024 if binary else 1000) ** power // 10 ** len(part))


def whole(text: str) -> int:
    """A whole number, also below 0.

    >>> whole("-1")
    -1
    """
    if not re.fullmatch(r"-?[0-9]{1,40}", text, re.ASCII):
        raise ArgumentTypeError(f"{quoted(text)} is not a whole number")
    return int(text)
