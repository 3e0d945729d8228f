"""A child process that is spoken to over its standard input and output, whatever it does.

Threads read and write, so that nothing that the child does, or leaves undone, holds up the judge
longer than its time limit. Made for Linux and macOS. What the child started itself ends with it: on
Linux all of it (`_keeper`), on macOS what stayed in its process group, on Windows nothing.
"""

import os
import select
import shutil
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from queue import Empty, Full, Queue, SimpleQueue
from threading import Thread
from typing import IO, Any, TypeAlias

from oracle.adapters import _keeper
from oracle.adapters.answers import one_line, printable

Message: TypeAlias = bytes | bytearray
Read: TypeAlias = Callable[[IO[bytes]], Message]

LOOK = 0.2  # seconds between looks at whether the process still runs
GRACE = 0.5  # seconds in which a process may end by itself once its input has
STARTED = 30.0  # seconds in which the keeper must have started it
LINES_KEPT = 20  # of what it says on standard error
LINES_SHOWN = 1000  # of that, where it goes to the judge's own
LONGEST_SHOWN = 10_000  # bytes of such a line


class Ended(Exception):  # noqa: N818
    """The child has ended, or closed its output; the message says how, in one line."""


class Child:
    """A running process.

    read(stream): the next message on its output, b"" at the end. quoted: whether what it writes to
    standard error is kept, to be quoted where it dies; otherwise it goes to the judge's own,
    without control characters, and no more than LINES_SHOWN lines of it. Raises OSError where it
    cannot be started.
    """

    def __init__(self, command: Sequence[str], read: Read, *, quoted: bool) -> None:
        self.lifeline: int | None = None
        self.pid = 0  # of the program itself
        self.process = self._start(list(command))
        self.forgotten: list[Any] = []  # caches that the judge has done with
        self.inbox: Queue[Message] = Queue(maxsize=4)  # bounded: it may talk without end
        self.outbox: SimpleQueue[Sequence[bytes | memoryview] | None] = SimpleQueue()
        self.last_lines: deque[str] = deque(maxlen=LINES_KEPT)
        self.quoted = quoted
        self.closing = False
        work: list[tuple[Callable[..., None], Any]] = [
            (self._hear, read),
            (self._speak, self.process.stdin),
            (self._keep if quoted else self._show, self.process.stderr),
        ]
        self.threads = [Thread(target=do, args=(it,), daemon=True) for do, it in work]
        for thread in self.threads:
            thread.start()

    def _start(self, command: list[str]) -> "subprocess.Popen[bytes]":
        """The program; on Linux its keeper, which ends as it does."""
        if not sys.platform.startswith("linux"):
            process = _popen(command)
            self.pid = process.pid
            return process
        # What is there but cannot be run, the keeper finds out.
        if shutil.which(command[0]) is None and not os.path.exists(command[0]):
            raise FileNotFoundError(2, "No such file or directory", command[0])
        held, self.lifeline = os.pipe()
        heard, status = os.pipe()
        keeper = [sys.executable, "-I", "-S", _keeper.__file__, str(held), str(status)]
        try:
            process = _popen([*keeper, *command], (held, status))
        finally:
            os.close(held)
            os.close(status)
        with open(heard, "rb") as answers:
            ready, _, _ = select.select([answers], [], [], STARTED)
            numbers = [int(line) for line in answers.read().split()] if ready else []
        if not numbers or min(numbers) < 0:
            self._let_go()
            process.kill()
            process.communicate()
            number = -min(numbers, default=-5)
            raise OSError(number, os.strerror(number), command[0])
        self.pid = numbers[0]
        return process

    def _let_go(self) -> None:
        if self.lifeline is not None:
            os.close(self.lifeline)
            self.lifeline = None

    def send(self, message: Sequence[bytes | memoryview]) -> None:
        """Write the pieces of a message; returns at once, whether anyone reads or not."""
        self.outbox.put(message)

    def receive(self, deadline: float) -> Message:
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
        for thread in self.threads:
            thread.join(1.0)

    def _kill(self) -> None:
        self._let_go()
        if self.pid != self.process.pid:  # it has a keeper, which ends what it started
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(_keeper.PATIENCE + 1)
        # That nobody is left is a ProcessLookupError, on macOS a PermissionError.
        for process in {self.pid, self.process.pid}:
            with suppress(ProcessLookupError, PermissionError):
                if hasattr(os, "killpg"):
                    os.killpg(process, signal.SIGKILL)
        self.process.kill()
        self.process.wait()

    def _how(self) -> str:
        try:
            status = self.process.wait(1.0)
        except subprocess.TimeoutExpired:
            return "closed its output"
        self.threads[2].join(0.2)
        quote = f", saying {_telling(self.last_lines)!r}" if self.last_lines else ""
        if status < 0:
            return f"was ended by {_signal(-status)}{quote}"
        return f"ended with exit status {status}{quote}"

    def _hear(self, read: Read) -> None:
        assert self.process.stdout is not None  # it was started with a pipe
        with self.process.stdout as stream:
            message: Message = b"?"
            while message and not self.closing:
                try:
                    message = read(stream)
                except (OSError, ValueError):
                    message = b""
                self._put(message)

    def _put(self, message: Message) -> None:
        while not self.closing:
            with suppress(Full):
                self.inbox.put(message, timeout=LOOK)
                return

    def _speak(self, stream: IO[bytes]) -> None:
        # Where it reads no more, whoever waits for its answer learns why.
        with suppress(OSError), stream:
            while (pieces := self.outbox.get()) is not None:
                for piece in pieces:
                    stream.write(piece)
                stream.flush()

    def _keep(self, stream: IO[bytes]) -> None:
        with stream:
            while line := stream.readline(LONGEST_SHOWN):
                text = one_line(line.decode(errors="replace"))
                if text:
                    self.last_lines.append(text)

    def _show(self, stream: IO[bytes]) -> None:
        left = LINES_SHOWN
        with stream:
            while line := stream.readline(LONGEST_SHOWN):
                left -= 1
                if left >= 0:
                    _to_standard_error(printable(line.decode(errors="replace").rstrip()))
                elif left == -1:
                    _to_standard_error("(it prints more, which is left out)")


def _popen(command: list[str], passed: Sequence[int] = ()) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
        pass_fds=passed,
    )


def _to_standard_error(line: str) -> None:
    with suppress(OSError, ValueError):  # which may be closed
        print(line, file=sys.stderr, flush=True)


def _telling(lines: Sequence[str]) -> str:
    """The last line that names an error, for the trace may stand after it; or the last line."""
    named = [line for line in lines if "rror" in line or "panic" in line]
    return (named or list(lines))[-1]


def _signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
