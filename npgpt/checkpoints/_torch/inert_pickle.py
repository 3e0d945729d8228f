"""Pickle reader that can only build dicts, lists, tuples, texts and numbers.

It knows the opcodes that a state dict needs, in protocols 2 to 5, and nothing else. A pickle
names functions to call; here a name outside `allowed` is an error, and an allowed one is never
looked up: it goes, as a name, to the caller's `reduce`.

Source: the comments in CPython's Lib/pickletools.py, which define every opcode.
"""

import mmap
import struct
from collections import OrderedDict
from collections.abc import Callable, Set
from dataclasses import dataclass, field
from typing import Any, NamedTuple, NoReturn

from npgpt._quoting import kind, quoted
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


# Building takes up to about 75 bytes of memory for each byte of a (contrived) pickle. The pickle
# of GPT-2 XL has 103,000 bytes.
PICKLE_LIMIT = 2**19
_PROTOCOLS = range(2, 6)
_LONGEST_INTEGER = 8  # bytes; sizes and offsets need no more


def load_pickle(
    data: bytes,
    where: str,
    *,
    allowed: Set[Global],
    reduce: Callable[[Global, tuple[Any, ...]], object],
    persistent: Callable[[object], object],
) -> object:
    r"""The value that a pickle, which is all of `data`, describes; nothing is run.

    `reduce(name, arguments)` answers a call of one of the `allowed` names, `persistent(id)` a
    reference to something outside the pickle. Raises CheckpointError, starting with `where`, for
    a pickle over 512 KiB, a name or an opcode off the list, and any that contradicts itself.

    >>> import pickle
    >>> never = lambda *arguments: None
    >>> data = pickle.dumps({"a": (1, True)})
    >>> load_pickle(data, "it", allowed=set(), reduce=never, persistent=never)
    {'a': (1, True)}
    >>> load_pickle(b"\x80\2cos\nsystem\n", "it", allowed=set(), reduce=never, persistent=never)
    ... # doctest: +ELLIPSIS
    Traceback (most recent call last):
        ...
    npgpt.errors.CheckpointError: it, byte 13: names 'os.system', which a GPT-2's state dict ...
    """
    machine = Machine(data, where, allowed, reduce, persistent)
    if len(data) > PICKLE_LIMIT:
        machine.refuse(f"a pickle of {len(data)} bytes; npgpt reads at most {PICKLE_LIMIT}")
    value = _run(machine)
    if machine.at != len(data):
        machine.refuse("ends with values left over")
    return value


def load_pickle_at(
    data: mmap.mmap,
    at: int,
    where: str,
    *,
    allowed: Set[Global] = frozenset(),
    reduce: Callable[[Global, tuple[Any, ...]], object] = lambda function, arguments: None,
    persistent: Callable[[object], object] = lambda reference: None,
    limit: int = PICKLE_LIMIT,
) -> tuple[object, int]:
    """As `load_pickle`, of the pickle at byte `at` of a file; and where it ends.

    Raises CheckpointError for one of over `limit` bytes.
    """
    part = data[at : at + limit]
    cut = at + len(part) < len(data)
    machine = Machine(part, where, allowed, reduce, persistent, start=at, cut=cut)
    value = _run(machine)
    return value, at + machine.at


def _run(machine: Machine) -> object:
    if machine.take(1) != b"\x80" or machine.number(1) not in _PROTOCOLS:
        machine.refuse("not a pickle of protocol 2 to 5; re-save the checkpoint with torch.save")
    while (opcode := machine.take(1)) != b".":
        action = _ACTIONS.get(opcode)
        if action is None:
            machine.refuse(f"opcode {opcode!r}, which a state dict does not need; do not trust it")
        action(machine)
    if len(machine.stack) != 1 or machine.marks:
        machine.refuse("ends with values left over")
    return machine.stack[0]


def _global(machine: Machine, module: object, name: object) -> None:
    named = Global(module, name) if isinstance(module, str) and isinstance(name, str) else None
    if named is None:
        machine.refuse("a function's name that is not a text")
    if named not in machine.allowed:
        machine.refuse(
            f"names {quoted(f'{named.module}.{named.name}')}, which a GPT-2's state dict does "
            "not need; do not trust this file"
        )
    machine.stack.append(named)


