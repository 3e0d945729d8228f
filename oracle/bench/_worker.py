"""A contestant's process, as the bench sees it."""

import json
import os
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any

from oracle.bench._contest import Absent, Measured, Setup

ROOT = Path(__file__).parents[2]
# What the libraries go by, each its own; they read it once, when they are imported.
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")


class Failed(Exception):  # noqa: N818
    """A task went wrong, or its process ended; the message says how."""


class Worker:
    """One contestant in a process of its own, with so many threads, until the context ends.

    Raises Absent, when it is entered, where the contestant cannot be had.
    """

    def __init__(self, name: str, setup: Setup, *, threads: int) -> None:
        path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
        self.name = name
        self._process = subprocess.Popen(
            [sys.executable, "-m", "oracle.bench._serve", name, json.dumps(asdict(setup))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ
            | dict.fromkeys(THREADS, str(threads))
            | {"PYTHONPATH": path, "HF_HUB_OFFLINE": "1"},
        )

    def __enter__(self) -> "Worker":
        try:
            self.about = str(self._reply()["about"])
        except BaseException:
            self._close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._close()

    def measure(self, task: str) -> Measured:
        """Let it do the task. Raises Absent or Failed."""
        if self._process.stdin is None or self._process.poll() is not None:
            raise Failed(f"its process ended with code {self._process.returncode}")
        print(json.dumps(task), file=self._process.stdin, flush=True)
        reply = self._reply()
        return Measured(float(reply["value"]), reply["answer"])

    def _reply(self) -> dict[str, Any]:
        line = self._process.stdout.readline() if self._process.stdout else ""
        if not line:
            raise Failed(f"its process ended with code {self._process.wait()}")
        reply: dict[str, Any] = json.loads(line)
        if "absent" in reply:
            raise Absent(reply["absent"])
        if "failed" in reply:
            raise Failed(reply["failed"])
        return reply

    def _close(self) -> None:
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                stream.close()
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
