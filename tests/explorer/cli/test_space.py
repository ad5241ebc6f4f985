"""The commands on the space of embeddings, as a user types them."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner, Result

from explorer.cli import app

SMALL = "conv1d:n=1,c=4,w=8,k=4,s=3"
PAIR = """\
name: pair
axes: {x: 2, z: 2}
in0: {name: a, index: [x, z]}
in1: {name: b, index: [z]}
out: {name: c, index: [x]}
"""


def run(*arguments: str) -> Result:
    """One command."""
    return CliRunner().invoke(app, list(arguments))


def table(path: Path, *arguments: str) -> pd.DataFrame:
    """The table that a command writes."""
    result = run(*arguments, "--out", str(path))
    assert result.exit_code == 0, result.output
    return pd.read_csv(path)


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """Where a table goes."""
    return tmp_path / "table.csv"


def test_enumerate_on_a_shipped_instruction(out: Path) -> None:
    """A short name is enough; utilisation and layouts stand in the table."""
    frame = table(out, "enumerate", SMALL, "--intrinsic", "m16n16k16", "--layouts")
    row = frame.set_index("embedding").loc["x=ow:6/y=oc:4/z=ic:4,kw:3"]
    assert row["steps"] == 1
    assert row["utilisation"] == pytest.approx(6 * 4 * 4 * 3 / 16**3)
    assert row["d"] == "NCW16w16c"


def test_execute_on_a_users_instruction(tmp_path: Path, out: Path) -> None:
    """Any legal id runs on an instruction from a file, once for each way to pack."""
    path = tmp_path / "pair.yaml"
    path.write_text(PAIR, encoding="utf-8")
    listed = table(out, "enumerate", SMALL, "--intrinsic", str(path), "--classes", "all")
    ids = listed["embedding"].tolist()
    frame = table(out, "execute", SMALL, *ids, "--intrinsic", str(path))
    assert set(frame["verdict"]) == {"exact"}
    assert set(frame["embedding"]) == set(ids)
    assert frame["b"].str.contains("halo").any()


def test_show_draws_the_lanes_of_a_step() -> None:
    """On any instruction: digits, layouts and a picture; a step that is not there is refused."""
    arguments = ("show", SMALL, "y=ow:4/z=ic:4", "--intrinsic", "sdot")
    text = run(*arguments, "--step", "1").stdout
    for part in ("Packed data on port vn", "Lanes in step 1", "16 of 16 lanes work"):
        assert part in text
    refused = run(*arguments, "--step", "100")
    assert refused.exit_code == 2
    assert "--step: 100" in refused.output


@pytest.mark.parametrize("encoding", ["scalar", "unstructured"])
def test_enumerate_by_the_definition(encoding: str, tmp_path: Path, out: Path) -> None:
    """Small operators can be enumerated node by node; larger ones are refused with the limit."""
    path = tmp_path / "pair.yaml"
    path.write_text(PAIR, encoding="utf-8")
    options = ("--intrinsic", str(path), "--encoding", encoding)
    found = table(out, "enumerate", "gemm:m=2,n=1,k=2", *options)
    if encoding == "scalar":
        plain = table(out, "enumerate", "gemm:m=2,n=1,k=2", *options[:2], "--all-tiles")
        assert found["embedding"].tolist() == plain["embedding"].tolist()
    else:
        assert found["lane:node"].is_unique
        assert "0:0 1:1 2:2 3:3" in set(found["lane:node"])
    refused = run("enumerate", "gemm:m=64,n=64,k=64", *options)
    assert refused.exit_code == 2
    assert "64 * 64 * 64" in refused.output
    assert "at most" in refused.output
    assert "scalar(in0,0,0)." in run("facts", "gemm:m=2,n=1,k=2", *options).stdout


def test_orders_are_choices(out: Path) -> None:
    """With all orders there are more embeddings, as many as are counted, and ids are legal."""
    classes = ("--classes", "padded,strided,multi,swapped")
    options = (*classes, "--lane-orders", "all", "--outer-orders", "all")
    one = table(out, "enumerate", SMALL, *classes)
    every = table(out, "enumerate", SMALL, *options)
    assert len(every) > len(one)
    assert every["embedding"].is_unique
    counted = table(out, "count", SMALL, *options).set_index("class")["embeddings"]
    assert counted["total"] == len(every)
    ids = every["embedding"].tolist()
    assert table(out, "execute", SMALL, ids[0], ids[-1])["wrong"].sum() == 0


def test_count(out: Path) -> None:
    """Numbers of each class and in total; of mappings, those of each binding."""
    frame = table(out, "count", SMALL, "--classes", "all").set_index("class")
    assert frame.loc["total", "embeddings"] == len(
        table(out, "enumerate", SMALL, "--classes", "all")
    )
    options = ("--fused-mappings", "--intrinsic", "m16n16k16")
    mappings = table(out, "count", "conv2d:n=2,c=3,h=8,w=8,k=4,r=3,s=3", *options)
    assert mappings.set_index("binding")["mappings"].to_dict() == {"straight": 49, "swapped": 49}


def test_unusable_instructions_are_refused() -> None:
    """A name that does not ship is answered with the ones that do."""
    refused = run("enumerate", SMALL, "--intrinsic", "m16n16k8")
    assert refused.exit_code == 2
    assert "nvidia_m16n16k16" in refused.output
