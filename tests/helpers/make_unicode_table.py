"""Write npgpt/tokenizer/_unicode_table.py from the Unicode Character Database of one version.

From the repository root: pip install unicodedata2==16.0.0
                          python -m tests.helpers.make_unicode_table
"""

import itertools
import sys
import textwrap
from pathlib import Path
from types import ModuleType

VERSION = "16.0.0"
TABLE = Path("npgpt", "tokenizer", "_unicode_table.py")
NAMES = {"L": "LETTERS", "N": "NUMBERS"}
HEADER = f'''"""Letters and numbers of Unicode {VERSION}: the code points of categories L* and N*.

The version is that of tiktoken 0.14 and tokenizers 0.23; a test holds the table to both. Made by

    pip install unicodedata2=={VERSION}
    python -m tests.helpers.make_unicode_table

Do not edit. Each word is a code point or a first-last range of them, in hexadecimal.
"""

VERSION = "{VERSION}"
'''


def code_points(database: ModuleType, initial: str) -> list[int]:
    """The code points whose general category begins with `initial`."""
    return [
        code for code in range(sys.maxunicode + 1) if database.category(chr(code))[0] == initial
    ]


def ranges(codes: list[int]) -> str:
    """Ascending code points as space-separated ranges.

    >>> ranges([0x41, 0x42, 0x43, 0x61])
    '41-43 61'
    """
    words = []
    for _, run in itertools.groupby(enumerate(codes), key=lambda pair: pair[1] - pair[0]):
        members = [code for _, code in run]
        last = f"-{members[-1]:X}" if len(members) > 1 else ""
        words.append(f"{members[0]:X}{last}")
    return " ".join(words)


def table(database: ModuleType) -> str:
    """The source text of the table."""
    parts = [HEADER]
    for initial, name in NAMES.items():
        lines = textwrap.fill(ranges(code_points(database, initial)), width=100)
        parts.append(f'\n{name} = """\n{lines}\n"""\n')
    return "".join(parts)


def main() -> None:
    """Write the table."""
    import unicodedata2

    if unicodedata2.unidata_version != VERSION:
        sys.exit(f"unicodedata2 holds Unicode {unicodedata2.unidata_version}; install {VERSION}")
    TABLE.write_text(table(unicodedata2), encoding="ascii")


if __name__ == "__main__":
    main()
