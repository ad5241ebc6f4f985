"""The workloads that ship, and what a command line argument resolves to."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest
from typer.testing import CliRunner

from explorer.cli import app
from explorer.operators import catalogue, resolve
from explorer.operators import constructors as build
from explorer.operators.validate import check
from isa.errors import InputError


def test_counts() -> None:
    """DeepBench's inference kernels are there, each recurrent layer as two products."""
    references = [entry.reference for entry in catalogue()]
    assert len(set(references)) == len(references)
    inputs = [r for r in references if r.endswith("/input")]
    groups = Counter(r.partition("/")[0] for r in references if r not in inputs)
    convolutions = {"deepbench:conv": 118, "deepbench:gemm": 88, "deepbench:rnn": 72}
    assert groups == convolutions | {f"resnet18:C{i}": 1 for i in range(1, 12)}
    assert len(inputs) == 72


def test_every_workload_builds() -> None:
    """Every reference resolves to an operator that bears its name and can be embedded."""
    for entry in catalogue():
        operator = resolve(entry.reference)
        check(operator.computation, entry.reference)
        assert operator.name == entry.reference
        assert operator.kind == entry.kind
        assert operator.computation.macs == entry.macs
        assert operator.computation.out.size == entry.out


def test_output_extents_of_resnet() -> None:
    """The layers of ResNet-18 fit together, and the first is the 7x7 stem."""
    stem = build.conv2d(n=1, c=3, h=224, w=224, k=64, r=7, s=7, pad=3, stride=2)
    assert resolve("resnet18:C1").computation == stem.computation
    sizes = [entry.dims.split()[2] for entry in catalogue("resnet18")]
    assert sizes == [f"oh={n}" for n in (112, 56, 28, 28, 28, 14, 14, 14, 7, 7, 7)]


def test_gemm_has_the_weights_constant() -> None:
    """DeepBench's A, the weights, is the operator's second input."""
    operator = resolve("deepbench:gemm/server/m5124_n700_k2048_nn")
    assert operator.computation == build.gemm(m=700, n=5124, k=2048).computation
    assert operator.computation.in1.shape == (5124, 2048)


def test_recurrent_layers() -> None:
    """A cell's gates are stacked; the input product covers all time steps."""
    step = resolve("deepbench:rnn/server/lstm_h512_b2_t25").computation
    assert step == build.gemm(m=2, n=4 * 512, k=512).computation
    inputs = resolve("deepbench:rnn/server/lstm_h512_b2_t25/input").computation
    assert inputs == build.gemm(m=50, n=4 * 512, k=512).computation
    gru = resolve("deepbench:rnn/gru_h2816_b1_t187").computation
    assert gru == build.gemm(m=1, n=3 * 2816, k=2816).computation
    vanilla = resolve("deepbench:rnn/device/vanilla_h32_b1_t672/input").computation
    assert vanilla == build.gemm(m=672, n=32, k=32).computation


def test_set_may_be_left_out() -> None:
    """A name in one set needs no set; a name in both is an error that lists the two."""
    name = "n1_c1_h161_w700_k32_r5_s20_p0x0_st2x2"
    assert resolve(f"deepbench:conv/{name}").name == f"deepbench:conv/server/{name}"
    name = "n1_c64_h112_w112_k64_r1_s1_p0x0_st1x1"
    with pytest.raises(InputError) as error:
        resolve(f"deepbench:conv/{name}")
    for group in ("server", "device"):
        assert f"deepbench:conv/{group}/{name}" in str(error.value)


def test_other_forms(tmp_path: Path) -> None:
    """An argument may also be a file, by suffix or because it exists, or an inline operator."""
    gemm = build.gemm(m=1, n=2, k=3)
    assert resolve("gemm:m=1,n=2,k=3") == gemm
    for name in ("small.yaml", "small.yml", "small"):
        path = tmp_path / name
        path.write_text("{kind: gemm, m: 1, n: 2, k: 3}", encoding="utf-8")
        assert resolve(str(path)) == gemm


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("resnet18:C22", ["C22", "resnet18:C2"]),
        ("resnet18", ["missing", "resnet18:C1"]),
        ("deepbench:conv/server/n1_c1", ["n1_c1", "deepbench:conv/server/n", "explorer operators"]),
        ("deepbench:nothing", ["nothing", "deepbench:conv"]),
        ("resnet:C2", ["resnet", "did you mean 'resnet18'"]),
        ("con2d:n=1", ["con2d", "did you mean 'conv2d'", "YAML"]),
        ("missing.yaml", ["missing.yaml: missing", "file"]),
        ("", ["YAML", "gemm"]),
        ("x" * 5000, ["YAML", "gemm"]),
    ],
)
def test_errors(text: str, parts: list[str]) -> None:
    """What resolves to nothing is an error that says what is near."""
    with pytest.raises(InputError) as error:
        resolve(text)
    for part in parts:
        assert part in str(error.value)


def test_catalogue_of_a_part() -> None:
    """Part of the catalogue is chosen by the beginning of the references."""
    assert len(list(catalogue("deepbench:conv/device"))) == 15
    assert len(list(catalogue("deepbench:gemm/"))) == 88
    assert [entry.reference for entry in catalogue("resnet18:C2")] == ["resnet18:C2"]
    with pytest.raises(InputError, match="did you mean 'deepbench:conv'"):
        catalogue("deepbench:con")


def test_command() -> None:
    """The command prints a table, or a list of objects."""
    runner = CliRunner(env={"COLUMNS": "120"})
    lines = runner.invoke(app, ["operators", "resnet18"]).stdout.splitlines()
    assert len(lines) == 12
    assert "resnet18:C2" in lines[2]
    assert "115605504" in lines[2]
    records = json.loads(CliRunner().invoke(app, ["operators", "resnet18", "--json"]).stdout)
    assert [record["reference"] for record in records] == [f"resnet18:C{i}" for i in range(1, 12)]
    assert records[1]["macs"] == 115605504
