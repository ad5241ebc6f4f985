"""Examples of Hypothesis in several parts, which the processes of a test run share out."""

from __future__ import annotations

from collections.abc import Callable

import hypothesis
from hypothesis import settings


def run(test: Callable[[], None], seed: int, examples: int) -> None:
    """Run a function that `given` has decorated on so many examples, others with each seed."""
    hypothesis.seed(seed)(settings(max_examples=examples)(test))()
