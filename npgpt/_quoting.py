"""Quoting what a stranger gave in an error message, however long or odd it is."""

import re
import reprlib
from collections.abc import Sequence

LONGEST = 80
_MOST = 20  # of many names
_LONGEST_VALUE = 160
_COMMANDS = re.compile("[\0-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")
_LARGEST = 10**40  # Python takes long over numbers of very many digits, or refuses to write them


def quoted(text: str) -> str:
    r"""`repr(text)`, cut after 80 characters: no message grows with a hostile file.

    >>> quoted("wte\n"), len(quoted("x" * 10**6))
    ("'wte\\n'", 83)
    """
    return repr(text[:LONGEST]) + ("…" if len(text) > LONGEST else "")


def on_one_line(text: str) -> str:
    r"""The text with all that is not printed, a line break too, written as Python would.

    >>> on_one_line("wte\nsafe: yes\x1b[2J")
    'wte\\nsafe: yes\\x1b[2J'
    """
    return text if text.isprintable() else "".join(map(_written, text))


def without_commands(text: str) -> str:
    r"""The text with what a terminal would obey, rather than show, written as Python would.

    That is every control character but a line break and a tab, line breaks of other kinds, and what
    turns the direction of writing. Joiners within a character, as emoji have, stay.

    >>> without_commands("to\tbe\n\x1b]52;c;eA==\a\u202e")
    'to\tbe\n\\x1b]52;c;eA==\\x07\\u202e'
    """
    return _COMMANDS.sub(lambda found: _written(found[0]), text)


def _written(character: str) -> str:
    return character if character.isprintable() else repr(character)[1:-1]


def listed(names: Sequence[str]) -> str:
    """The names, quoted; of more than 20, the first 20.

    >>> listed(["wte", "wpe"]), listed("x" * 1000)[-16:]
    ("'wte', 'wpe'", "'x' and 980 more")
    """
    return ", ".join(map(quoted, names[:_MOST])) + _more(names)


def several(reasons: Sequence[str]) -> str:
    """The reasons, as they are; of more than 20, the first 20.

    >>> several(["wte is missing", "wpe is missing"]), several(["no"] * 22)[-17:]
    ('wte is missing; wpe is missing', 'no; no and 2 more')
    """
    return "; ".join(reasons[:_MOST]) + _more(reasons)


def _more(shown: Sequence[str]) -> str:
    return f" and {len(shown) - _MOST} more" if len(shown) > _MOST else ""


def kind(value: object) -> str:
    """What a value is, for a message: quoted where it is short, else the name of its type.

    >>> kind(None), kind(7), kind("a"), kind((1, 2)), kind(10**50)
    ('None', '7', "'a'", 'a tuple', 'an int')
    """
    if isinstance(value, str):
        return quoted(value)
    if value is None or isinstance(value, (bool, float)):
        return repr(value)
    if isinstance(value, int) and abs(value) < 2**64:
        return repr(value)
    name = type(value).__name__
    return f"{'an' if name[0].lower() in 'aeiou' else 'a'} {name}"


def brief(value: object) -> str:
    """`repr(value)`, cut within and after 160 characters, whatever the value holds.

    >>> brief([1, {"a": "b"}]), brief([7] * 10**6), brief(10**5000)
    ("[1, {'a': 'b'}]", '[7, 7, 7, 7, 7, 7, ...]', 'an int of over 40 digits')
    """
    text = _Brief().repr(value).replace("\n", " ")  # as in the repr of an array
    return text if len(text) <= _LONGEST_VALUE else text[:_LONGEST_VALUE] + "…"


class _Brief(reprlib.Repr):
    def __init__(self) -> None:
        super().__init__()
        self.maxlevel = 3
        self.maxother = LONGEST

    def repr_str(self, x: str, level: int) -> str:
        return quoted(x)

    def repr_int(self, x: int, level: int) -> str:
        return repr(x) if abs(x) < _LARGEST else "an int of over 40 digits"
