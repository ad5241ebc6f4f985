"""``python -m tests.screenshot PAGE PICTURE [light|dark] [FRAGMENT]``: photograph a page.

PAGE is a file that ``explorer map`` or ``explorer pareto --plot`` wrote, PICTURE the .png to make.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from tests.browser import browser

SIZE = 1400, 1010


def main(page: str, picture: str, scheme: str = "light", fragment: str = "") -> None:
    """Photograph a page in Chromium, in one of the two schemes."""
    with tempfile.TemporaryDirectory() as profile, browser(Path(profile), SIZE) as window:
        window.open(Path(page).resolve(), fragment, dark=scheme == "dark")
        if not window.driver.save_screenshot(picture):
            raise SystemExit(f"{picture}: cannot be written")
        for message in window.said():
            print(message, file=sys.stderr)


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
