"""Study files: what they may say, and what is wrong in them."""

from __future__ import annotations

from pathlib import Path

import pytest

from explorer.embedding.facts import CLASSES
from explorer.network.shipped import shipped
from explorer.study import cost
from explorer.study.parameters import Grid
from explorer.study.study import Study, is_study, load, make, parse_workload
from explorer.study.unit import Options
from isa.config import Config
from isa.errors import InputError

SMALL = """
name: small
workloads:
  - gemm:m=4,n=16,k=16
  - {operator: "gemm:m=4,n=16,k=32", repeat: 3}
  - 2*gemm:m=4,n=16,k=16
vary:
  LOG_BLOCK: 3..5
  BUS_BITS: [64, 128]
  LOG_ACC_BUFF_SIZE: 15
constraints: [mac_units <= 256, "LOG_BLOCK_IN + LOG_BLOCK_OUT > 6 or BUS_BITS == 64"]
"""


def written(tmp_path: Path, text: str) -> Study:
    """The study of a text."""
    path = tmp_path / "study.yaml"
    path.write_text(text)
    return load(path)


def test_grid_and_constraints(tmp_path: Path) -> None:
    """Ranges, lists and single values make a grid, of which conditions leave a part."""
    study = written(tmp_path, SMALL)
    shown = [(p["LOG_BLOCK_IN"], p["BUS_BITS"]) for p in study.points()]
    assert shown == [(3, 64), (4, 64), (4, 128)]
    assert {p["LOG_ACC_BUFF_SIZE"] for p in study.points()} == {15}


def test_layers_add_up(tmp_path: Path) -> None:
    """A layer that is named twice runs as often as both say, and is one unit a configuration."""
    study = written(tmp_path, SMALL)
    repeats = {layer.operator.name: repeat for layer, repeat in study.layers}
    assert repeats == {"gemm:m=4,n=16,k=16": 3, "gemm:m=4,n=16,k=32": 3}
    assert len(list(study.units("m"))) == 6
    assert len({unit.key for unit in study.units("m")}) == 6


def test_same_layer_under_two_names(tmp_path: Path) -> None:
    """Two names of one computation are two rows of the workload, and one unit."""
    for name in ("first", "second"):
        text = f"name: {name}\nkind: gemm\nm: 4\nn: 16\nk: 16\n"
        (tmp_path / f"{name}.yaml").write_text(text)
    study = written(tmp_path, "name: s\nworkloads: [first.yaml, second.yaml]\n")
    assert [n.operator for n in study.named_layers()] == ["first", "second"]
    assert len(list(study.units("m"))) == 1


def test_two_layers_under_one_name(tmp_path: Path) -> None:
    """Files that call different computations the same are different layers, each with its work."""
    for m in (4, 8):
        (tmp_path / f"m{m}.yaml").write_text(f"name: same\nkind: gemm\nm: {m}\nn: 16\nk: 16\n")
    study = written(tmp_path, "name: s\nworkloads: [m4.yaml, m8.yaml, 2*m4.yaml]\n")
    assert [(n.operator, n.repeat, n.macs) for n in study.named_layers()] == [
        ("same", 3, 4 * 16 * 16),
        ("same", 1, 8 * 16 * 16),
    ]
    assert len(list(study.units("m"))) == 2


def test_suites(tmp_path: Path) -> None:
    """The beginning of a reference stands for all that begin so."""
    study = written(tmp_path, "name: s\nworkloads: ['2*deepbench:conv/device']\n")
    assert len(study.layers) == 15
    assert {repeat for _, repeat in study.layers} == {2}


def test_networks(tmp_path: Path, root: Path) -> None:
    """A network is its products, each as often as it occurs, alone or beside other operators."""
    grid, options = Grid(Config.load("default"), {}), Options(tuple(CLASSES), cost.load(None))
    layers = make("nets", [("network:resnet18", 2)], grid, options).layers
    times = {layer.operator.name: n for layer, n in layers}
    assert times["resnet18:layer1.0.conv1"] == 2 * 2
    assert sum(times.values()) == 2 * len(shipped("resnet18").accelerated)
    path = root / "docs" / "small_network.yaml"
    beside = tmp_path / "net.yaml"
    beside.write_text(path.read_text(encoding="utf-8"), encoding="utf-8")
    study = written(tmp_path, SMALL.replace("workloads:", "workloads:\n  - network:net.yaml", 1))
    assert "small_network:conv2" in {layer.operator.name for layer, _ in study.layers}
    assert not is_study(f"network:{beside}")
    with pytest.raises(InputError, match="did you mean 'resnet18'"):
        make("nets", [("network:resnet19", 1)], grid, options)


