"""Timelines: what is drawn adds up to what the cycle model reports."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner, Result

from explorer.cli import app
from explorer.report.timeline import STATES, image, lines, shares
from isa.codec import Queue
from isa.config import Config
from simulator.timing import Span, simulate, spans
from tests.programs import product
from tests.tokens import SMALL, Sample, samples

PRODUCT = spans(Config.default(), product().table)


@settings(max_examples=50)
@given(samples(), st.integers(1, 300))
def test_stretches_add_up_to_the_report(sample: Sample, stripes: int) -> None:
    """However finely time is cut, each module spends on each state what is reported."""
    table = sample.program.table
    report = simulate(SMALL, table)
    found = shares(spans(SMALL, table), stripes).sum(axis=2) * report.cycles / stripes
    for queue, parts in zip(Queue, found, strict=True):
        module = getattr(report, queue.name.lower())
        expected = [module.busy, module.waiting_for_token, module.waiting_for_bus, module.idle]
        np.testing.assert_allclose(parts, expected, atol=1e-6)


def test_spans_are_in_order() -> None:
    """An instruction is there, starts, works, waits for the bus, and ends."""
    assert (np.diff(PRODUCT[:, Span.READY :], axis=1) >= 0).all()


def test_the_terminal_shows_every_module() -> None:
    """A line a module, as wide as asked for, then the cycles and the key."""
    text = [line.plain for line in lines(PRODUCT, 60)]
    assert [line.split()[0] for line in text[:4]] == ["load", "compute", "store", "cycles"]
    assert {len(line) for line in text[:4]} == {60}
    assert text[3].endswith(f"{int(PRODUCT[:, Span.END].max()):,}")
    assert all(state in text[4] for state in STATES[:-1])
    assert "█" in text[0]
    assert "░" in text[1]


@pytest.mark.parametrize(("suffix", "start"), [(".svg", b"<?xml"), (".png", b"\x89PNG")])
def test_figures_are_reproducible(suffix: str, start: bytes) -> None:
    """Equal programs give equal bytes of the format that the suffix names."""
    first, second = (image(PRODUCT, "product", Path(f"x{suffix}")) for _ in range(2))
    assert first.startswith(start)
    assert first == second


def run(*options: str) -> Result:
    """Show the reference of a small product."""
    return CliRunner().invoke(app, ["show", "gemm:m=8,n=32,k=32", "reference", *options])


def test_show_draws_the_timeline(tmp_path: Path) -> None:
    """In the terminal or in a file; only in formats and places that there are."""
    result = run("--timeline")
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines()[0].startswith("load")
    path = tmp_path / "timeline.svg"
    assert "cycles" in run("--timeline", "-o", str(path)).stdout
    assert path.read_bytes().startswith(b"<?xml")
    for options in (
        ["-o", "timeline.pdf"],
        ["-o", str(tmp_path / "no" / "timeline.svg")],
        ["--timeline", "--intrinsic", "amx"],
    ):
        refused = run(*options)
        assert refused.exit_code == 2, refused.output
        assert refused.output.count("\n") == 1


def test_show_has_the_roofline() -> None:
    """The position under the roofline is part of what is shown."""
    assert "under the roof" in run().stdout