def _long(machine: Machine) -> None:
    size = machine.number(1)
    if size > _LONGEST_INTEGER:
        machine.refuse(f"a whole number of {size} bytes; sizes need at most {_LONGEST_INTEGER}")
    machine.stack.append(int.from_bytes(machine.take(size), "little", signed=True))


def _frame(machine: Machine) -> None:
    size = machine.number(8)
    if size > len(machine.data) - machine.at:
        machine.refuse(f"a frame of {size} bytes; the pickle has fewer left")


def _get(machine: Machine, index: int) -> None:
    if index not in machine.memo:
        machine.refuse(f"refers to value {index}, which it has not stored")
    machine.stack.append(machine.memo[index])


def _put(machine: Machine, index: int) -> None:
    machine.need(1)
    machine.memo[index] = machine.stack[-1]


def _reduce(machine: Machine) -> None:
    function, arguments = machine.pop(2)
    if not isinstance(function, Global) or type(arguments) is not tuple:
        machine.refuse(f"calls {kind(function)} with {kind(arguments)}")
    machine.stack.append(machine.reduce(function, arguments))


def _build(machine: Machine) -> None:
    """Attributes of an object: those of a state dict are `_metadata`, which hold no weights."""
    value, state = machine.pop(2)
    if type(value) is not OrderedDict or type(state) is not dict or set(state) != {"_metadata"}:
        machine.refuse(f"sets attributes of {kind(value)}; a state dict has only _metadata")
    machine.stack.append(value)


def _set_items(machine: Machine, items: tuple[Any, ...]) -> None:
    (target,) = machine.pop(1)
    if not isinstance(target, dict) or len(items) % 2:
        machine.refuse(f"puts {len(items)} keys and values into {kind(target)}")
    for key, value in zip(items[::2], items[1::2], strict=True):
        # `type`, not `isinstance`: True would be the key 1.
        if type(key) not in (str, int):
            machine.refuse(f"{kind(key)} for a key; keys are texts or whole numbers")
        if key in target:
            machine.refuse(f"the key {kind(key)} is given twice")
        target[key] = value
    machine.stack.append(target)


def _append(machine: Machine, items: tuple[Any, ...]) -> None:
    (target,) = machine.pop(1)
    if type(target) is not list:
        machine.refuse(f"appends {len(items)} values to {kind(target)}")
    target.extend(items)
    machine.stack.append(target)


_ACTIONS: dict[bytes, Callable[[Machine], None]] = {
    b"\x95": _frame,
    b"(": lambda m: m.marks.append(len(m.stack)),
    b"N": lambda m: m.stack.append(None),
    b"\x88": lambda m: m.stack.append(True),
    b"\x89": lambda m: m.stack.append(False),
    b"K": lambda m: m.stack.append(m.number(1)),
    b"M": lambda m: m.stack.append(m.number(2)),
    b"J": lambda m: m.stack.append(int.from_bytes(m.take(4), "little", signed=True)),
    b"\x8a": _long,
    b"G": lambda m: m.stack.append(struct.unpack(">d", m.take(8))[0]),
    b"X": lambda m: m.stack.append(m.text(m.number(4))),
    b"\x8c": lambda m: m.stack.append(m.text(m.number(1))),
    b")": lambda m: m.stack.append(()),
    b"\x85": lambda m: m.stack.append(m.pop(1)),
    b"\x86": lambda m: m.stack.append(m.pop(2)),
    b"\x87": lambda m: m.stack.append(m.pop(3)),
    b"t": lambda m: m.stack.append(m.pop_marked()),
    b"]": lambda m: m.stack.append([]),
    b"a": lambda m: _append(m, m.pop(1)),
    b"e": lambda m: _append(m, m.pop_marked()),
    b"}": lambda m: m.stack.append({}),
    b"s": lambda m: _set_items(m, m.pop(2)),
    b"u": lambda m: _set_items(m, m.pop_marked()),
    b"q": lambda m: _put(m, m.number(1)),
    b"r": lambda m: _put(m, m.number(4)),
    b"\x94": lambda m: _put(m, len(m.memo)),
    b"h": lambda m: _get(m, m.number(1)),
    b"j": lambda m: _get(m, m.number(4)),
    b"c": lambda m: _global(m, m.line(), m.line()),
    b"\x93": lambda m: _global(m, *m.pop(2)),
    b"R": _reduce,
    b"b": _build,
    b"Q": lambda m: m.stack.append(m.persistent(*m.pop(1))),
}
