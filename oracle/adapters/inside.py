"""The child's side of `isolated`: load a subject, guard it, and answer calls over a pipe."""

import math
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import IO, Any

from oracle.adapters._frames import dumps, loads, read
from oracle.adapters.answers import array, flat
from oracle.adapters.claims import as_plain
from oracle.adapters.guard import Misbehaviour, guarded
from oracle.adapters.subject import FUNCTIONS, NoSubject, Subject, load


@dataclass(frozen=True)
class Judge:
    """The judge as the child sees it."""

    source: IO[bytes]
    sink: IO[bytes]

    def next(self) -> Any:
        """What it says next; ends this process where it says no more."""
        message = read(self.source, math.inf)
        if not message:
            os._exit(0)
        return loads(message)

    def tell(self, message: Any) -> None:
        """Say something."""
        for piece in dumps(message):
            self.sink.write(piece)
        self.sink.flush()

    def function(self, name: str) -> Callable[..., Any]:
        """A function of the judge's, which runs there."""

        def asked(*arguments: Any, **keywords: Any) -> Any:
            plain = {"arguments": _plain(arguments), "keywords": _plain(keywords)}
            self.tell({"ask": name} | plain)
            reply = self.next()
            if "error" in reply:
                raise RuntimeError(f"{name}: {reply['error']}")
            values = reply["values"]
            tensor = next((a for a in arguments if hasattr(a, "new_tensor")), None)
            # A processor that is given tensors is one that gives them.
            return values if tensor is None else tensor.new_tensor(values)

        return asked


def main(path: str, options: Mapping[str, Any]) -> None:
    """Serve the subject at `path`, made with the options, until the judge says no more."""
    judge = _judge()
    judge.next()
    try:
        subject = guarded(load(path, **options))
    except NoSubject as error:
        judge.tell({"none": str(error)})
        return
    judge.tell(_offer(subject))
    caches: dict[int, Any] = {}
    number = 0
    while True:
        call = judge.next()
        for gone in call["forget"]:
            caches.pop(gone, None)
        name, arguments = call["call"], _with_functions(call["arguments"], judge)
        function = subject.function(name)
        try:
            if name == "step" and arguments[4] is not None:
                arguments[4] = caches[arguments[4]]
            assert function is not None  # the judge calls what it was told is offered
            answer = function(*arguments, **_with_functions(call["keywords"], judge))
        except Misbehaviour as misbehaviour:
            judge.tell({"kind": misbehaviour.kind, "says": misbehaviour.says})
            continue
        if name == "step":
            number += 1
            caches[number] = answer[1]
            answer = answer[0], number
        judge.tell({"answer": answer})


def _judge() -> Judge:
    """Speak over copies of standard input and output; what the subject prints goes to error."""
    source, sink = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    empty = os.open(os.devnull, os.O_RDONLY)
    os.dup2(empty, 0)
    os.close(empty)
    os.dup2(2, 1)
    return Judge(source, sink)


def _offer(subject: Subject) -> dict[str, Any]:
    functions = [name for name in FUNCTIONS if getattr(subject, name)]
    return {
        "name": str(subject.name),
        "dtype": subject.dtype,
        "functions": functions + [f"ops.{name}" for name in subject.ops],
        "decoders": [str(name) for name in subject.decoders],
        "settings": [str(name) for name in subject.settings],
        "claims": as_plain(subject.claims),
    }


def _with_functions(value: Any, judge: Judge) -> Any:
    if isinstance(value, dict):
        if value.keys() == {"ask"}:
            return judge.function(value["ask"])
        if flat(value):
            return value
        return {key: _with_functions(content, judge) for key, content in value.items()}
    if isinstance(value, list) and not flat(value):
        return [_with_functions(element, judge) for element in value]
    return value


def _plain(value: Any) -> Any:
    """Tensors as arrays, wherever they are, so that the judge needs nothing to read them."""
    if isinstance(value, Mapping):
        return {key: _plain(content) for key, content in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(element) for element in value]
    return array(value) if hasattr(value, "__array__") or hasattr(value, "detach") else value
