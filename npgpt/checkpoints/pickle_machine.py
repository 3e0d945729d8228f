"""The state of a pickle being read: what is left of it, the stack, the marks and the memo."""

from collections.abc import Callable, Set
from dataclasses import dataclass, field
from typing import Any, NamedTuple, NoReturn

from npgpt.errors import CheckpointError


class Global(NamedTuple):
    """The name of a function or class, which stays a name."""

    module: str
    name: str


@dataclass
class Machine:
    """A pickle, how far it is read, and the values built so far."""

    data: bytes
    where: str
    allowed: Set[Global]
    reduce: Callable[[Global, tuple[Any, ...]], object]
    persistent: Callable[[object], object]
    start: int = 0  # where in the file the pickle starts
    cut: bool = False  # whether the file goes on after `data`
    at: int = 0
    stack: list[Any] = field(default_factory=list)
    marks: list[int] = field(default_factory=list)
    memo: dict[int, Any] = field(default_factory=dict)

    def refuse(self, reason: str) -> NoReturn:
        """Raise CheckpointError, saying where in which pickle."""
        raise CheckpointError(f"{self.where}, byte {self.start + self.at}: {reason}")

    def take(self, count: int) -> bytes:
        """The next `count` bytes of the pickle."""
        if count > len(self.data) - self.at:
            if self.cut:
                self.refuse(
                    f"a pickle that goes on after {len(self.data)} bytes; npgpt reads those"
                )
            self.refuse(f"needs {count} more bytes, but {len(self.data) - self.at} are left")
        self.at += count
        return self.data[self.at - count : self.at]

    def number(self, count: int) -> int:
        """The next `count` bytes as a whole number."""
        return int.from_bytes(self.take(count), "little")

    def text(self, count: int) -> str:
        """The next `count` bytes as a text."""
        try:
            return self.take(count).decode()
        except UnicodeDecodeError:
            self.refuse("a text that is not UTF-8")

    def line(self) -> str:
        """The next line of text, without its end."""
        end = self.data.find(b"\n", self.at)
        if end < 0:
            self.refuse("a name without an end")
        text = self.text(end - self.at)
        self.at = end + 1
        return text

    def need(self, count: int) -> None:
        """Refuse unless `count` values were put since the latest mark."""
        floor = self.marks[-1] if self.marks else 0
        if len(self.stack) - floor < count:
            self.refuse("takes a value where none was put")

    def pop(self, count: int) -> tuple[Any, ...]:
        """The topmost `count` values, none of them from below the latest mark."""
        self.need(count)
        bottom = len(self.stack) - count
        values = tuple(self.stack[bottom:])
        del self.stack[bottom:]
        return values

    def pop_marked(self) -> tuple[Any, ...]:
        """All values above the latest mark, and the mark."""
        if not self.marks:
            self.refuse("goes back to a mark where none was set")
        values = self.pop(len(self.stack) - self.marks[-1])
        self.marks.pop()
        return values
