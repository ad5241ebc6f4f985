"""Examples of Hypothesis in several parts, which the processes of a test run share out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import hypothesis
from hypothesis import given, settings
from hypothesis.strategies import SearchStrategy


def run(check: Callable[..., None], seed: int, examples: int, *drawn: SearchStrategy[Any]) -> None:
    """Call a function with so many drawn examples, others with each seed."""
    hypothesis.seed(seed)(settings(max_examples=examples)(given(*drawn)(check)))()
