"""The Python API: it takes what the command line takes, and its results show themselves."""

from __future__ import annotations

import subprocess
import sys
from functools import partial
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest

import explorer
from explorer.api.deployments import Planning
from explorer.embedding.facts import CLASSES
from isa.errors import InputError
from tests.explorer.deployment.small import block

SMALL = "conv2d:n=1,c=3,h=6,w=6,k=16,r=3,s=3,pad=1"


def test_classes_are_texts_or_names() -> None:
    """A text of classes means what it means on the command line, and not its letters."""
    every = explorer.enumerate(SMALL, classes="all")
    assert every == explorer.enumerate(SMALL, classes=tuple(CLASSES))
    assert explorer.enumerate(SMALL, classes="padded,multi") == explorer.enumerate(
        SMALL, classes=["padded", "multi"]
    )
    assert explorer.count(SMALL, classes="all").total == len(every)
    assert explorer.why(SMALL, "y=oc:16", classes="padded").legal
    with pytest.raises(InputError, match="paded"):
        explorer.count(SMALL, classes="paded")


def test_requirements_are_one_text_or_several() -> None:
    """A requirement may stand alone, and in the form of a sweep's condition."""
    several = explorer.optimize(SMALL, require=["no-im2col", "max-footprint=100k"])
    assert (
        explorer.optimize(SMALL, require="no-im2col,max-footprint=100k")
        .frame()
        .equals(several.frame())
    )
    compared = explorer.optimize(SMALL, require="no-im2col,footprint <= 100k")
    assert compared.frame().equals(several.frame())


def test_rankings_show_themselves() -> None:
    """A ranking prints as a table of at most ten rows, and as one of HTML in a notebook."""
    ranking = explorer.rank(SMALL, top=12, jobs=1)
    lines = repr(ranking).splitlines()
    assert lines[0] == f"{ranking.operator.name} on default"
    assert lines[1].split() == ["rank", "embedding", "cycles", "speedup", "utilisation"]
    assert len(lines) == 13
    assert lines[-1] == "… of 12"
    html = ranking._repr_html_()
    assert html.count("<tr") == 11
    assert ranking.evaluations[0].embedding.id in html


def test_ranking_takes_every_class_and_a_share() -> None:
    """Rank uses all classes unless told otherwise; `within` is a number or a text."""
    small = "gemm:m=4,n=24,k=24"
    every = explorer.rank(small, top=1, jobs=1)
    among = explorer.rank(small, classes="all", top=1, jobs=1)
    assert every.evaluations[0].embedding == among.evaluations[0].embedding
    assert every.total in (None, len(explorer.enumerate(small, classes="all")))
    loose = [explorer.rank(small, top=1, jobs=1, within=share) for share in (0.5, "50%")]
    ids = [[found.embedding.id for found in ranking.evaluations] for ranking in loose]
    assert ids[0] == ids[1]


def test_show_template_and_bench() -> None:
    """The remaining commands as functions."""
    assert explorer.show(SMALL, "reference").startswith("y=oc:16/z=ic:3  of conv2d")
    knobs = explorer.template(SMALL)
    given = ",".join(f"{name}={knobs[name]}" for name in ("th", "tw", "tci", "tco", "h_nthread"))
    assert explorer.template(SMALL, tiling=given)["gemm"] == knobs["gemm"]
    frame = explorer.bench([SMALL], classes="padded,multi", verify=True)
    assert frame["layer"].tolist() == [explorer.rank(SMALL, top=1, jobs=1).operator.name]
    assert frame["exact"].all()


def test_version() -> None:
    """The package says which version it is."""
    assert explorer.__version__ == version("vta-explorer")


def test_programs_of_a_network(tmp_path: Path) -> None:
    """A network is verified, written and run; the outputs are the model's; bad data is told."""
    found, path = block(tmp_path / "block.onnx"), tmp_path / "block.onnx"
    small = Planning(count=1, effort=1, classes="padded", transitions="stored")
    result = explorer.network_verify(path, **small)
    assert result.right
    assert result.exact
    made = explorer.network_emit(path, tmp_path / "net", target="hls", **small)
    assert all(len(segment.nodes) == 1 for segment in made.segments)
    given = found.inputs()
    outputs = explorer.network_run(tmp_path / "net", given)
    wanted = found.original(given)
    assert outputs.keys() == wanted.keys()
    assert all(np.array_equal(outputs[name], array) for name, array in wanted.items())
    (name,) = given
    for data, told in (
        ({}, name),
        ({name: given[name][:, :, 1:]}, "an array of"),
        ({**given, "other": given[name]}, "other"),
    ):
        with pytest.raises(InputError, match=told):
            explorer.network_run(tmp_path / "net", data)


@pytest.mark.slow
def test_users_type_checkers_see_the_types(tmp_path: Path, root: Path) -> None:
    """mypy, strict, knows what the API returns, and finds a wrong use of it."""
    for package in ("explorer", "isa", "simulator"):
        assert (root / package / "py.typed").is_file()
    path = tmp_path / "use.py"
    path.write_text(
        "import explorer\n"
        "cycles: int | None = explorer.rank('gemm:m=1,n=1,k=1').evaluations[0].cycles\n"
        "wrong: str = explorer.verify('gemm:m=1,n=1,k=1', 'reference').exact\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", str(path)],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "use.py:3: error: Incompatible types" in done.stdout, done.stdout
    assert "Found 1 error" in done.stdout


def test_plan_of_a_network(root: Path) -> None:
    """A plan is asked for as on the command line, has its table, and says why it is as it is."""
    small = partial(
        explorer.network_plan,
        root / "docs" / "small_network.yaml",
        "b2",
        transitions="stored",
        count=2,
        effort=2,
    )
    plan = small()
    table = plan.frame()
    best = plan.planned.plans[0]
    assert list(table["node"]) == list(best.choices)
    assert table["cycles"].sum() + table["transitions"].sum() == best.cost.cycles
    told = explorer.network_why(plan, "conv1")
    assert told is not None
    assert told.lines()
    front = small(pareto="cycles,host-bytes")
    assert len(front.frame()) == len(front.planned.plans)
    with pytest.raises(InputError, match="host-copy"):
        explorer.network_plan("resnet18", require="host-copy<=2")