def test_files_beside_the_study(tmp_path: Path) -> None:
    """Configurations and cost tables are found beside the study file."""
    (tmp_path / "costs.yaml").write_text("name: [")
    with pytest.raises(InputError, match=rf"{tmp_path}/costs\.yaml"):
        written(tmp_path, "name: s\nworkloads: [resnet18:C2]\ncosts: costs.yaml\n")


def test_options(tmp_path: Path) -> None:
    """What a unit is judged by comes from the file; how many candidates depends on it."""
    more = "objectives: [cycles, energy]\nclasses: [all]\neffort: null\n"
    study = written(tmp_path, SMALL + more)
    assert study.options.objectives == ("cycles", "energy")
    assert study.options.classes == tuple(CLASSES)
    assert (study.options.effort, study.options.candidates) == (None, 10)
    assert written(tmp_path, SMALL).options.candidates == 1
    assert written(tmp_path, SMALL + "requirements: [steps < 9]").options.candidates is None


def test_shipped_study(root: Path) -> None:
    """The study that ships has over 200 configurations, each for all 15 device convolutions."""
    study = load(root / "studies" / "vta_deepbench.yaml")
    assert len(list(study.points())) >= 200
    assert len(study.layers) == 15


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("vary:", "varry:", r"varry: .*no such key; the keys here are name, workloads"),
        ("repeat: 3", "repeats: 3", r"workloads.1: repeat.*no such key"),
        ("repeat: 3", "repeat: 0", r"workloads.1: repeat: 0 .*greater"),
        ("LOG_BLOCK: 3..5", "LOG_BLOCK: []", "vary: LOG_BLOCK: .*the grid is empty"),
        ("LOG_BLOCK: 3..5", "LOG_BLOCK: 5..3", "vary: LOG_BLOCK: '5..3'.*the grid is empty"),
        ("LOG_BLOCK: 3..5", "LOG_BLOCK: [a]", r"vary.LOG_BLOCK: 'a'"),
        ("LOG_BLOCK: 3..5", "LOG_BLOCKS: 3..5", "the parameters are LOG_BLOCK, LOG_BATCH"),
        ("mac_units <= 256", "mac_units < 1", "the grid is empty: no configuration meets"),
        ("mac_units <= 256", "lanes <= 256", "no such name; .*mac_units"),
        ("mac_units <= 256", "mac_units <=", "a condition holds"),
        ("name: small", "name: small\nobjectives: [speed]", "objectives: 'speed'.*cycles"),
        ("name: small", "name: small\nobjectives: []", "objectives"),
        ("name: small", "name: small\npreferences: [cycles, cycles]", "twice"),
        ("name: small", "name: small\nrequirements: ['speed > 1']", "no such name"),
        ("name: small", "name: small\nclasses: [tiled]", "classes: 'tiled'"),
        ("name: small", "name: ../small", "name"),
        ("name: small", "name: small\nconfigurations: [{LOG_BLOCK: 99}]", "configurations.0"),
        ("gemm:m=4,n=16,k=32", "gem:m=4", "did you mean 'gemm'"),
        ("  - gemm:m=4,n=16,k=16", "  - 7", "workloads.0: 7"),
    ],
)
def test_wrong_studies(tmp_path: Path, old: str, new: str, message: str) -> None:
    """What is wrong is named, with its place and what is allowed."""
    with pytest.raises(InputError, match=message):
        written(tmp_path, SMALL.replace(old, new, 1))


def test_what_is_a_study(tmp_path: Path) -> None:
    """A file with workloads is a study; operators, in a file or not, are none."""
    written(tmp_path, SMALL)
    assert is_study(str(tmp_path / "study.yaml"))
    (tmp_path / "operator.yaml").write_text("kind: gemm\nm: 4\nn: 4\nk: 4\n")
    assert not is_study(str(tmp_path / "operator.yaml"))
    assert not is_study("resnet18:C2")
    assert parse_workload(" 12 * resnet18:C2") == ("resnet18:C2", 12)
