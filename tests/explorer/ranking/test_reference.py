"""The reference embedding: where there is one, which it is, and that all commands mean the same."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from typer.testing import CliRunner

from explorer.cli import app
from explorer.embedding.facts import CLASSES
from explorer.operators import catalogue, document, resolve
from explorer.ranking import explore
from explorer.ranking.best_first import rank
from explorer.report.searched import explained
from explorer.study import tables
from explorer.study.parameters import PARAMETERS
from isa.config import Config
from isa.errors import InputError

DEFAULT = Config.default()
DEPTHWISE = "depthwise2d:n=1,c=192,h=28,w=28,r=3,s=3,pad=1"
SMALL = "conv2d:n=1,c=3,h=8,w=8,k=16,r=3,s=3,pad=1"
NHWC = """
name: channels last
dimensions: {oc: 32, oh: 6, ow: 6, ic: 32, kh: 3, kw: 3}
in0: {name: data, shape: [6, 6, 32], index: [oh + kh - 1, ow + kw - 1, ic], letters: HWC}
in1: {name: weight, shape: [3, 3, 32, 32], index: [kh, kw, ic, oc], letters: HWIO}
out: {name: output, shape: [6, 6, 32], index: [oh, ow, oc], letters: HWC}
"""
ATTENTION = """
name: joined heads
dimensions: {b: 4, m: 8, n: 64, k: 32}
in0: {name: lhs, shape: [4, 8, 32], index: [b, m, k]}
in1: {name: rhs, shape: [4, 64, 32], index: [b, n, k]}
out: {name: output, shape: [8, 256], index: [m, 64*b + n]}
constants: []
"""


def run(*arguments: str) -> Any:
    """What a command prints, and how it ends."""
    return CliRunner().invoke(app, arguments)


@pytest.mark.parametrize(
    "text",
    [
        "conv2d:n=1,c=16,h=33,w=33,k=16,r=3,s=3,pad=18,dilation=18",
        "conv3d:n=1,c=16,d=4,h=6,w=6,k=16,t=3,r=3,s=3,pad=1",
        NHWC,
    ],
)
def test_a_border_that_dma_cannot_write_is_stored(text: str) -> None:
    """Borders beyond 15 entries, of three sides, or around channels: each has a reference."""
    operator = document.parse(text, "text") if "dimensions" in text else resolve(text)
    found = explore.find(operator, DEFAULT, "reference")
    evaluation = explore.evaluate(operator, DEFAULT, found, fixed_layout=True, effort=2)
    assert evaluation.scheduled
    assert not evaluation.design.inp.is_padded
    assert evaluation.design.fixed_order


@pytest.mark.parametrize("suite", ["resnet18", "deepbench:conv", "deepbench:gemm", "deepbench:rnn"])
def test_shipped_layers_have_references(suite: str) -> None:
    """TVM has a way to lay each layer of a sample of the shipped suites onto the instruction."""
    layers = [entry.reference for entry in catalogue(suite)]
    for layer in layers[:: max(1, len(layers) // 8)]:
        assert explore.reference(resolve(layer), DEFAULT), layer


def test_references_are_listed(root: Path) -> None:
    """`operators --reference` has TVM's embedding of each, its cycles, or says that it has none."""
    folder = root / "tests" / "data" / "layers"
    listed = run("operators", str(folder / "zigzag.yaml"), "--reference", "--json")
    rows = {row["reference"].rpartition(":")[2]: row for row in json.loads(listed.stdout)}
    assert rows["2"]["tvm_embedding"] == "none"
    assert rows["2"]["tvm_cycles"] is None
    ranked = json.loads(run("verify", str(folder / "gemm.yaml"), "reference", "--json").stdout)
    assert rows["4"]["tvm_cycles"] == ranked[0]["cycles"]


def test_what_dma_can_write_is_not_stored() -> None:
    """The stored border is a last resort: a usual one stays with the DMA engine."""
    operator = resolve(SMALL)
    found = explore.find(operator, DEFAULT, "reference")
    assert explore.evaluate(operator, DEFAULT, found, fixed_layout=True).design.inp.is_padded


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (SMALL, "y=oc:16/z=ic:3"),
        ("gemm:m=4,n=8,k=64", "y=n:8/z=k:16"),
        ("gemm:m=1,n=1,k=1", "scalar"),
        ("batched_matmul:b=2,m=4,n=32,k=64", "y=n:16/z=k:16"),
        ("transposed2d:n=1,c=32,h=4,w=4,k=3,r=5,s=5,stride=4", "y=oc:3/z=ic:16"),
        ("conv2d:n=1,c=64,h=8,w=8,k=32,r=3,s=3,groups=4", "y=oc:8/z=ic:16"),
        (ATTENTION, "y=n:16/z=k:16"),
        (DEPTHWISE, None),
    ],
)
def test_reference_is_what_tvm_would_do(text: str, expected: str | None) -> None:
    """One output dimension on y and one reduction on z, as large as fits; or there is none."""
    operator = document.parse(text, "text") if "dimensions" in text else resolve(text)
    found = explore.reference(operator, DEFAULT)
    assert (found.id if found else None) == expected


