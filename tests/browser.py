"""A browser without a window, for tests of pages.

Chromium and its driver are looked for on the path; where they are not, tests that need them are
skipped, unless EXPLORER_BROWSER says that they have to run.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service

REQUIRED = "EXPLORER_BROWSER"
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--force-device-scale-factor=1",
)  # fmt: skip
PATIENCE = 120.0  # seconds until a page has to be there, on a machine of any speed


class Browser:
    """A page in Chromium, and what it said on its console."""

    def __init__(self, driver: webdriver.Chrome) -> None:
        self.driver = driver

    def open(self, path: Path, fragment: str = "", *, dark: bool = False) -> None:
        """Show a page, once it says that it is ready."""
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})
        self.driver.get("about:blank")  # the same page with another fragment is not loaded again
        self.driver.get(f"{path.as_uri()}{fragment}")
        self.wait("document.body && document.body.dataset.ready")

    def run(self, script: str, *arguments: object) -> Any:
        """What a function with this body returns."""
        return self.driver.execute_script(script, *arguments)

    def wait(self, condition: str) -> Any:
        """Wait until an expression holds, and give its value."""
        end = time.monotonic() + PATIENCE
        while not (found := self.run(f"return {condition}")):
            assert time.monotonic() < end, (condition, self.said())
            time.sleep(0.05)
        return found

    def said(self) -> list[str]:
        """What has been written on the console since the last call, warnings and errors."""
        entries = self.driver.get_log("browser")  # type: ignore[no-untyped-call]
        return [str(entry["message"]) for entry in entries]


@contextmanager
def browser(folder: Path, size: tuple[int, int] = (1400, 1000)) -> Iterator[Browser]:
    """A browser for the time of the block.

    Args:
        folder: an empty one, for its profile.
        size: of its window, in pixels.
    """
    program = shutil.which("chromium") or shutil.which("google-chrome")
    driver = shutil.which("chromedriver")
    if program is None or driver is None:
        message = "Chromium or its driver is not installed (Debian: chromium, chromium-driver)"
        if os.environ.get(REQUIRED):
            pytest.fail(message)
        pytest.skip(message)
    options = webdriver.ChromeOptions()
    options.binary_location = program
    sizes = f"--window-size={size[0]},{size[1]}"
    for flag in (*FLAGS, sizes, f"--user-data-dir={folder}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    chrome = webdriver.Chrome(options=options, service=Service(driver))
    try:
        yield Browser(chrome)
    finally:
        chrome.quit()
