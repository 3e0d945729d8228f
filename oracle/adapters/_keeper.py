"""Keeper of a program: a small process that ends with it all that it started, on Linux.

    python -I -S _keeper.py LIFELINE STATUS program arguments ...

A program may leave others behind, in sessions of their own, where signals to its group do not
reach. Their parent ends, and then the kernel hands them to the nearest subreaper, which is this
process; so it finds them among its children. It ends them where the program ends, where LIFELINE,
a pipe whose other end the judge holds, is closed, and so where the judge itself is killed. To
STATUS it writes the program's process id, or minus the error for which it could not be started.
Then it ends as the program did.
"""

import ctypes
import os
import select
import signal
import sys
import time
from contextlib import suppress

PR_SET_CHILD_SUBREAPER = 36
PATIENCE = 5.0  # seconds for all of them to end; what stops in the kernel may take longer


def main() -> None:
    """Start the program, wait for its end or the judge's, and end what is left."""
    lifeline, status, command = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    awake, waking = os.pipe()
    os.set_blocking(awake, False)
    os.set_blocking(waking, False)
    signal.set_wakeup_fd(waking, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda number, frame: None)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    program = os.fork()
    if program == 0:
        _become(command, status)
    os.write(status, b"%d\n" % program)
    os.close(status)
    nothing = os.open(os.devnull, os.O_RDWR)
    for stream in range(3):  # which are the program's alone now, so that their ends are seen
        os.dup2(nothing, stream)
    ended = _wait(program, lifeline, awake)
    _end_all(program)
    _end_as(ended)


def _become(command: list[str], status: int) -> None:
    """Be the program, in a session of its own."""
    for number in (signal.SIGCHLD, signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    os.set_inheritable(status, False)
    os.setsid()
    try:
        os.execvp(command[0], command)
    except OSError as error:
        os.write(status, b"-%d\n" % (error.errno or 1))
    finally:
        os._exit(127)


def _wait(program: int, lifeline: int, awake: int) -> int:
    """How the program ended, as os.waitpid says it; as if killed where the judge let it go."""
    while True:
        ready, _, _ = select.select([lifeline, awake], [], [])
        if lifeline in ready:
            return signal.SIGKILL
        os.read(awake, 4096)
        while True:
            try:
                process, ended = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return 0
            if process == program:
                return ended
            if process == 0:
                break


def _end_all(program: int) -> None:
    """End all children, and those that become children as their parents end."""
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        for process in descendants(os.getpid()):
            _kill(process)
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            return
        time.sleep(0.005)


def _kill(process: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.kill(process, signal.SIGKILL)


def descendants(ancestor: int) -> list[int]:
    """The children of a process, theirs, and so on."""
    children: dict[int, list[int]] = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat", "rb") as file:
                    # pid (name) state parent ...; the name may hold anything
                    parent = int(file.read().rpartition(b")")[2].split()[1])
            except (OSError, ValueError, IndexError):
                continue
            children.setdefault(parent, []).append(int(name))
    found, left = [], [ancestor]
    while left:
        more = children.get(left.pop(), [])
        found += more
        left += more
    return found


def _end_as(ended: int) -> None:
    if os.WIFSIGNALED(ended):
        import resource

        number = os.WTERMSIG(ended)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        if number not in (signal.SIGKILL, signal.SIGSTOP):
            signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
    os._exit(os.WEXITSTATUS(ended) if os.WIFEXITED(ended) else 1)


if __name__ == "__main__":
    main()
