"""What README.md shows is what the commands print."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from explorer.cli import COMMANDS, GROUPS, app

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
SESSIONS = re.findall(r"```console\n\$ explorer (.*)\n((?:.*\n)*?)```", README)
SCRIPTS = re.findall(r"```sh\n((?:.*\n)*?)```", README)


@pytest.mark.slow
@pytest.mark.parametrize(("command", "shown"), SESSIONS)
def test_sessions_are_real(command: str, shown: str) -> None:
    """Each line that is shown begins like one that is printed; ``…`` stands for the rest."""
    result = CliRunner().invoke(app, shlex.split(command))
    assert result.exit_code == 0, result.output
    for line in shown.splitlines():
        assert result.output.startswith(line.removesuffix("…")) or (
            "\n" + line.removesuffix("…") in result.output
        ), line


def test_every_command_is_shown() -> None:
    """Each command stands in some script, and scripts name no command that there is not."""
    named = {
        words[1]
        for script in SCRIPTS
        for line in script.splitlines()
        if (words := shlex.split(line, comments=True))[:1] == ["explorer"]
    }
    prose = set(re.findall(r"`explorer ([a-z][a-z-]*)", README))
    known = {*COMMANDS, *GROUPS}
    assert named | prose >= known - {"facts"}
    assert named | prose <= known
