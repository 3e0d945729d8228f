"""A subject in a process of its own: it may hang, crash or exit, and the judge goes on."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from oracle.adapters._frames import dumps, loads, read
from oracle.adapters.answers import PARAMETERS, one_line
from oracle.adapters.guard import GARBLED, KINDS, Misbehaviour, plain_answer
from oracle.adapters.subject import NoSubject, Subject
from oracle.adapters.wire import Codec, Conversation, Functions, offered, without_functions

SECONDS = 20.0


@contextmanager
def isolated(path: str, *, seconds: float = SECONDS, **options: Any) -> Iterator[Subject]:
    """The subject at "module:attribute", guarded, in a Python process that ends with the context.

    options, such as dtype, are handed to a subject that is a function. Each call gets `seconds`.
    Where it takes longer, or the process dies, the call raises Misbehaviour and the next one starts
    another process. Functions among the arguments run in the judge's own process, when the subject
    calls them; a cache stays in the subject's, and what `step` returns stands for it. What the
    subject prints goes to standard error. What its process says is read as plain data, and nothing
    of it is executed. Raises NoSubject as `subject.load` does.

    >>> with isolated("oracle.ops:nothing") as subject:
    ...     pass
    Traceback (most recent call last):
    ...
    oracle.adapters.subject.NoSubject: oracle.ops:nothing could not be loaded: AttributeError: module 'oracle.ops' has no attribute 'nothing'; give a module that can be imported here and, after a colon, what to take from it; a function or a class is called without arguments and has to give the subject
    """  # noqa: E501
    conversation = Conversation(
        path,
        [sys.executable, "-c", _program(path, options)],
        Codec(read, dumps, loads),
        {},
        seconds=seconds,
        quoted=False,
    )
    try:
        offer = conversation.start()
        if "none" in offer:
            raise NoSubject(str(offer["none"]))
        yield offered(path, offer, lambda name: _function(conversation, name))
    finally:
        conversation.close()


def _program(path: str, options: dict[str, Any]) -> str:
    """What the child runs: with the judge's search path, and the current directory in it."""
    here = os.getcwd()
    places = sys.path if {"", here} & set(sys.path) else [here, *sys.path]
    return (
        f"import sys; sys.path[:] = {places!r}; "
        f"from oracle.adapters.inside import main; main({path!r}, {options!r})"
    )


def _function(conversation: Conversation, name: str) -> Callable[..., Any]:
    names = PARAMETERS.get(name, ())

    def call(*arguments: Any, **keywords: Any) -> Any:
        functions: Functions = {}
        given = list(arguments)
        if name == "step":
            given[4] = conversation.cache(given[4])
        named = [*names, *(str(i) for i in range(len(names), len(given)))]
        reply = conversation.ask(
            name,
            {
                "call": name,
                "arguments": [
                    without_functions(value, key, functions)
                    for key, value in zip(named, given, strict=False)
                ],
                "keywords": without_functions(keywords, "", functions),
                "forget": conversation.forgotten(),
            },
            functions,
        )
        return _answer(conversation, name, reply)

    return call


def _answer(conversation: Conversation, name: str, reply: dict[str, Any]) -> Any:
    """What a reply says: the child's guard wrote it, or a subject that passes itself off as it."""
    if "kind" in reply:
        kind, says = reply["kind"], reply.get("says")
        if isinstance(kind, str) and kind in KINDS and isinstance(says, str):
            raise Misbehaviour(kind, says)
    elif "answer" in reply:
        try:
            answer = plain_answer(name, reply["answer"])
        except Misbehaviour:
            conversation.close(0)
            raise
        if name != "step":
            return answer
        if type(answer[1]) is int:
            return answer[0], conversation.handle(answer[1])
    conversation.close(0)  # who answers one thing wrongly may have more to say
    raise Misbehaviour(GARBLED, f"{name} was answered with {one_line(repr(reply))}")