def test_the_largest_dimension_that_fits_is_taken() -> None:
    """Of two dimensions that an axis admits, the one with more lanes lies on it."""
    text = ATTENTION.replace("[m, 64*b + n]", "[b, m, n]").replace("[8, 256]", "[4, 8, 64]")
    wide = text.replace("k: 32", "k: 4, l: 32").replace("[4, 8, 32], index: [b, m, k]",
        "[4, 8, 4, 32], index: [b, m, k, l]").replace("[4, 64, 32], index: [b, n, k]",
        "[4, 64, 4, 32], index: [b, n, k, l]")  # fmt: skip
    found = explore.reference(document.parse(wide, "text"), DEFAULT)
    assert found
    assert found.id == "y=n:16/z=l:16"


def test_no_speedup_without_a_reference() -> None:
    """Where TVM has no way there is no speedup, no straw man, and the id is refused by name."""
    operator = resolve(DEPTHWISE.replace("192", "4").replace("28", "6"))
    ranking = rank(operator, DEFAULT, explore.embeddings(operator, DEFAULT), top=2, jobs=1)
    frame = ranking.frame()
    assert ranking.reference is None
    assert frame["speedup"].isna().all()
    assert 0 not in frame["rank"].tolist()
    with pytest.raises(InputError, match=r"reference.*TVM has no way"):
        explore.find(operator, DEFAULT, "reference")
    shown = run("rank", operator.name, "--top", "1").stdout
    assert "no speedup, because TVM has no way" in " ".join(shown.split())


@pytest.mark.slow
def test_rank_show_and_verify_have_one_reference() -> None:
    """ResNet-18's C3: the same cycles in the table, in the description and of what is executed."""
    operator = resolve("resnet18:C3")
    base = rank(operator, DEFAULT, [], top=1, jobs=1).base
    verified = json.loads(run("verify", "resnet18:C3", "reference", "--json").stdout)
    assert [row["verdict"] for row in verified] == ["exact"]
    assert [row["cycles"] for row in verified] == [base]
    assert f"{base:,} cycles" in run("show", "resnet18:C3", "reference").stdout


@pytest.mark.slow
def test_every_class_by_default() -> None:
    """A depthwise convolution is as good by default as with all classes and tiles."""
    best = {
        options: json.loads(run("rank", DEPTHWISE, "--top", "1", "--json", *options).stdout)[0]
        for options in [(), ("--classes", "all", "--all-tiles"), ("--classes", "padded,strided")]
    }
    default, everything, few = (row["cycles"] for row in best.values())
    assert default == everything < few


def test_classes_that_are_left_out_are_named() -> None:
    """A table of some classes names the others; one of all names none."""
    some = run("rank", SMALL, "--top", "1", "--classes", "padded,multi").stdout
    names = [name for name in CLASSES if name not in ("padded", "multi")]
    assert f"Classes left out, which may hold better ones: {', '.join(names)}." in " ".join(
        some.split()
    )
    assert "left out" not in run("rank", SMALL, "--top", "1").stdout


def test_ties_are_decided_for_simplicity() -> None:
    """Of equal cycles the reference is first, then what has fewer classes and fewer digits."""
    operator = resolve("conv2d:n=1,c=16,h=6,w=6,k=32,r=1,s=1")
    found = explore.embeddings(operator, DEFAULT, tuple(CLASSES), all_tiles=True, maximal=False)
    ranking = rank(operator, DEFAULT, found, top=None, effort=2, jobs=1)
    fixed = explore.reference(operator, DEFAULT)
    keys = [(e.cycles, e.embedding != fixed, *e.embedding.complexity) for e in ranking.evaluations]
    assert keys == sorted(keys)
    cycles = [e.cycles for e in ranking.evaluations]
    assert any(a == b for a, b in itertools.pairwise(cycles))


