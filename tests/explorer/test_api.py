"""The Python API: it takes what the command line takes, and its results show themselves."""

from __future__ import annotations

import inspect
import json
import subprocess
import sys
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import explorer
from explorer.api.networks import Planning
from explorer.cli import GROUPS
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


@pytest.mark.parametrize("name", ["top", "effort"])
def test_numbers_below_one_are_refused(name: str) -> None:
    """A ranking of fewer than one embedding or program is told by the argument's name."""
    numbers: dict[str, Any] = {name: 0}
    with pytest.raises(InputError, match=f"{name}: 0 is not allowed"):
        explorer.rank("gemm:m=1,n=3,k=2", **numbers)


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
    kept = tmp_path / "kept"
    small = Planning(count=1, effort=1, classes="padded", transitions="stored", jobs=1, store=kept)
    result = explorer.network_verify(path, **small)
    assert result.right
    assert result.exact
    made = explorer.network_emit(path, tmp_path / "net", target="hls", **small)
    assert all(len(segment.nodes) == 1 for segment in made.segments)
    assert (kept / "store.json").is_file()
    steps = explorer.network_timeline(tmp_path / "net", host_cycles_per_byte="0.5")
    trace = json.loads(explorer.network_trace(tmp_path / "net", host_cycles_per_byte="1/2"))
    assert trace["otherData"]["cycles"] == steps["cycles"].sum()
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
def test_users_type_checkers_see_the_types(tmp_path: Path, root: Path, cache: pytest.Cache) -> None:
    """mypy, strict, knows what the API returns, and finds a wrong use of it."""
    for package in ("explorer", "isa", "simulator"):
        assert (root / package / "py.typed").is_file()
    path = tmp_path / "use.py"
    path.write_text(
        "import explorer\n"
        "cycles: int | None = explorer.rank('gemm:m=1,n=1,k=1').evaluations[0].cycles\n"
        "wrong: str = explorer.verify('gemm:m=1,n=1,k=1', 'reference').exact\n"
    )
    # Libraries are read once: mypy looks whether they, or this package, have changed since.
    kept = f"--cache-dir={cache.mkdir('mypy')}"
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", kept, str(path)],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "use.py:3: error: Incompatible types" in done.stdout, done.stdout
    assert "Found 1 error" in done.stdout


def test_plan_of_a_network(root: Path, tmp_path: Path) -> None:
    """A plan is asked for as on the command line, has its table, and says why it is as it is."""
    small = partial(
        explorer.network_plan,
        root / "docs" / "small_network.yaml",
        "b2",
        transitions="stored",
        count=2,
        effort=2,
        jobs=1,
        store=tmp_path / "kept",
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
    network, kept = root / "docs" / "small_network.yaml", tmp_path / "kept"
    drawn = explorer.network_map(
        network, tmp_path / "map.html", "b2", count=2, effort=2, jobs=1, store=kept
    )
    assert drawn.network.name in (tmp_path / "map.html").read_text(encoding="utf-8")
    with pytest.raises(InputError, match=r"--require: 'memory<=1'"):
        explorer.network_map(
            network, tmp_path / "none.html", "b2", count=2, effort=2, jobs=1, store=kept,
            require="memory<=1",
        )  # fmt: skip
    assert not (tmp_path / "none.html").exists()


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"require": "host-copy<=2"}, "host-copy"),
        ({"count": 0}, "count: 0"),
        ({"effort": 0}, "effort: 0"),
        ({"jobs": 0}, "jobs: 0"),
        ({"time_limit": 0.5}, "time_limit"),
        ({"over": "some"}, "over: 'some'"),
        ({"pareto": ""}, "pareto"),
        ({"host_cycles_per_byte": -1}, "host_cycles_per_byte"),
        ({"host_cycles_per_call": -1}, "host_cycles_per_call"),
        ({"store": __file__}, "no directory"),
        ({"rules": [__file__]}, "test_api.py"),
        ({"certificate": "a.json"}, "only with"),
        ({"candidate_cycles": "a.csv", "effort": 1}, "evaluates nothing"),
        ({"over": "all", "transitions": "stored", "dask": "local:2"}, "dask"),
        ({"over": "all", "transitions": "stored", "certificate": "no/such.json"}, "certificate"),
        ({"on_host": "nosuch"}, "on_host"),
        ({"pin": "nosuch=x"}, "pin"),
    ],
)
def test_wrong_arguments_of_plans(
    asked: dict[str, Any], told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the command refuses the function refuses, before any candidate is evaluated."""
    monkeypatch.setattr("explorer.api.networks.candidates", None)
    with pytest.raises(InputError, match=told):
        explorer.network_plan("resnet18", **asked)


def test_wrong_arguments_of_programs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """So it is where programs are made of the plan; nothing is written."""
    monkeypatch.setattr("explorer.api.networks.candidates", None)
    for asked in (Planning(transitions="trial"), Planning(store=__file__)):
        with pytest.raises(InputError, match=r"trial|no directory"):
            explorer.network_verify("resnet18", **asked)
        with pytest.raises(InputError, match=r"trial|no directory"):
            explorer.network_emit("resnet18", tmp_path / "net", **asked)
    with pytest.raises(InputError, match="no directory"):
        explorer.network_map("resnet18", tmp_path / "map.html", store=__file__)
    assert not list(tmp_path.iterdir())


SHOWN = {"output", "timeline", "trace", "as_json", "quiet"}
"""Options that say where and how a command shows its result, which a function returns."""


@pytest.mark.parametrize(
    ("command", "functions", "besides"),
    [
        ("plan", ["network_plan"], set()),
        # What is asked of the plan is asked where it is made.
        ("why", ["network_why", "network_plan"], {"plan"}),
        ("map", ["network_map"], set()),
        ("emit", ["network_emit"], set()),
        ("verify", ["network_verify"], set()),
        ("run", ["network_run", "network_timeline", "network_trace"], {"out"}),
    ],
)
def test_networks_as_on_the_command_line(
    command: str, functions: list[str], besides: set[str]
) -> None:
    """Every option of a command is an argument of its function, of the same default."""
    shown = inspect.signature(GROUPS["network"].commands[command].load()).parameters
    options = {name: p.default for name, p in shown.items() if name not in SHOWN | besides}
    taken = dict[str, Any]()
    for name in functions:
        own = inspect.signature(getattr(explorer, name)).parameters
        taken |= {p.name: p.default for p in own.values() if p.name not in besides}
        if "planning" in own:
            every = inspect.signature(explorer.network_plan).parameters
            taken |= {n: every[n].default for n in Planning.__annotations__}
    for name, default in options.items():
        assert name in taken, f"--{name}"
        assert said(taken[name]) == said(default), name
    # And the other way round, but for what `network why` has no options for.
    assert command == "why" or taken.keys() - {"planning"} == options.keys()


def said(default: Any) -> object:
    """A default as the command line says it: nothing where there is none."""
    if default is inspect.Parameter.empty or default in (None, "", (), []):
        return None
    return str(default)
