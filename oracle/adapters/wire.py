"""A conversation with a child: the judge asks, answers what it is asked back, and starts it anew.

Messages are dicts, in whatever form `Codec` writes them. A message with "ask" is the child asking
for one of the judge's functions; any other is its answer.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from oracle.adapters.answers import flat, one_line
from oracle.adapters.child import GRACE, Child, Ended, Read
from oracle.adapters.guard import DIED, GARBLED, HUNG, Misbehaviour
from oracle.adapters.subject import FUNCTIONS, NoSubject, Subject, as_subject

STARTING = 300.0  # seconds in which a child must say what it offers: it may import much, slowly
Message = dict[str, Any]
Functions = dict[str, Callable[..., Any]]


@dataclass(frozen=True)
class Codec:
    """How messages are read from a stream, and turned to bytes and back.

    `loads` raises ValueError or RecursionError, in a line, for what is none.
    """

    read: Read
    dumps: Callable[[Message], Sequence[bytes | memoryview]]
    loads: Callable[[bytes | bytearray], Message]


class Handle:
    """A cache that stays with the child; `value` is what the child calls it."""

    def __init__(self, value: Any, child: Child) -> None:
        self.value = value
        self.child = child

    def __copy__(self) -> "Handle":
        return self

    def __deepcopy__(self, memo: Any) -> "Handle":
        return self

    def __del__(self) -> None:
        self.child.forgotten.append(self.value)


class Conversation:
    """Calls of one subject, each with a time limit, in one child after another.

    name: of the subject. greeting: the first message to each child.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        codec: Codec,
        greeting: Message,
        *,
        seconds: float,
        quoted: bool,
    ) -> None:
        self.name = name
        self.command = command
        self.codec = codec
        self.greeting = greeting
        self.seconds = seconds
        self.quoted = quoted
        self.child: Child | None = None

    def start(self) -> Message:
        """What the child, started now, answers to the greeting. Raises NoSubject, in one line."""
        try:
            self.child = Child(self.command, self.codec.read, quoted=self.quoted)
        except (OSError, ValueError) as error:
            why = getattr(error, "strerror", None) or one_line(error)
            raise NoSubject(f"{self.name} could not be started: {why}") from error
        try:
            return self._exchange("the first request", self.greeting, {}, STARTING)
        except Misbehaviour as misbehaviour:
            raise NoSubject(f"{self.name} could not be started: {misbehaviour}") from misbehaviour

    def ask(self, what: str, request: Message, functions: Functions) -> Message:
        """The answer to a request; `functions` are the judge's own that it may ask for.

        Raises Misbehaviour where it hangs, dies or says what is no message. The child is ended
        then, and the next call starts another.
        """
        if self.child is None:
            try:
                self.start()
            except NoSubject as error:
                raise Misbehaviour(DIED, one_line(error)) from error
        return self._exchange(what, request, functions, self.seconds)

    def handle(self, value: Any) -> Handle:
        """For the cache that the running child calls `value`."""
        return Handle(value, self._running())

    def cache(self, handle: Any) -> Any:
        """What the child called the cache; Misbehaviour where that child is gone."""
        if handle is None:
            return None
        if handle.child is not self.child:
            raise Misbehaviour(DIED, "the cache went with the process that held it")
        return handle.value

    def forgotten(self) -> list[Any]:
        """The caches that the child may drop since this was last asked."""
        if self.child is None:
            return []
        gone, self.child.forgotten = self.child.forgotten, []
        return gone

    def close(self, grace: float = GRACE) -> None:
        """End the child, if there is one."""
        child, self.child = self.child, None
        if child is not None:
            child.close(grace)

    def _running(self) -> Child:
        if self.child is None:
            raise RuntimeError("no child is running")
        return self.child

    def _exchange(
        self, what: str, request: Message, functions: Functions, seconds: float
    ) -> Message:
        child, deadline = self._running(), time.monotonic() + seconds
        try:
            if not child.inbox.empty():
                self._left_over(child, what)
            child.send(self.codec.dumps(request))
            while True:
                reply = self._decoded(what, child.receive(deadline))
                if "ask" not in reply:
                    return reply
                child.send(self.codec.dumps(_result(reply, functions)))
        except TimeoutError:
            self.close(0)
            says = f"{what} gave no answer within {seconds:g} s"
            raise Misbehaviour(HUNG, says) from None
        except Ended as end:
            self.close(0)
            raise Misbehaviour(DIED, f"{what}: the program {end}") from None
        except BaseException:  # the next answer would be this one's
            self.close(0)
            raise

    def _left_over(self, child: Child, what: str) -> None:
        """There is a message that nobody asked for: the end, or more than an answer."""
        self._decoded(f"before {what}", child.receive(time.monotonic()))
        raise Misbehaviour(GARBLED, f"before {what} the program said more than it was asked")

    def _decoded(self, what: str, message: bytes | bytearray) -> Message:
        try:
            reply = self.codec.loads(message)
            if not isinstance(reply, dict) or not all(type(key) is str for key in reply):
                raise ValueError(f"{one_line(repr(reply))}, which is no dict of names")
        except (ValueError, RecursionError) as error:
            raise Misbehaviour(GARBLED, f"{what} was answered with {one_line(error)}") from error
        return reply


