"""Whole processes, from start to end, as a user runs a script."""

import subprocess
import sys
from pathlib import Path

from oracle.bench._contest import Absent, Measured
from oracle.bench._tasks import timed

# Of this program alone: `getrusage` would count what the process that started it had taken.
PEAK = """
for line in open("/proc/self/status"):
    if line.startswith("VmHWM"):
        print(1024 * int(line.split()[1]))
"""


def first_token(script: str, *arguments: object) -> Measured:
    """Seconds of the whole process. The script prints the token."""
    seconds, out = timed(lambda: _run(script, *arguments))
    return Measured(seconds, out.split()[-1])


def peak(script: str, *arguments: object) -> Measured:
    """The most memory that the script held at once, in bytes.

    Pages of files that are mapped count where they were touched, as the system counts them.
    """
    if not Path("/proc/self/status").exists():
        raise Absent("this system does not say how much memory a process took at most")
    return Measured(float(_run(script + PEAK, *arguments).split()[-1]))


def printed(script: str, *arguments: object) -> Measured:
    """The number that the script prints last."""
    return Measured(float(_run(script, *arguments).split()[-1]))


def _run(script: str, *arguments: object) -> str:
    command = [sys.executable, "-c", script, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if done.returncode:
        *_, last = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        raise RuntimeError(last)
    return done.stdout
