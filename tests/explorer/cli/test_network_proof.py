"""Plans over all embeddings on the command line, shared by two processes, and interrupted."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from explorer.network.proof.certificate import read

STAYS = """
import threading
import explorer.cli.network_proof as proof
from explorer.__main__ import main
said = proof._said
def stay(known):
    said(known)
    print("now", flush=True)
    threading.Event().wait()
proof._said = stay
main()
"""
"""The command, which stays where it is once the first round has been told."""


def test_interrupted_with_two_processes(root: Path, tmp_path: Path) -> None:
    """Ctrl-C shows the best plan and the bound reached, and whole files, and leaves with 130."""
    claim, table = tmp_path / "claim.json", tmp_path / "plan.csv"
    asked = ["network", "plan", "docs/small_network.yaml", "--config=b2", "--transitions=stored"]
    asked += ["--over=all", "--jobs=2", f"--certificate={claim}", f"--out={table}"]
    process = subprocess.Popen(
        [sys.executable, "-c", STAYS, *asked],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=root,
        env=os.environ | {"PYTHONPATH": str(root)},
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "now\n"
    process.send_signal(signal.SIGINT)
    output, error = process.communicate()
    said = " ".join((output + error).split())
    assert process.returncode == 130, said
    assert "Traceback" not in said
    assert "interrupted: the best plan so far" in said
    found = read(claim)
    assert not found.proven
    assert 0 < found.bound < found.cycles
    assert f"no plan has fewer than {found.bound:,} cycles" in said
    assert table.read_text(encoding="utf-8").startswith("node,candidate,cycles")
    assert sorted(tmp_path.iterdir()) == [claim, table]