def test_within_prefers_the_simplest() -> None:
    """Within a share of the best, the simplest comes first, and what it costs is told."""
    operator = resolve("gemm:m=4,n=24,k=24")
    found = explore.embeddings(operator, DEFAULT, tuple(CLASSES))
    best = rank(operator, DEFAULT, found, top=3, jobs=1)
    loose = rank(operator, DEFAULT, found, top=3, jobs=1, within=0.5)
    assert best.fastest == best.evaluations[0]
    assert loose.fastest
    assert loose.fastest.cycles == best.evaluations[0].cycles
    first = loose.evaluations[0]
    assert first.cycles
    assert loose.fastest.cycles
    assert first.cycles <= 1.5 * loose.fastest.cycles
    within = [e for e in rank(operator, DEFAULT, found, top=None, jobs=1).evaluations
              if e.cycles and e.cycles <= 1.5 * loose.fastest.cycles]  # fmt: skip
    fixed = explore.reference(operator, DEFAULT)
    keys = [(e.embedding != fixed, *e.embedding.complexity) for e in within]
    assert (first.embedding != fixed, *first.embedding.complexity) == min(keys)
    shown = " ".join(run("rank", "gemm:m=4,n=24,k=24", "--within", "50%").stdout.split())
    assert "within 50.00% of the best" in shown


@pytest.mark.parametrize("text", ["2", "-1%", "a", "101%", ""])
def test_a_share_that_is_none_is_refused(text: str) -> None:
    """--within takes a share from 0 to 1."""
    result = run("rank", SMALL, f"--within={text}")
    assert result.exit_code == 2
    assert "--within" in result.stderr


def test_totals_compare_only_what_has_a_reference() -> None:
    """The speedup of a workload is over the layers with a reference, and says how many they are."""
    part = pd.DataFrame(
        {
            "workload": "net", "model": "m", "configuration": "c",
            **dict.fromkeys(PARAMETERS, 1), **dict.fromkeys(("on_chip_bytes", "area"), 1),
            "mac_units": 256, "status": "ok", "repeat": [1, 2], "macs": 10, "steps": 1,
            "cycles": [100, 50], "reference_cycles": [300.0, float("nan")],
            "instructions": 1, "dram_bytes": 1, "energy": 1.0,
        }
    )  # fmt: skip
    (row,) = tables.totalled(part, 2).to_dict("records")
    assert (row["cycles"], row["speedup"], row["with_reference"]) == (200, 3, 1)
    (none,) = tables.totalled(part.assign(reference_cycles=float("nan")), 2).to_dict("records")
    assert pd.isna(none["speedup"])
    assert none["with_reference"] == 0


def once(function: Callable[..., object]) -> Callable[..., object]:
    """The function, which gives what it gave the first time, whatever it is called with."""
    given: list[object] = []

    def known(*arguments: object, **options: object) -> object:
        if not given:
            given.append(function(*arguments, **options))
        return given[0]

    return known


@pytest.mark.parametrize(
    "arguments",
    [
        (SMALL,),
        ("conv2d:n=2,c=3,h=9,w=9,k=5,r=3,s=3,pad=1", "--target", "chisel"),
        (SMALL, "--explain-space"),
        (SMALL, "--within", "1%", "--classes", "padded"),
    ],
)
def test_rank_fits_the_screen(arguments: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    """No line is wider than the screen, whatever its width, on a terminal or off."""
    # What is shown does not depend on the width: it is found once.
    monkeypatch.setattr("explorer.cli.rank.rank_embeddings", once(rank))
    monkeypatch.setattr("explorer.cli.rank.explained", once(explained))
    monkeypatch.setenv("NO_COLOR", "1")
    for width, forced in itertools.product((80, 100, 132), ("", "1")):
        monkeypatch.setenv("COLUMNS", str(width))
        monkeypatch.setenv("FORCE_COLOR", forced)
        result = run("rank", *arguments)
        assert result.exit_code == 0, result.output
        plain = [len(re.sub(r"\x1b\[[0-9;]*m", "", x)) for x in result.stdout.splitlines()]
        assert max(plain) <= width


def test_columns_are_chosen() -> None:
    """--columns names what is printed besides; an unknown name is refused with the known ones."""
    header = run("rank", SMALL, "--top", "1", "--columns", "tile,bound").stdout.splitlines()[0]
    assert header.split() == ["rank", "embedding", "cycles", "speedup", "tile", "bound"]
    result = run("rank", SMALL, "--columns", "colour")
    assert result.exit_code == 2
    assert "colour" in result.stderr
    assert "footprint" in result.stderr
