"""Area and energy against sums done by hand, and tables of a user's own."""

from __future__ import annotations

import math
from importlib.resources import files
from pathlib import Path

import pytest

from explorer.study import cost
from explorer.study.parameters import point_of
from isa.config import Config
from isa.errors import InputError
from simulator.counts import Counts

SHIPPED = (files("explorer.study") / "costs.yaml").read_text(encoding="utf-8")


def test_area_by_hand() -> None:
    """The default's lanes, ALU and 480 KiB of SRAM add up."""
    square_microns = 256 * (282 + 137) + 16 * 137 + 480 * 1024 * 8 * 0.742
    area = cost.load().area(point_of(Config.default()))
    assert math.isclose(area, square_microns / 1e6)


def test_energy_by_hand() -> None:
    """Ten steps, two resets and three ALU micro-ops cost what their parts do."""
    costs, config = cost.load(), Config.default()
    moved = {"uop": 4, "inp": 160, "wgt": 2560, "acc": 0, "out": 16, "insn": 160}
    energy = costs.energy(config, Counts(moved, gemm_uops=12, alu_uops=3), steps=10)
    assert math.isclose(energy.compute, (10 * 256 * 0.3 + 3 * 16 * 0.1) / 1e6)
    assert math.isclose(energy.dram, sum(moved.values()) * 1300 / 8 / 1e6)
    touched = {  # KiB of a scratchpad: bytes through it
        32: (4 * 15 + 4) + (16 * 10 + 160),  # uop and inp
        256: 256 * 10 + 2560,
        128: 64 * (2 * 10 + 2 + 2 * 3),
    }
    out = 16 * 3 + 16
    sram = sum(count * costs.access_pj(1024 * size) for size, count in touched.items())
    assert math.isclose(energy.sram, (sram + out * costs.access_pj(32 * 1024)) / 1e6)
    assert math.isclose(energy.total, energy.compute + energy.sram + energy.dram)


def test_published_accesses_are_met() -> None:
    """At the sizes of the table an access costs what it says; it grows in between and beyond."""
    costs = cost.load()
    for size, picojoules in ((8192, 10), (32768, 20), (1048576, 100)):
        assert math.isclose(costs.access_pj(size), picojoules / 8)
    energies = [costs.access_pj(2**log) for log in range(6, 24)]
    assert energies == sorted(energies)


def test_own_table(tmp_path: Path) -> None:
    """A user's table replaces the shipped one; its digest follows its figures."""
    path = tmp_path / "mine.yaml"
    path.write_text(
        SHIPPED.replace("value: 282,", "value: 564,").replace("name: 45nm", "name: mine")
    )
    mine = cost.load(path)
    assert mine.name == "mine"
    assert mine.mac_um2 == 564 + 137
    assert mine.digest != cost.load().digest
    path.write_text(SHIPPED + "\n# a comment\n")
    assert cost.load(path) == cost.load()


def test_one_access_figure_is_for_all_sizes(tmp_path: Path) -> None:
    """A table with one size of memory has one energy."""
    path = tmp_path / "one.yaml"
    path.write_text(SHIPPED.replace("{8192: 10, 32768: 20, 1048576: 100}", "{8192: 16}"))
    assert cost.load(path).access_pj(10) == cost.load(path).access_pj(10**6) == 2.0


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [("value: 0.2", "value: -1", "energy_pj.multiply_int8.value"),
     ("source: dally", "source: nobody", "area_um2.multiply_int8.source.*'nobody'"),
     ("title:", "titel:", "titel.*no such key"), ("sources:", "s:", "sources: missing")],
)  # fmt: skip
def test_wrong_tables(tmp_path: Path, old: str, new: str, message: str) -> None:
    """What is wrong in a table is named, with the file."""
    path = tmp_path / "wrong.yaml"
    path.write_text(SHIPPED.replace(old, new, 1))
    with pytest.raises(InputError, match=rf"wrong\.yaml: {message}"):
        cost.load(path)


def test_an_unknown_name_lists_the_known_ones() -> None:
    """What is neither a file nor the name of a table is refused with the names that there are."""
    with pytest.raises(InputError, match=r"nosuch: missing; .* or one of costs"):
        cost.load(Path("nosuch"))
