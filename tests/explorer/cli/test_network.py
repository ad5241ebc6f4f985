"""The network commands: what they print and write, and what they refuse."""

from __future__ import annotations

import inspect
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from jsonschema import Draft202012Validator
from typer.testing import CliRunner

import explorer
from explorer.cli import GROUPS, app, interrupts
from explorer.network.document import load
from explorer.network.plan.network_plan import NetworkPlan
from explorer.network.shipped import shipped

COMMANDS = GROUPS["network"].commands


def run(*arguments: str) -> Any:
    """What a command prints, and how it ends."""
    return CliRunner().invoke(app, ["network", *arguments])


@pytest.mark.parametrize("name", COMMANDS)
def test_help(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The list says of a command what it says of itself, and all have the common options."""
    monkeypatch.setenv("COLUMNS", "200")
    documentation = inspect.getdoc(COMMANDS[name].load()) or ""
    assert documentation.splitlines()[0] == COMMANDS[name].summary
    shown = run(name, "--help")
    assert shown.exit_code == 0
    assert "--json" in shown.stdout
    assert "--quiet" in shown.stdout
    assert COMMANDS[name].summary in run("--help").stdout


def test_show_is_one_table() -> None:
    """A row for each node and a sentence about all."""
    done = run("show", "resnet18")
    assert done.exit_code == 0
    lines = done.stdout.splitlines()
    assert lines[0].split() == ["node", "kind", "output", "MACs", "arithmetic"]
    assert len([line for line in lines if line.startswith("layer")]) == 19
    assert "23 nodes, 21 accelerated with 1,814,073,344" in " ".join(done.stdout.split())


def test_show_json() -> None:
    """All that is known of each node, and nothing else on standard output."""
    done = run("show", "transformer", "--json")
    rows = json.loads(done.stdout)
    assert [row["node"] for row in rows] == [n.name for n in shipped("transformer").nodes]
    assert rows[3]["reads"] == ["query", "key"]
    assert {row["runs"] for row in rows} == {"accelerator", "host"}


def test_show_csv(tmp_path: Path) -> None:
    """A table in a file has the same rows."""
    path = tmp_path / "nodes.csv"
    assert run("show", "unet", "--out", str(path)).exit_code == 0
    table = pd.read_csv(path)
    assert len(table) == len(shipped("unet").nodes)
    assert table["macs"].sum() == shipped("unet").macs


@pytest.mark.parametrize("suffix", [".json", ".yaml"])
def test_import_writes_the_network(suffix: str, tmp_path: Path) -> None:
    """What is written is read as the same network, with the same bytes each time."""
    path = tmp_path / f"net{suffix}"
    assert run("import", "unet", "--concat", "host", "--out", str(path)).exit_code == 0
    assert load(path) == shipped("unet", "host")
    first = path.read_bytes()
    run("import", str(path), "--out", str(path))
    assert path.read_bytes() == first


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("show", "resnet19"), "did you mean 'resnet18'"),
        (("show", "none.yaml"), "none.yaml: missing"),
        (("show", "none.onnx"), "none.onnx: missing"),
        (("show", "resnet18", "--shape", "x=1xy"), "NAME=1x3x224x224"),
        (("show", "resnet18", "--shape", "=1"), "NAME=1x3x224x224"),
        (("show", "resnet18", "--shape", "x=0x1"), "extents are 1 or more"),
        (("show", "resnet18", "--shape", "x=1", "--shape", "x=2"), "stands twice"),
        (("show", "resnet18", "--shape", "x=1"), "those of resnet18 are known"),
        (("import", "resnet18", "--out", "net.txt"), ".yaml, .yml, .json"),
        (("import", "resnet18", "--out", "no/such/net.json"), "there is no directory no/such"),
    ],
)
def test_refused(arguments: tuple[str, ...], said: str) -> None:
    """Bad input ends with status 2 and one line that repeats it."""
    done = run(*arguments)
    assert done.exit_code == 2
    assert done.stderr.count("\n") == 1
    assert said in done.stderr


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (("plan", "resnet18", "--pin", "nosuch=reference"), "'nosuch'"),
        (("plan", "resnet18", "--pin", "fc"), "NODE=ID"),
        (("plan", "resnet18", "--pin", "fc="), "NODE=ID"),
        (("plan", "resnet18", "--pin", "conv2=reference"), "did you mean 'conv1'?"),
        (("plan", "resnet18", "--pin", "fc=reference", "--pin", "fc=x"), "fc is pinned already"),
        (("plan", "resnet18", "--over", "all", "--prefer", "memory"), "--prefer"),
        (("verify", "resnet18", "--require", "speed<=1"), "--require"),
        (("emit", "resnet18", "--prefer", "speed", "--out", "folder"), "--prefer"),
        (("map", "resnet18", "--require", "speed<=1", "--out", "map.html"), "--require"),
        (("plan", "resnet18", "--rules", "nosuch.lp"), "nosuch.lp: missing"),
        (("plan", "resnet18", "--on-host", "nosuch"), "--on-host: 'nosuch'"),
        (("plan", "resnet18", "--rules", "WRONG"), "unsafe"),
        (("plan", "resnet18", "--rules", "UNKNOWN"), "nosuch"),
        (("plan", "resnet18", "--pin", "fc=x", "--pin", "fc=y"), "pinned already"),
        (("plan", "resnet18", "--pin", "data"), "NODE=ID"),
        (("plan", "resnet18", "--store", "WRONG"), "no directory"),
        (("plan", "resnet18", "--store", "."), "an empty one, or a store"),
        (("plan", "resnet18", "--store", "WRONG/below"), "no directory"),
        (("plan", "resnet18", "--pareto", ""), "metrics are"),
        (("plan", "resnet18", "--candidate-cycles", "a.csv", "--store", "s"), "evaluates nothing"),
        (("plan", "resnet18", "--candidate-cycles", "a.csv"), "a.csv: missing"),
        (("plan", "resnet18", "--dask", "local:x"), "local:N"),
        (("plan", "resnet18", "--certificate", "a.json"), "only with --over all"),
        (("plan", "resnet18", "--over", "all"), "'repack'"),
        (("plan", "resnet18", "--over", "all", "--transitions", "copied"), "copies are of"),
        (("plan", "resnet18", "--over", "all", "--pareto", "cycles"), "--pareto"),
        (("why", "resnet18", "fc", "--candidate-cycles", "a.csv", "--effort", "1"), "--effort"),
        (("why", "resnet18", "fc", "--store", "WRONG"), "no directory"),
        (("why", "resnet18", "nosuch"), "'nosuch'"),
        (("why", "resnet18", "pool1"), "the host runs it"),
        (("map", "resnet18", "--pin", "nosuch=x", "--out", "map.html"), "'nosuch'"),
        (("map", "resnet18", "--store", "WRONG", "--out", "map.html"), "no directory"),
        (("map", "resnet18", "--out", "map.txt"), ".html"),
        (("map", "resnet18", "--rules", "WRONG", "--out", "map.html"), "unsafe"),
        (("emit", "resnet18", "--pin", "nosuch=x", "--out", "folder"), "'nosuch'"),
        (("emit", "resnet18", "--transitions", "trial", "--out", "folder"), "'trial'"),
        (("emit", "resnet18", "--store", "WRONG", "--out", "folder"), "no directory"),
        (("emit", "resnet18", "--rules", "UNKNOWN", "--out", "folder"), "nosuch"),
        (("emit", "resnet18", "--out", "WRONG"), "no folder of an emitted"),
        (("verify", "resnet18", "--transitions", "trial"), "'trial'"),
        (("verify", "resnet18", "--store", "WRONG"), "no directory"),
        (("verify", "resnet18", "--rules", "WRONG"), "unsafe"),
        (("verify", "resnet18", "--data", "no.npy"), "no.npy: missing"),
        (("verify", "resnet18", "--pin", "nosuch=x"), "'nosuch'"),
    ],
)
def test_wrong_names_are_told_at_once(
    arguments: tuple[str, ...], part: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What cannot be taken is refused before any candidate is evaluated, and nothing is written."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("explorer.cli.network_options.candidates", None)
    (tmp_path / "WRONG").write_text("sum(X) :- not choose(X, X).\n")
    (tmp_path / "UNKNOWN").write_text(":- nosuch(X).\n")
    found = run(*arguments)
    assert found.exit_code == 2
    assert part in str(found.exception) + found.output
    assert {path.name for path in tmp_path.iterdir()} == {"WRONG", "UNKNOWN"}


@pytest.mark.parametrize("kept", [False, True])
def test_interrupted_candidates(
    kept: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C while candidates are evaluated says where they are, or how they would be kept."""

    def press(*_: object, **__: object) -> None:
        interrupts._reports[-1]()
        raise KeyboardInterrupt

    monkeypatch.setattr("explorer.cli.network_options.candidates", press)
    store = tmp_path / "store"
    given = ("--store", str(store)) if kept else ()
    found = run("verify", "resnet18", "--jobs", "1", "--quiet", *given)
    assert found.exit_code == 130
    told = f"kept in {store}, and the same command goes on" if kept else "lost; with --store DIR"
    assert told in found.stderr
    assert store.exists() == kept


@pytest.mark.parametrize(
    ("command", "told"),
    [
        (("plan", "--on-host", "q"), "the host runs all nodes already"),
        (("why", "q"), "no node has a program"),
    ],
)
def test_no_empty_list_of_choices_is_offered(
    command: tuple[str, ...], told: str, tmp_path: Path
) -> None:
    """Where a network has no node to name, the message says so."""
    path = tmp_path / "host.yaml"
    path.write_text(
        "name: x\ninputs: [a]\noutputs: [b]\noperators: {}\n"
        "tensors: {a: {shape: [1]}, b: {shape: [1]}}\n"
        "nodes: [{name: q, operation: Relu, inputs: [a], outputs: [b], reason: r}]\n"
    )
    found = run(command[0], str(path), *command[1:])
    assert found.exit_code == 2
    assert told in str(found.exception) + found.output


@pytest.mark.parametrize("name", ["emit", "map"])
def test_rules_are_kept(name: str, root: Path, tmp_path: Path) -> None:
    """What is written is of a plan that keeps a user's rules; if there is none, nothing is."""
    rules, out = tmp_path / "rules.lp", tmp_path / "out.html"
    rules.write_text(':- choose("conv1", C).\n')
    words = ["--candidates", "1", "--effort", "1", "--jobs", "1", "--rules", str(rules)]
    found = run(name, "--out", str(out), str(root / "docs" / "small_network.yaml"), *words)
    assert found.exit_code == 2
    told = str(found.exception) + found.output
    assert "a rule forbids all" in told
    assert "--pin" not in told
    assert not out.exists()


def test_an_early_end_of_a_search_with_rules_is_told(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Programs of a plan that is not proven to be the best are said to be of such a one."""

    def unproven(found: NetworkPlan, **_: object) -> NetworkPlan:
        return replace(found, planned=replace(found.planned, proven=False))

    monkeypatch.setattr("explorer.cli.network_programs.simulated", unproven)
    (tmp_path / "rules.lp").write_text(':- not choose("conv1", _).\n')
    words = ["--candidates", "1", "--effort", "1", "--jobs", "1"]
    words += ["--rules", str(tmp_path / "rules.lp"), str(root / "docs" / "small_network.yaml")]
    found = run("verify", *words)
    assert found.exit_code == 0
    assert "not proven" in found.stderr


def test_over_all_embeddings(root: Path, tmp_path: Path) -> None:
    """The claim is told, and its certificate written; a search that ends early says how far off."""
    path = str(root / "docs" / "small_network.yaml")
    asked = ("plan", path, "--config=b2", "--transitions=stored", "--over=all", "--jobs=1")
    found = run(*asked, f"--certificate={tmp_path / 'claim.json'}")
    assert found.exit_code == 0, found.output
    assert "proven over the 1,200 embeddings of 2 operators" in " ".join(found.output.split())
    claim = json.loads((tmp_path / "claim.json").read_text(encoding="utf-8"))
    assert claim["proven"]
    assert claim["cycles"] == claim["bound"]
    assert set(claim["plan"]) >= {"conv1", "conv2"}
    Draft202012Validator(explorer.schema("certificate")).validate(claim)
