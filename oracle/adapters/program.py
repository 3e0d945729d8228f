"""A program in any language as a subject, spoken to in JSON lines: see PROTOCOL.md."""

import shlex
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from oracle.adapters.answers import PARAMETERS, one_line
from oracle.adapters.guard import GARBLED, RAISED, Misbehaviour, plain_answer
from oracle.adapters.json_lines import Shelf, array_file, dumps, loads, numbers, read_line
from oracle.adapters.own_process import SECONDS
from oracle.adapters.subject import NoSubject, Subject
from oracle.adapters.wire import Codec, Conversation, Functions, offered, without_functions

# Whose answers are no arrays.
LISTS = ("generate", "draw", "encode", "decode")


@contextmanager
def command(line: str, *, seconds: float = SECONDS) -> Iterator[Subject]:
    """The subject that a program is, which runs until the context ends.

    line: the command, quoted as in a shell, which does not run it. Each call gets `seconds`. Where
    the program hangs, dies or says what is no answer, the call raises Misbehaviour, and the next
    one starts the program anew. Files for it are in a temporary folder, which is removed at the
    end. Raises NoSubject, in one line, where the program cannot be started or offers nothing.

    >>> with command("./no-such-program"):
    ...     pass
    Traceback (most recent call last):
    ...
    oracle.adapters.subject.NoSubject: ./no-such-program could not be started: No such file or directory
    """  # noqa: E501
    try:
        words = shlex.split(line)
    except ValueError as error:
        raise NoSubject(f"{line} is no command: {error}") from error
    if not words:
        raise NoSubject("the command is empty; give a program and its arguments")
    with tempfile.TemporaryDirectory(prefix="gpt2-judge-") as folder:
        conversation = Conversation(
            line,
            words,
            Codec(read_line, dumps, loads),
            {"call": "offer", "folder": folder},
            seconds=seconds,
            quoted=True,
        )
        try:
            yield _subject(line, conversation, Shelf(Path(folder)))
        finally:
            conversation.close()


def _subject(line: str, conversation: Conversation, shelf: Shelf) -> Subject:
    offer = conversation.start()
    program = _Program(conversation, shelf, str(offer.get("dtype", "float32")))
    return offered(line, offer, program.function)


class _Program:
    """Turns calls into requests, and replies into answers."""

    def __init__(self, conversation: Conversation, shelf: Shelf, dtype: str) -> None:
        self.conversation = conversation
        self.shelf = shelf
        self.dtype = dtype

    def function(self, name: str) -> Callable[..., Any]:
        """The function of this name, which the program computes."""

        def call(*arguments: Any, **keywords: Any) -> Any:
            functions: Functions = {}
            given = self._request(name, arguments, keywords)
            request = {"call": name} | without_functions(given, name, functions)
            reply = self.conversation.ask(name, request, functions)
            if "error" in reply:
                raise Misbehaviour(RAISED, one_line(reply["error"]) or "it gave no reason")
            try:
                return self._answer(name, reply)
            except Misbehaviour:
                # Who answers one thing wrongly may have more to say.
                self.conversation.close(0)
                raise

        return call

    def _request(
        self, name: str, arguments: tuple[Any, ...], keywords: dict[str, Any]
    ) -> dict[str, Any]:
        if name.startswith("ops."):
            return {"arguments": list(arguments), "keywords": keywords}
        given = dict(zip(PARAMETERS[name], arguments, strict=True)) | keywords
        if "weights" in given:
            given["weights"] = self.shelf.weights(given["weights"])
        if "vocabulary" in given:
            path = self.shelf.tokenizer(given.pop("vocabulary"), given.pop("merges"))
            given = {"tokenizer": path} | given
        if name == "step":
            given["cache"] = self.conversation.cache(given["cache"])
            given["forget"] = self.conversation.forgotten()
        return given

    def _answer(self, name: str, reply: dict[str, Any]) -> Any:
        try:
            if "file" in reply and name not in LISTS:
                values = array_file(reply, self.dtype)
            elif "values" not in reply:
                raise ValueError(f"{one_line(str(reply))}, which has no values, file or error")
            else:
                values = reply["values"]
                values = values if name in LISTS else numbers(values, self.dtype)
            if name == "step":
                if reply.get("cache") is None:
                    raise ValueError("no cache")
                return values, self.conversation.handle(reply["cache"])
        except (ValueError, OSError, OverflowError, TypeError) as error:
            raise Misbehaviour(GARBLED, f"{name} answered {one_line(error)}") from error
        return plain_answer(name, values)
