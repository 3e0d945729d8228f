"""GGUF metadata: keys with values, none built before the file is seen to hold it.

    text         8 bytes of length, then so many of UTF-8
    key, value   a text; 4 bytes that name the value's type; the value
    array        4 bytes that name its elements' type, 8 of their number; the elements

Source: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md. Where that is lenient (a key
given twice, a boolean that is neither 0 nor 1, arrays of arrays) this reader refuses.
"""

import mmap
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NoReturn, TypeVar

import numpy as np
import numpy.typing as npt

from npgpt._quoting import quoted
from npgpt.errors import CheckpointError

# What comes before the tensors; GPT-2's takes 2 MB, nearly all of it for tokens and merges.
HEADER_LIMIT = 8_000_000
# Python takes 60 to 80 bytes for a text that the file has in 10, and much the same again for its
# place in a vocabulary. GPT-2 has 50,257 tokens and 50,000 merges.
_MOST_TEXTS = 200_000
_MOST_KEYS = 10_000
_LONGEST_KEY = 65_535

UINT32, INT32, FLOAT32, BOOL, TEXT, ARRAY = 4, 5, 6, 7, 8, 9
# Type -> how struct and NumPy name it; a byte read as bool might be neither 0 nor 1.
_NUMBERS = {
    0: "B",
    1: "b",
    2: "H",
    3: "h",
    UINT32: "I",
    INT32: "i",
    FLOAT32: "f",
    BOOL: "B",
    10: "Q",
    11: "q",
    12: "d",
}
_LENGTH = struct.Struct("<Q")

T = TypeVar("T")
Numbers = npt.NDArray[Any]
Value = bool | int | float | str | Numbers | list[str]


@dataclass
class Cursor:
    """A place in the first bytes of a file, which moves on as they are read.

    No more than HEADER_LIMIT bytes of `data` are read.
    """

    data: bytes | mmap.mmap
    where: str
    place: int = 0
    texts: int = 0  # read so far, as elements of arrays

    @property
    def end(self) -> int:
        """The place at which reading has to end."""
        return min(len(self.data), HEADER_LIMIT)

    def take(self, size: int, what: str) -> int:
        """Where the next `size` bytes start. Raises CheckpointError where there are fewer."""
        start = self.place
        if size > self.end - start:
            self.refuse(what, f"takes {size} bytes at byte {start}, but {self._end()}")
        self.place = start + size
        return start

    def number(self, form: str, what: str) -> int | float:
        """The next number; `form` is its letter in `struct`."""
        start = self.take(struct.calcsize(f"<{form}"), what)
        value: int | float = struct.unpack_from(f"<{form}", self.data, start)[0]
        return value

    def uint32(self, what: str) -> int:
        """The next 4 bytes as a whole number."""
        return int(self.number("I", what))

    def uint64(self, what: str) -> int:
        """The next 8 bytes as a whole number."""
        return int(self.number("Q", what))

    def text(self, what: str) -> str:
        """The next text."""
        length = self.uint64(what)
        start = self.take(length, what)
        try:
            return self.data[start : start + length].decode()
        except UnicodeDecodeError as error:
            self.refuse(what, f"not UTF-8: {error.reason} at byte {start + error.start}")

    def refuse(self, what: str, reason: str) -> NoReturn:
        """Raise CheckpointError, naming the file and the place."""
        raise CheckpointError(f"{self.where}: {what}: {reason}")

    def _end(self) -> str:
        if self.end == HEADER_LIMIT:
            return f"npgpt reads at most {HEADER_LIMIT} bytes of metadata; this is no GPT-2's file"
        return f"the file ends at {self.end}; it is cut short or damaged"


@dataclass(frozen=True)
class Names:
    """What the names of some things are called, and how long one may be, by `measure`."""

    numbered: str
    thing: str
    called: str
    longest: int
    unit: str
    measure: Callable[[str], int]
    twice: str


