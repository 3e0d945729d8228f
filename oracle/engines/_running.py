"""Running engine: a program that has loaded one checkpoint, spoken to in JSON lines.

See PROTOCOL.md, "An engine that loads a file". Requests carry tokens only.
"""

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from oracle.adapters.answers import one_line
from oracle.adapters.guard import GARBLED, RAISED, Misbehaviour, plain_answer
from oracle.adapters.json_lines import array_file, dumps, loads, numbers, read_line
from oracle.adapters.loads_files import CALLS
from oracle.adapters.subject import NoSubject
from oracle.adapters.wire import Codec, Conversation
from oracle.bounds._rounding import FORMATS, Array

PLACE = "{checkpoint}"


def words_of(line: str) -> list[str]:
    """The words of a command, quoted as in a shell; NoSubject unless {checkpoint} is in one.

    >>> words_of("./engine -m {checkpoint}")
    ['./engine', '-m', '{checkpoint}']
    """
    try:
        words = shlex.split(line)
    except ValueError as error:
        raise NoSubject(f"{line} is no command: {error}") from error
    if not any(PLACE in word for word in words):
        raise NoSubject(f"{line} has no {PLACE}, where the path of the model's file is to stand")
    return words


class RunningEngine:
    """An engine that was started on the file at `path`, and is started anew where it dies.

    name: what it is called in messages. words: the command, with PLACE where the path is to
    stand. folder: where it may put answers. Each call gets `seconds`, and raises Misbehaviour where
    there is no answer.
    """

    def __init__(
        self,
        name: str,
        words: Sequence[str],
        path: Path | str,
        *,
        folder: Path | str,
        seconds: float,
    ) -> None:
        self.conversation = Conversation(
            name,
            [word.replace(PLACE, str(path)) for word in words],
            Codec(read_line, dumps, loads),
            {"call": "offer", "folder": str(folder)},
            seconds=seconds,
            quoted=True,
        )
        self.dtype = "float32"

    def start(self) -> dict[str, Any]:
        """What it offers. Raises NoSubject, in one line, where it cannot be started on the file."""
        offer = self.conversation.start()
        if "error" in offer:
            raise NoSubject(f"{self.conversation.name} says: {one_line(offer['error'])}")
        names = offer.get("functions")
        if not isinstance(names, list) or not names or not set(map(str, names)) <= set(CALLS):
            raise NoSubject(
                f"functions of {self.conversation.name} are {names!r}; "
                f"expected a list of some of {', '.join(CALLS)}"
            )
        self.dtype = str(offer.get("dtype", "float32"))
        if self.dtype not in FORMATS:
            raise NoSubject(
                f"dtype of {self.conversation.name} is {self.dtype!r}; "
                f"expected one of {', '.join(FORMATS)}"
            )
        return offer

    def logits(self, tokens: Array) -> Any:
        """(batch, query, vocab) of ids (batch, query)."""
        return self._array("logits", self._ask("logits", {"tokens": tokens}))

    def log_probabilities(self, tokens: Array) -> Any:
        """(batch, query - 1): of each token after those before it."""
        return self._array("log_probabilities", self._ask("log_probabilities", {"tokens": tokens}))

    def step(self, tokens: Array, cache: Any) -> tuple[Any, Any]:
        """Logits of new tokens (batch, new) after all that the cache has read, and the next."""
        request = {
            "tokens": tokens,
            "cache": self.conversation.cache(cache),
            "forget": self.conversation.forgotten(),
        }
        reply = self._ask("step", request)
        values = self._array("logits", reply)
        if reply.get("cache") is None:
            raise Misbehaviour(GARBLED, "step answered no cache")
        return values, self.conversation.handle(reply["cache"])

    def generate(
        self, prompts: Sequence[Sequence[int]], settings: Mapping[str, Any]
    ) -> list[list[int]]:
        """Rows of ids, each prompt's first."""
        request = {"prompts": [list(row) for row in prompts], "settings": dict(settings)}
        reply = self._ask("generate", request)
        return list(plain_answer("generate", reply.get("values")))

    def close(self) -> None:
        """End it."""
        self.conversation.close(0)

    def _ask(self, call: str, request: dict[str, Any]) -> dict[str, Any]:
        reply = self.conversation.ask(call, {"call": call, **request}, {})
        if "error" in reply:
            raise Misbehaviour(RAISED, one_line(reply["error"]) or "it gave no reason")
        return reply

    def _array(self, call: str, reply: Mapping[str, Any]) -> Any:
        try:
            if "file" in reply:
                return array_file(reply, self.dtype)
            if "values" not in reply:
                raise ValueError(f"{one_line(str(reply))}, which has no values, file or error")
            return plain_answer("logits", numbers(reply["values"], self.dtype))
        except (ValueError, OSError, OverflowError, TypeError) as error:
            raise Misbehaviour(GARBLED, f"{call} answered {one_line(error)}") from error
