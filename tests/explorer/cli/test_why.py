"""The command why, as a user types it."""

from __future__ import annotations

import json

from typer.testing import CliRunner, Result

from explorer.cli import app

PRODUCT = "gemm:m=4,n=20,k=20"


def run(*arguments: str) -> Result:
    """One command."""
    return CliRunner().invoke(app, ["why", PRODUCT, *arguments])


def test_legal_and_illegal_are_told_alike() -> None:
    """Either verdict is an answer; the exit code is 1 for an illegal id."""
    legal, illegal = run("y=n:16/z=k:16"), run("z=n:4")
    assert (legal.exit_code, illegal.exit_code) == (0, 1)
    assert "is legal: no rule rejects it" in legal.output
    assert "port acc, which holds the output, has no axis z" in " ".join(illegal.output.split())


def test_no_id_at_all() -> None:
    """What is no id is bad input."""
    assert run("nonsense").exit_code == 2
    assert run("y=n:16", "--classes", "nonsense").exit_code == 2


def test_json() -> None:
    """The verdict as data."""
    found = json.loads(run("z=n:4", "--json").output)
    assert not found["legal"]
    assert found["reasons"][0]["port"] == "acc"
