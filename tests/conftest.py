"""Settings and fixtures that all tests share."""

from __future__ import annotations

import gc
import math
import threading
import tomllib
from pathlib import Path

import pytest
from hypothesis import Phase, settings
from hypothesis.internal.conjecture import providers

from explorer.cli import output
from explorer.ranking import best_first

# Every run tries the same examples, so that a failure is the change's own doing. To search further:
# pytest --hypothesis-profile=thorough
settings.register_profile("default", derandomize=True, deadline=None, print_blob=True)
settings.register_profile("thorough", max_examples=2000, deadline=None, print_blob=True)
# For a tool that only wants to know whether a test fails.
settings.register_profile(
    "unshrunk", derandomize=True, deadline=None, phases=(Phase.explicit, Phase.generate)
)
settings.load_profile("default")
# Nor do examples depend on which modules have been loaded, that is, on the tests before and the
# process: else Hypothesis draws now and then a number that stands in one of them. It has no setting
# for that; a version in which this name is another one is told by an AttributeError.
CONSTANTS = providers._local_constants  # none, as no module has been looked through yet
providers._get_local_constants = lambda: CONSTANTS

# Libraries, modules and tests are there until the end: to walk through them again and again for
# what might be garbage took up to a twelfth of the time of tests. What tests make is still looked
# through, but less often than what a program of a few objects wants.
gc.set_threshold(20_000, 20, 20)


def pytest_collection_finish() -> None:
    """Have what is there before the first test runs left alone by the garbage collector."""
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def _time_decides_nothing() -> None:
    """No line of progress is printed and no worker started because something takes long here.

    What commands print is then the same on every machine; tests that want workers ask for them.
    """
    output.FIRST = threading.TIMEOUT_MAX
    best_first.PATIENCE = math.inf


@pytest.fixture(scope="session")
def root() -> Path:
    """The root of the checkout."""
    return Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def version(root: Path) -> str:
    """The version as it is written in the one place where it is."""
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return str(project["version"])
