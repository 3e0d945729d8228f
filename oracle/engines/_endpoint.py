"""OpenAI-compatible completions endpoint, over HTTP with the standard library alone.

Source: https://platform.openai.com/docs/api-reference/completions. Whatever a server does in place
of answering is a Misbehaviour, in one line, within the time limit of the call.
"""

import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from typing import Any
from urllib.parse import urlsplit

from oracle.adapters.answers import one_line
from oracle.adapters.guard import DIED, GARBLED, HUNG, RAISED, Misbehaviour
from oracle.adapters.subject import NoSubject

LONGEST_ANSWER = 2**24  # bytes
PIECE = 2**16


class Rejected(Misbehaviour):
    """The server says that a request is not for it: a status from 400 to 499."""


@dataclass(frozen=True)
class Choice:
    """One completion: its text, why it ended, and its `logprobs` as they came."""

    text: str
    finish_reason: str | None
    logprobs: Mapping[str, Any] | None


@dataclass(frozen=True)
class Completion:
    """What one request gave. usage: the server's count of tokens, where it tells."""

    choices: tuple[Choice, ...]
    usage: Mapping[str, Any]


@dataclass(frozen=True)
class Endpoint:
    """A server at `url`, such as http://localhost:8000/v1, and one of its models.

    key: what proves who asks, or "". extra: fields that go with every request.
    """

    url: str
    model: str
    key: str = field(default="", repr=False)
    seconds: float = 20.0
    extra: Mapping[str, Any] = field(default_factory=dict)

    def models(self) -> list[str] | None:
        """The names of its models; None where it does not say. NoSubject where nobody is there."""
        try:
            found = self._json(self._asked("GET", "/models", None))
        except Rejected:
            return None
        except Misbehaviour as misbehaviour:
            raise NoSubject(str(misbehaviour)) from misbehaviour
        data = found.get("data")
        if not isinstance(data, list):
            return None
        return [str(entry.get("id")) for entry in data if isinstance(entry, dict)]

    def complete(self, prompt: str, **settings: Any) -> Completion:
        """What follows a prompt. Raises Rejected, or another Misbehaviour."""
        return _completion(self._json(self._asked("POST", "/completions", prompt, **settings)))

    def stream(self, prompt: str, **settings: Any) -> Choice:
        """The same, piece by piece as server-sent events; the pieces are put together."""
        data = self._asked("POST", "/completions", prompt, stream=True, **settings)
        texts, reason, ended = [], None, False
        for event in _events(data):
            if event == "[DONE]":
                ended = True
                break
            for choice in _completion(self._json(event.encode())).choices:
                texts.append(choice.text)
                reason = choice.finish_reason or reason
        if not ended:
            raise Misbehaviour(GARBLED, "the stream ends without data: [DONE]")
        return Choice("".join(texts), reason, None)

    def _asked(self, method: str, path: str, prompt: str | None, **settings: Any) -> bytes:
        parts = urlsplit(self.url)
        kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
        deadline = time.monotonic() + self.seconds
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        if self.key:
            headers["Authorization"] = f"Bearer {self.key}"
        body = None
        if prompt is not None:
            fields = {"model": self.model, "prompt": prompt, **self.extra, **settings}
            body = json.dumps(fields).encode()
        try:
            connection = kind(parts.hostname or "", parts.port, timeout=self.seconds)
        except (ValueError, HTTPException) as error:
            raise Misbehaviour(DIED, f"{self.url} is no address: {error}") from error
        try:
            connection.request(method, parts.path.rstrip("/") + path, body, headers)
            with connection.getresponse() as response:
                data = _read(response, deadline)
        except TimeoutError as error:
            says = f"{self.url} gave no answer within {self.seconds:g} s"
            raise Misbehaviour(HUNG, says) from error
        except (OSError, HTTPException, ValueError) as error:
            why = getattr(error, "strerror", None) or one_line(error) or type(error).__name__
            raise Misbehaviour(DIED, f"{self.url} cannot be reached: {why}") from error
        finally:
            connection.close()
        if response.status != 200:
            quoted = _error_of(data)
            says = f"{path} answered with status {response.status}{quoted}"
            kind_of = Rejected if 400 <= response.status < 500 else Misbehaviour
            raise kind_of(RAISED, says)
        return data

    def _json(self, data: bytes) -> dict[str, Any]:
        try:
            found = json.loads(data)
        except (ValueError, RecursionError):
            found = None
        if not isinstance(found, dict):
            shown = one_line(data[:60].decode(errors="replace"))
            raise Misbehaviour(GARBLED, f"the answer is {shown!r}; expected a JSON object")
        return found


def endpoint(
    url: str, model: str, *, key: str = "", seconds: float = 20.0, extra: Mapping[str, Any]
) -> Endpoint:
    """The endpoint. Raises NoSubject for an address that is none, and a model that is not there.

    >>> endpoint("localhost:8000", "gpt2", extra={})
    Traceback (most recent call last):
    ...
    oracle.adapters.subject.NoSubject: 'localhost:8000' is no address; expected one such as http://localhost:8000/v1
    """
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise NoSubject(f"{url!r} is no address; expected one such as http://localhost:8000/v1")
    found = Endpoint(url, model, key, seconds, dict(extra))
    names = found.models()
    if names is not None and model not in names:
        raise NoSubject(
            f"{url} has no model {model!r}; give --model one of {', '.join(names) or 'none'}"
        )
    return found


def _read(response: HTTPResponse, deadline: float) -> bytes:
    """The body, however slowly it comes, until the deadline."""
    pieces, size = [], 0
    while piece := response.read1(PIECE):
        pieces.append(piece)
        size += len(piece)
        if time.monotonic() > deadline:
            raise TimeoutError
        if size > LONGEST_ANSWER:
            raise ValueError(f"more than {LONGEST_ANSWER} bytes came")
    return b"".join(pieces)


def _events(data: bytes) -> Iterator[str]:
    """What each server-sent event says."""
    for line in data.decode(errors="replace").splitlines():
        if line.startswith("data:"):
            yield line[5:].strip()
        elif line.strip() and not line.startswith((":", "event:", "id:", "retry:")):
            raise Misbehaviour(GARBLED, f"the stream has {one_line(line)[:60]!r}; expected data: …")


def _error_of(data: bytes) -> str:
    """What a server says of an error."""
    try:
        found = json.loads(data)
        error = found.get("error", found.get("detail", ""))
        says = error.get("message", "") if isinstance(error, dict) else error
    except (ValueError, AttributeError, RecursionError):
        says = data[:200].decode(errors="replace")
    says = "".join(c if c.isprintable() else " " for c in one_line(says))
    return f": {says}" if says else ""


def _completion(found: Mapping[str, Any]) -> Completion:
    choices = found.get("choices")
    if not isinstance(choices, list):
        says = f"the answer has {', '.join(map(str, found)) or 'nothing'}; expected choices"
        raise Misbehaviour(GARBLED, says)
    read = []
    for choice in choices:
        if not isinstance(choice, dict) or not isinstance(choice.get("text"), str):
            raise Misbehaviour(GARBLED, f"a choice is {one_line(choice)[:80]}; expected a text")
        logprobs = choice.get("logprobs")
        reason = choice.get("finish_reason")
        read.append(
            Choice(
                choice["text"],
                None if reason is None else str(reason),
                logprobs if isinstance(logprobs, dict) else None,
            )
        )
    usage = found.get("usage")
    return Completion(tuple(read), usage if isinstance(usage, dict) else {})
