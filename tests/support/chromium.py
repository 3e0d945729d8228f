"""Chromium without a window, spoken to through a pipe: no port, no package, nothing of the network.

The protocol: https://chromedevtools.github.io/devtools-protocol
"""

import fcntl
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome")
_SPARE = 10  # file descriptors from here on are free to be given
_KEYS = {
    "Enter": (13, "\r"), "Tab": (9, ""), "Escape": (27, ""),
    "ArrowLeft": (37, ""), "ArrowUp": (38, ""), "ArrowRight": (39, ""), "ArrowDown": (40, ""),
}  # fmt: skip


def found() -> str | None:
    """The program, where there is one."""
    return next((path for path in map(shutil.which, NAMES) if path), None)


class Page:
    """One page in one tab. `said`: what it wrote to the console; `asked`: what it asked for."""

    def __init__(self, browser: "_Browser") -> None:
        self._browser = browser
        self.said: list[str] = []
        self.asked: list[str] = []
        target = browser.call("Target.createTarget", {"url": "about:blank"})["targetId"]
        attached = browser.call("Target.attachToTarget", {"targetId": target, "flatten": True})
        self._session = attached["sessionId"]
        for part in ("Page", "Runtime", "Log", "Network"):
            self._call(f"{part}.enable")

    def open(self, path: Path, width: int, *, dark: bool = False, printed: bool = False) -> None:
        """Open a file at a width, as on paper where it is to be printed, and wait for it."""
        self.said.clear()
        self.asked.clear()
        self._call(
            "Emulation.setDeviceMetricsOverride",
            {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 600},
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        media = "print" if printed else ""
        self._call("Emulation.setEmulatedMedia", {"media": media, "features": [scheme]})
        self._call("Page.navigate", {"url": path.as_uri()})
        self._browser.until("Page.loadEventFired", self)

    def evaluate(self, script: str) -> Any:
        """The value of an expression of JavaScript."""
        result = self._call("Runtime.evaluate", {"expression": script, "returnByValue": True})
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")

    def press(self, key: str) -> None:
        """Press a key and let it go, as somebody at the keyboard does."""
        code, text = _KEYS[key]
        fields = {"key": key, "code": key, "windowsVirtualKeyCode": code, "text": text}
        self._call("Input.dispatchKeyEvent", {"type": "keyDown", **fields})
        self._call("Input.dispatchKeyEvent", {"type": "keyUp", **fields})

    def _call(self, method: str, parameters: dict[str, Any] | None = None) -> dict[str, Any]:
        return self._browser.call(method, parameters or {}, self._session, self)

    def hear(self, message: dict[str, Any]) -> None:
        """Note what an event tells."""
        told = message.get("params", {})
        match message.get("method"):
            case "Runtime.exceptionThrown" | "Runtime.consoleAPICalled" | "Log.entryAdded":
                self.said.append(json.dumps(told))
            case "Network.requestWillBeSent":
                self.asked.append(told["request"]["url"])


class _Browser:
    def __init__(self, reading: int, writing: int) -> None:
        self._in, self._out = os.fdopen(reading, "rb"), os.fdopen(writing, "wb")
        self._count = 0

    def call(
        self,
        method: str,
        parameters: dict[str, Any],
        session: str | None = None,
        page: Page | None = None,
    ) -> dict[str, Any]:
        self._count += 1
        message = {"id": self._count, "method": method, "params": parameters}
        message |= {"sessionId": session} if session else {}
        self._out.write(json.dumps(message).encode() + b"\0")
        self._out.flush()
        while True:
            answer = self._next(page)
            if answer.get("id") == self._count:
                assert "error" not in answer, answer
                result: dict[str, Any] = answer["result"]
                return result

    def until(self, event: str, page: Page) -> None:
        while self._next(page).get("method") != event:
            pass

    def _next(self, page: Page | None) -> dict[str, Any]:
        data = bytearray()
        while (byte := self._in.read(1)) != b"\0":
            assert byte, "Chromium is gone"
            data += byte
        message: dict[str, Any] = json.loads(data)
        if page is not None:
            page.hear(message)
        return message

    def close(self) -> None:
        self._in.close()
        self._out.close()


@contextmanager
def chromium(folder: Path) -> Iterator[Page]:
    """A page of a new Chromium, which keeps its files in a folder."""
    program = found()
    assert program is not None
    their_in, our_out = os.pipe()
    our_in, their_out = os.pipe()

    def wire() -> None:  # it reads from 3 and writes to 4
        ends = [fcntl.fcntl(end, fcntl.F_DUPFD, _SPARE) for end in (their_in, their_out)]
        for end, number in zip(ends, (3, 4), strict=True):
            os.dup2(end, number)

    process = subprocess.Popen(
        [
            program, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
            "--no-first-run", "--remote-debugging-pipe", f"--user-data-dir={folder}",
        ],
        preexec_fn=wire,
        pass_fds=(3, 4),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    os.close(their_in)
    os.close(their_out)
    browser = _Browser(our_in, our_out)
    try:
        yield Page(browser)
    finally:
        process.terminate()
        process.wait(timeout=30)
        browser.close()
