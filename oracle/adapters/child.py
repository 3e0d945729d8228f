"""A child process that is spoken to over its standard input and output, whatever it does.

Threads read and write, so that nothing that the child does, or leaves undone, holds up the judge
longer than its time limit. Made for Linux and macOS. On Windows too a child is ended, but not what
it started itself.
"""

import os
import signal
import subprocess
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from queue import Empty, Full, Queue, SimpleQueue
from threading import Thread
from typing import IO, Any, TypeAlias

Read: TypeAlias = Callable[[IO[bytes]], bytes]

LOOK = 0.2  # seconds between looks at whether the process still runs
GRACE = 0.5  # seconds in which a process may end by itself once its input has
LINES_KEPT = 20  # of what it says on standard error


class Ended(Exception):  # noqa: N818
    """The child has ended, or closed its output; the message says how, in one line."""


class Child:
    """A running process.

    read(stream): the next message on its output, b"" at the end. quoted: whether what it writes to
    standard error is kept, to be quoted where it dies; otherwise it goes to the judge's own.
    Raises OSError where it cannot be started.
    """

    def __init__(self, command: Sequence[str], read: Read, *, quoted: bool) -> None:
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE if quoted else None,
            start_new_session=True,  # so that what it starts itself can be ended with it
        )
        self.forgotten: list[Any] = []  # caches that the judge has done with
        self.inbox: Queue[bytes] = Queue(maxsize=4)  # bounded: it may talk without end
        self.outbox: SimpleQueue[bytes | None] = SimpleQueue()
        self.said: deque[str] = deque(maxlen=LINES_KEPT)
        self.closing = False
        work: list[tuple[Callable[..., None], Any]] = [
            (self._hear, read),
            (self._speak, self.process.stdin),
        ]
        if quoted:
            work.append((self._keep, self.process.stderr))
        self.threads = [Thread(target=do, args=(it,), daemon=True) for do, it in work]
        for thread in self.threads:
            thread.start()

    def send(self, message: bytes) -> None:
        """Write a message; returns at once, and does not tell whether anyone reads."""
        self.outbox.put(message)

    def receive(self, deadline: float) -> bytes:
        """The next message; TimeoutError after the deadline (of time.monotonic), or Ended."""
        while True:
            left = deadline - time.monotonic()
            try:
                message = self.inbox.get(timeout=max(0.0, min(left, LOOK)))
            except Empty:
                if self.process.poll() is not None and self.inbox.empty():
                    raise Ended(self._how()) from None
                if left <= 0:
                    raise TimeoutError from None
                continue
            if not message:
                raise Ended(self._how())
            return message

    def close(self, grace: float = 0.0) -> None:
        """End the process, and what it started; where `grace` is given it may end by itself."""
        self.closing = True
        self.outbox.put(None)
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(grace)
        self._kill()
        self.process.wait()
        for thread in self.threads:
            thread.join(1.0)

    def _kill(self) -> None:
        # That nobody is left is a ProcessLookupError, on macOS a PermissionError.
        with suppress(ProcessLookupError, PermissionError):
            if hasattr(os, "killpg"):
                os.killpg(self.process.pid, signal.SIGKILL)
            else:
                self.process.kill()

    def _how(self) -> str:
        try:
            status = self.process.wait(1.0)
        except subprocess.TimeoutExpired:
            return "closed its output"
        if self.threads[2:]:
            self.threads[2].join(0.2)
        quote = f", saying {_telling(self.said)!r}" if self.said else ""
        if status < 0:
            return f"was ended by {_signal(-status)}{quote}"
        return f"ended with exit status {status}{quote}"

    def _hear(self, read: Read) -> None:
        assert self.process.stdout is not None  # it was started with a pipe
        with self.process.stdout as stream:
            message = b"?"
            while message and not self.closing:
                try:
                    message = read(stream)
                except (OSError, ValueError):
                    message = b""
                self._put(message)

    def _put(self, message: bytes) -> None:
        while not self.closing:
            with suppress(Full):
                self.inbox.put(message, timeout=LOOK)
                return

    def _speak(self, stream: IO[bytes]) -> None:
        # Where it reads no more, whoever waits for its answer learns why.
        with suppress(OSError), stream:
            while (message := self.outbox.get()) is not None:
                stream.write(message)
                stream.flush()

    def _keep(self, stream: IO[bytes]) -> None:
        with stream:
            while line := stream.readline(10_000):
                text = line.decode(errors="replace").strip()
                if text:
                    self.said.append(text[:200])


def _telling(lines: Sequence[str]) -> str:
    """The last line that names an error, for the trace may stand after it; or the last line."""
    named = [line for line in lines if "rror" in line or "panic" in line]
    return (named or list(lines))[-1]


def _signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
