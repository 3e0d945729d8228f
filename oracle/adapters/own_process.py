"""A subject in a process of its own: it may hang, crash or exit, and the judge goes on."""

import os
import pickle
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from oracle.adapters.answers import PARAMETERS
from oracle.adapters.guard import Misbehaviour
from oracle.adapters.inside import dumps, read
from oracle.adapters.subject import NoSubject, Subject, as_subject
from oracle.adapters.wire import Codec, Conversation, Functions, without_functions

SECONDS = 20.0


@contextmanager
def isolated(path: str, *, seconds: float = SECONDS, **options: Any) -> Iterator[Subject]:
    """The subject at "module:attribute", guarded, in a Python process that ends with the context.

    options, such as dtype, are handed to a subject that is a function. Each call gets `seconds`. Where it takes longer, or the process dies, the call raises
    Misbehaviour and the next one starts another process. Functions among the arguments run in the
    judge's own process, when the subject calls them; a cache stays in the subject's, and what
    `step` returns stands for it. What the subject prints goes to standard error. Raises NoSubject
    as `subject.load` does.

    >>> with isolated("oracle.ops:nothing") as subject:
    ...     pass
    Traceback (most recent call last):
    ...
    oracle.adapters.subject.NoSubject: oracle.ops:nothing could not be loaded: AttributeError: module 'oracle.ops' has no attribute 'nothing'; give a module that can be imported here and, after a colon, what to take from it; a function or a class is called without arguments and has to give the subject
    """  # noqa: E501
    conversation = Conversation(
        path,
        [sys.executable, "-c", _program(path, options)],
        Codec(read, dumps, pickle.loads),
        {},
        seconds=seconds,
        quoted=False,
    )
    try:
        offer = conversation.start()
        if "none" in offer:
            raise NoSubject(offer["none"])
        functions = {name: _function(conversation, name) for name in offer.pop("functions")}
        ops = {name[4:]: call for name, call in functions.items() if name.startswith("ops.")}
        yield as_subject(offer | functions | {"ops": ops}, name=path)
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
        if "kind" in reply:
            raise Misbehaviour(reply["kind"], reply["says"])
        answer = reply["answer"]
        return (answer[0], conversation.handle(answer[1])) if name == "step" else answer

    return call
