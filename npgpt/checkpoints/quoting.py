"""Quoting what a file says in an error message, however long or odd it is."""

LONGEST = 80


def quoted(text: str) -> str:
    r"""`repr(text)`, cut after 80 characters: no message grows with a hostile file.

    >>> quoted("wte\n"), len(quoted("x" * 10**6))
    ("'wte\\n'", 83)
    """
    return repr(text[:LONGEST]) + ("…" if len(text) > LONGEST else "")


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
