"""A pickle reader that can only build dicts, lists, tuples, texts and numbers.

It knows the opcodes that a state dict needs, in protocols 2 to 5, and nothing else. A pickle
names functions to call; here a name outside `allowed` is an error, and an allowed one is never
looked up: it goes, as a name, to the caller's `reduce`.

Source: the comments in CPython's Lib/pickletools.py, which define every opcode.
"""

import mmap
import struct
from collections import OrderedDict
from collections.abc import Callable, Set
from typing import Any

from npgpt.checkpoints.pickle_machine import Global, Machine
from npgpt.quoting import kind, quoted

# Building takes up to about 75 bytes of memory for each byte of a (contrived) pickle. The pickle
# of GPT-2 XL has 103,000 bytes.
LIMIT = 2**19
_PROTOCOLS = range(2, 6)
_LONGEST_INTEGER = 8  # bytes; sizes and offsets need no more


def load(
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
    >>> load(pickle.dumps({"a": (1, True)}), "it", allowed=set(), reduce=never, persistent=never)
    {'a': (1, True)}
    >>> load(b"\x80\2cos\nsystem\n", "it", allowed=set(), reduce=never, persistent=never)
    ... # doctest: +ELLIPSIS
    Traceback (most recent call last):
        ...
    npgpt.errors.CheckpointError: it, byte 13: names 'os.system', which a GPT-2's state dict ...
    """
    machine = Machine(data, where, allowed, reduce, persistent)
    if len(data) > LIMIT:
        machine.refuse(f"a pickle of {len(data)} bytes; npgpt reads at most {LIMIT}")
    value = _run(machine)
    if machine.at != len(data):
        machine.refuse("ends with values left over")
    return value


def load_at(
    data: mmap.mmap,
    at: int,
    where: str,
    *,
    allowed: Set[Global] = frozenset(),
    reduce: Callable[[Global, tuple[Any, ...]], object] = lambda function, arguments: None,
    persistent: Callable[[object], object] = lambda reference: None,
    limit: int = LIMIT,
) -> tuple[object, int]:
    """The value that the pickle at byte `at` of a file describes, and where it ends; as `load`.

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
    found = Global(module, name) if isinstance(module, str) and isinstance(name, str) else None
    if found is None:
        machine.refuse("a function's name that is not a text")
    if found not in machine.allowed:
        machine.refuse(
            f"names {quoted(f'{found.module}.{found.name}')}, which a GPT-2's state dict does "
            "not need; do not trust this file"
        )
    machine.stack.append(found)


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
