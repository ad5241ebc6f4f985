"""Programs in folders: run, check and list them, whoever wrote them."""

from __future__ import annotations

from pathlib import Path

from explorer.api.arguments import ConfigLike, config_of
from isa.folder import read, stored_instructions
from isa.listing import listing
from simulator import folder_run as folders
from simulator.implementations import Implementation
from simulator.interleaving import Interleaving
from simulator.lint import PORTABLE, Finding
from simulator.lint import lint as lint_program


def run(
    path: str | Path,
    config: ConfigLike | None = None,
    *,
    schedule: str = "program",
    implementation: str | None = None,
) -> folders.Run:
    """Execute and time the program in a folder; see ``explorer run --help``.

    It is executed as the implementation (``fsim``, ``hls`` or ``chisel``), or as each that the
    configuration admits.

    Raises:
        InputError: the folder holds no program, or there is no such implementation, or not for the
            configuration.
        simulator.errors.SimulationError: no execution comes to its end.
    """
    order = Interleaving.parse(schedule)
    chosen = None if implementation is None else Implementation.parse(implementation)
    folder = read(Path(path), None if config is None else config_of(config))
    return folders.run(folder, order, chosen)


def lint(
    path: str | Path,
    config: ConfigLike | None = None,
    *,
    target: str = PORTABLE,
    safe_distance: int = 1,
) -> list[Finding]:
    """What keeps the program in a folder from running everywhere; see `simulator.lint.lint`.

    Raises:
        InputError: the folder holds no program, or there is no such target.
    """
    folder = read(Path(path), None if config is None else config_of(config))
    return lint_program(folder.program, folder.inputs, target=target, safe_distance=safe_distance)


def disasm(path: str | Path, config: ConfigLike | None = None) -> str:
    """The listing of a file of instructions, or of a folder's program.

    Raises:
        InputError: the path holds no program.
    """
    _, table, uops = stored_instructions(Path(path), None if config is None else config_of(config))
    return listing(table, uops)