def _result(question: Message, functions: Functions) -> Message:
    """What the judge's function makes of a question; its exceptions are for the subject to see."""
    asked = question["ask"]
    if not isinstance(asked, str) or asked not in functions:
        return {"error": f"there is no function {asked!r} to ask for now"}
    try:
        arguments = question.get("arguments", [])
        return {"values": functions[asked](*arguments, **question.get("keywords", {}))}
    except Exception as error:
        return {"error": one_line(f"{type(error).__name__}: {error}")}


def without_functions(value: Any, name: str, functions: Functions) -> Any:
    """The value with {"ask": name} in place of each function, which `functions` gets by that name.

    A function in a dict is named by its key, and in a list or tuple by its number too.

    >>> functions = {}
    >>> without_functions({"logits_processor": (abs,), "top_k": 3}, "settings", functions)
    {'logits_processor': [{'ask': 'logits_processor.0'}], 'top_k': 3}
    >>> functions
    {'logits_processor.0': <built-in function abs>}
    """
    if flat(value):
        return value
    if isinstance(value, Mapping):
        return {
            key: without_functions(each, key if isinstance(key, str) else name, functions)
            for key, each in value.items()
        }
    if callable(value):
        functions[name] = value
        return {"ask": name}
    if isinstance(value, (list, tuple)) and any(map(callable, value)):
        return [without_functions(each, f"{name}.{i}", functions) for i, each in enumerate(value)]
    return value


def offered(name: str, offer: Message, function: Callable[[str], Callable[..., Any]]) -> Subject:
    """The Subject of what a child says that it offers; `function` gives what stands for each.

    Raises NoSubject, in one line, where that is no offer.
    """
    for key in ("functions", "decoders", "settings"):
        names = offer.get(key, [])
        if not isinstance(names, list) or not all(isinstance(one, str) for one in names):
            raise NoSubject(
                f"{key} of {name} are {one_line(repr(names))}; expected a list of names"
            )
    given: dict[str, Any] = {"ops": {}}
    for one in offer.get("functions", []):
        if one.startswith("ops."):
            given["ops"][one[4:]] = function(one)
        elif one in FUNCTIONS:
            given[one] = function(one)
        else:
            known = f"{', '.join(FUNCTIONS)} and ops.…"
            raise NoSubject(f"{name} offers {one!r}; the functions are {known}")
    keys = ("name", "dtype", "decoders", "settings", "claims")
    kept = {key: offer[key] for key in keys if key in offer}
    kept["name"] = str(kept.get("name", name))
    return as_subject(kept | given, name=name)
