"""The table's letters and numbers, against the database and both reference tokenizers."""

import importlib
import re
import sys
import unicodedata
from pathlib import Path
from types import ModuleType

import pytest
import tiktoken
from tokenizers import Regex, pre_tokenizers

from npgpt.tokenizer._split import WHITE_SPACE
from npgpt.tokenizer._unicode_table import LETTERS, NUMBERS, __file__
from tests.helpers.make_unicode_table import TABLE, VERSION, table

SCALARS = [chr(code) for code in range(sys.maxunicode + 1) if not 0xD800 <= code < 0xE000]
CLASSES = {
    r"\p{L}": LETTERS,
    r"\p{N}": NUMBERS,
    r"\s": WHITE_SPACE,
}


def members(ranges: str) -> set[str]:
    found: set[str] = set()
    for word in ranges.split():
        first, _, last = word.partition("-")
        found.update(map(chr, range(int(first, 16), int(last or first, 16) + 1)))
    return found


def database() -> ModuleType:
    """The Unicode database of the table's version: a package's, or Python's own from 3.14 on."""
    for name in ("unicodedata2", "unicodedata"):
        try:
            module = importlib.import_module(name)
        except ModuleNotFoundError:
            continue
        if module.unidata_version == VERSION:
            return module
    pytest.skip(
        f"this Python has Unicode {unicodedata.unidata_version}; "
        f"install unicodedata2=={VERSION} to compare with that version's database"
    )


def test_table_is_what_the_script_makes_of_the_database() -> None:
    written = Path(__file__).read_text(encoding="ascii")
    assert Path(__file__).name == TABLE.name
    assert written == table(database())


def test_there_are_as_many_scalar_values_as_unicode_says() -> None:
    assert len(SCALARS) == 1_112_064


@pytest.mark.parametrize("pattern", CLASSES)
def test_class_is_that_of_tiktoken(pattern: str) -> None:
    # An encoding of single bytes by this pattern alone leaves out all that does not match.
    single_bytes = {bytes([byte]): byte for byte in range(256)}
    encoding = tiktoken.Encoding(
        "probe", pat_str=pattern, mergeable_ranks=single_bytes, special_tokens={}
    )
    matched = bytes(encoding.encode_ordinary("".join(SCALARS))).decode()
    assert set(matched) == members(CLASSES[pattern])


@pytest.mark.parametrize("pattern", CLASSES)
def test_class_is_that_of_hugging_face(pattern: str) -> None:
    splitter = pre_tokenizers.Split(Regex(pattern), "removed", invert=True)
    matched = "".join(piece for piece, _ in splitter.pre_tokenize_str("".join(SCALARS)))
    assert set(matched) == members(CLASSES[pattern])


def test_pythons_own_white_space_is_another() -> None:
    python = {character for character in SCALARS if re.fullmatch(r"\s", character)}
    assert python - members(WHITE_SPACE) == set("\x1c\x1d\x1e\x1f")
    assert members(WHITE_SPACE) <= python