_KEYS = Names(
    "metadata key", "metadata", "key", _LONGEST_KEY, "characters", len, "the key is given twice"
)


def read_named(
    cursor: Cursor, count: int, names: Names, read_one: Callable[[Cursor, str], T]
) -> dict[str, T]:
    """The next `count` things by name: each a text, and then what `read_one` reads.

    Raises CheckpointError for a name that is empty, too long or there twice.
    """
    things: dict[str, T] = {}
    for number in range(1, count + 1):
        name = cursor.text(f"{names.numbered} {number} of {count}")
        what = f"{names.thing} {quoted(name)}"
        length = names.measure(name)
        if not 1 <= length <= names.longest:
            cursor.refuse(
                what,
                f"a {names.called} of {length} {names.unit}; {names.called}s have 1 to "
                f"{names.longest}",
            )
        if name in things:
            cursor.refuse(what, names.twice)
        things[name] = read_one(cursor, what)
    return things


def read_metadata(cursor: Cursor, count: int) -> dict[str, Value]:
    """The next `count` keys with their values; arrays of numbers are views of the cursor's data.

    A float32 becomes the shortest decimal number that rounds to it: 1e-05, which a writer rounded,
    not 9.999999747378752e-06. Raises CheckpointError for more than the file holds or a GPT-2
    needs, and for what the format forbids.
    """
    if count > _MOST_KEYS:
        cursor.refuse("metadata", f"announces {count} keys; npgpt reads at most {_MOST_KEYS}")
    return read_named(cursor, count, _KEYS, _value)


def _value(cursor: Cursor, what: str) -> Value:
    code = cursor.uint32(what)
    if code == TEXT:
        return cursor.text(what)
    if code == ARRAY:
        return _array(cursor, what)
    if code not in _NUMBERS:
        cursor.refuse(what, f"its type is {code}; the format has 0 to 12")
    value = cursor.number(_NUMBERS[code], what)
    if code == BOOL:
        if value not in (0, 1):
            cursor.refuse(what, f"a boolean of {value}; expected 0 or 1")
        return bool(value)
    return float(str(np.float32(value))) if code == FLOAT32 else value


def _array(cursor: Cursor, what: str) -> Numbers | list[str]:
    code = cursor.uint32(what)
    count = cursor.uint64(what)
    if code == ARRAY:
        cursor.refuse(what, "an array of arrays; no GPT-2 needs one")
    if code == TEXT:
        return _texts(cursor, count, what)
    if code not in _NUMBERS:
        cursor.refuse(what, f"its elements' type is {code}; the format has 0 to 12")
    dtype = np.dtype(f"<{_NUMBERS[code]}")
    start = cursor.take(count * dtype.itemsize, what)
    numbers = np.frombuffer(cursor.data, dtype, count, start) if count else np.empty(0, dtype)
    if code == BOOL and numbers.max(initial=0) > 1:
        cursor.refuse(what, "holds a boolean that is neither 0 nor 1")
    return numbers


def _texts(cursor: Cursor, count: int, what: str) -> list[str]:
    if count * _LENGTH.size > cursor.end - cursor.place:
        cursor.take(count * _LENGTH.size, what)
    cursor.texts += count
    if cursor.texts > _MOST_TEXTS:
        cursor.refuse(what, f"{cursor.texts} texts so far; npgpt reads at most {_MOST_TEXTS}")
    # What `cursor.text` does, in a fifth of the time, for as long as all is well.
    texts: list[str] = []
    data, place, end = cursor.data, cursor.place, cursor.end
    try:
        while len(texts) < count:
            start = place + _LENGTH.size
            after = start + _LENGTH.unpack_from(data, place)[0]
            if after > end:
                break
            texts.append(data[start:after].decode())
            place = after
    except (struct.error, UnicodeDecodeError):
        pass
    cursor.place = place
    return texts + [cursor.text(what) for _ in range(count - len(texts))]
