"""A browser as a test drives it, the site whose page it opens, and all that the page said and asked for."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Final

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, expect, sync_playwright

SOON: Final = 30_000.0
"""Milliseconds in which what is waited for must be there."""
WANTED: Final = "DATAQUEUE_TEST_BROWSER"
"""`required`: without a browser the tests fail. Else they are skipped."""
_NAMES: Final = ("chromium", "chromium-browser", "google-chrome")
_NONE: Final = (
    "there is no browser here: install Debian's package `chromium`, or run `.venv/bin/playwright install chromium`"
)
# It is to speak to the site under test alone. Playwright adds --headless and --no-sandbox, without which root has none.
_FLAGS: Final = (
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def of_the_system() -> str | None:
    """The program of a browser that was installed for everybody."""
    return next(filter(None, map(shutil.which, _NAMES)), None)


def of_playwright() -> bool:
    """Whether Playwright has a browser of its own, where it keeps them on Linux or macOS."""
    chosen = os.environ.get("PLAYWRIGHT_BROWSERS_PATH")
    caches = (Path.home() / ".cache", Path.home() / "Library/Caches")
    folders = [Path(chosen)] if chosen else [cache / "ms-playwright" for cache in caches]
    return any(any(folder.glob("chromium-*")) for folder in folders)


def a_browser_is_there() -> bool:
    return of_the_system() is not None or of_playwright()


in_a_browser = pytest.mark.skipif(os.environ.get(WANTED) != "required" and not a_browser_is_there(), reason=_NONE)


@contextmanager
def browsing() -> Iterator[Browser]:
    """A Chromium: the system's, else Playwright's own. While it lives, this thread can run no event loop of its own."""
    assert a_browser_is_there(), _NONE
    with sync_playwright() as playwright:
        expect.set_options(timeout=SOON)
        browser = playwright.chromium.launch(executable_path=of_the_system(), args=_FLAGS)
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def site(folder: Path) -> Iterator[str]:
    """The files of a folder on a port of their own; their origin."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(folder))) as server:
        thread = Thread(target=partial(server.serve_forever, poll_interval=0.05))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


class _Quiet(SimpleHTTPRequestHandler):
    def log_request(self, code: object = "-", size: object = "-") -> None:
        """What was asked for is the page's to witness."""


@dataclass
class Witness:
    """What a page has asked for, and what went wrong in it."""

    page: Page
    asked: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    expected: str | None = None
    """A complaint that is none here holds these words."""

    def __post_init__(self) -> None:
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("dialog", lambda dialog: self.complaints.append(f"dialog: {dialog.message}"))
        self.page.on("console", self._hear)

    def _hear(self, message: ConsoleMessage) -> None:
        # The browser's own word about an answer that was none, or none to like; a script cannot keep it from saying it.
        of_the_network = message.text.startswith("Failed to load resource: ")
        of_the_test = self.expected is not None and self.expected in message.text
        if message.type in ("error", "warning") and not (of_the_network or of_the_test):
            self.complaints.append(message.text)

    def asked_of(self, origin: str) -> list[str]:
        """The addresses it asked that origin for."""
        return [url for url in self.asked if url.startswith(f"{origin}/")]
