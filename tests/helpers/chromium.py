"""Pages in Chromium without a window, by Playwright, of which the browser is the system's own."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, sync_playwright
from playwright.sync_api import Page as _Page

from tests.helpers.patience import NEVER

NAMES = ("chromium", "chromium-browser", "google-chrome")
_HEIGHT = 800
_PHONE = 600  # narrower than this is a phone, which reads <meta name="viewport">


def found() -> str | None:
    """The program, where there is one."""
    return next((path for path in map(shutil.which, NAMES) if path), None)


class Page:
    """One page at a time. `said`: what it wrote to the console; `asked`: what it asked for."""

    def __init__(self, browser: Browser) -> None:
        self._browser = browser
        self._page: _Page | None = None
        self.said: list[str] = []
        self.asked: list[str] = []

    def open(self, path: Path, width: int, *, dark: bool = False, printed: bool = False) -> None:
        """Open a file at a width, as on paper where it is to be printed, and wait for it."""
        self.close()
        page = self._browser.new_page(
            viewport={"width": width, "height": _HEIGHT},
            is_mobile=width < _PHONE,
            color_scheme="dark" if dark else "light",
        )
        page.set_default_timeout(1000 * NEVER)
        page.emulate_media(media="print" if printed else "screen")
        page.on("console", lambda message: self.said.append(message.text))
        page.on("pageerror", lambda error: self.said.append(str(error)))
        page.on("request", lambda request: self.asked.append(request.url))
        page.goto(path.as_uri())
        self._page = page

    def evaluate(self, script: str) -> Any:
        """The value of an expression of JavaScript."""
        assert self._page is not None
        return self._page.evaluate(script)

    def press(self, key: str) -> None:
        """Press a key and let it go, as somebody at the keyboard does."""
        assert self._page is not None
        self._page.keyboard.press(key)

    def close(self) -> None:
        """Close the page and forget what it said and asked."""
        if self._page is not None:
            self._page.close()
        self._page, self.said, self.asked = None, [], []


@contextmanager
def chromium() -> Iterator[Page]:
    """A page of a new Chromium."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=found(),
            timeout=1000 * NEVER,
            args=["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"],
        )
        page = Page(browser)
        try:
            yield page
        finally:
            page.close()
            browser.close()
