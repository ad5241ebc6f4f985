"""Settings and fixtures that all tests share."""

from __future__ import annotations

import threading
import tomllib
from pathlib import Path

import pytest
from hypothesis import Phase, settings
from hypothesis.internal.conjecture import providers

from explorer.cli import output

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
# process: else Hypothesis draws now and then a number that stands in one of them.
providers._get_local_constants = lambda: providers._local_constants


@pytest.fixture(scope="session", autouse=True)
def _no_lines_of_progress() -> None:
    """What commands print in tests does not depend on how long they take."""
    output.FIRST = threading.TIMEOUT_MAX


@pytest.fixture(scope="session")
def root() -> Path:
    """The root of the checkout."""
    return Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def version(root: Path) -> str:
    """The version as it is written in the one place where it is."""
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return str(project["version"])
