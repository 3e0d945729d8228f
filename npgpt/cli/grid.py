"""Tables with a column for each token, in as many columns as a terminal has."""

from collections.abc import Iterator, Sequence

WIDTH = 100
_LONGEST_PIECE = 10  # columns of a token
_LARGE = 1e7  # from there on a number is written with an exponent


def short(text: str) -> str:
    """A token for a column of a table, cut where it is long.

    >>> short("' countrymen'")
    "' country…"
    """
    return text if len(text) <= _LONGEST_PIECE else text[: _LONGEST_PIECE - 1] + "…"


def number(value: float, form: str = ".4f") -> str:
    """A number for a column of a table, which no value makes wide.

    >>> number(0.25), number(-2.5e30)
    ('0.2500', '-2.5000e+30')
    """
    return format(value, form if abs(value) < _LARGE else form.replace("f", "e"))


def signed(value: float) -> str:
    """A number of which the sign matters.

    >>> signed(0.25), signed(float("nan"))
    ('+0.2500', 'nan')
    """
    return number(value, "+.4f").replace("+nan", "nan")


def print_grid(rows: Sequence[Sequence[str]], *, width: int = WIDTH) -> None:
    """Print a table whose first column is flush left, the others flush right.

    What is too wide comes in blocks of columns, an empty line between them, each with the first.

    >>> print_grid([["", "one", "two"], ["a", "1", "2"]], width=8)
       one
    a    1
    <BLANKLINE>
       two
    a    2
    """
    for number, block in enumerate(_blocks(rows, width)):
        if number:
            print()
        for line in block:
            print("  ".join(line).rstrip())


def _blocks(rows: Sequence[Sequence[str]], width: int) -> Iterator[list[tuple[str, ...]]]:
    first, *columns = [
        _padded(column, number) for number, column in enumerate(zip(*rows, strict=True))
    ]
    block, used = [first], len(first[0])
    for column in columns:
        if len(block) > 1 and used + 2 + len(column[0]) > width:
            yield list(zip(*block, strict=True))
            block, used = [first], len(first[0])
        block.append(column)
        used += 2 + len(column[0])
    yield list(zip(*block, strict=True))


def _padded(column: Sequence[str], number: int) -> list[str]:
    widest = max(map(len, column))
    return [cell.rjust(widest) if number else cell.ljust(widest) for cell in column]
