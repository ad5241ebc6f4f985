"""Running a network's folder, which anybody may have written: what fails is said in one line."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from explorer.deployment.execution import execute
from explorer.deployment.host import library
from explorer.deployment.image import Deployment
from explorer.network.size import check_run
from isa.errors import InputError
from isa.files import parsing
from simulator.errors import SimulationError
from simulator.implementations import Implementation
from simulator.interleaving import PROGRAM, Interleaving

ALLOWED = "must be a network's folder whose steps can be taken in their order"


def run(
    path: Path,
    deployment: Deployment,
    given: Mapping[str, NDArray[Any]],
    *,
    implementation: Implementation = Implementation.FSIM,
    interleaving: Interleaving = PROGRAM,
) -> dict[str, NDArray[Any]]:
    """All tensors that the host has seen, by name; see `explorer.deployment.execution.execute`.

    Raises:
        InputError: its tensors do not fit into the memory that is free, a segment does not come to
            its end, or a step cannot be taken.
    """
    check_run(deployment.network)
    host = library(deployment)
    with parsing(str(path), ALLOWED):
        try:
            found = execute(
                deployment, given, host, implementation=implementation, interleaving=interleaving
            )
        except SimulationError as error:
            raise InputError(str(path), "segments", error.instruction, str(error)) from None
    for name in deployment.network.outputs:
        if name not in found:
            raise InputError(str(path), f"outputs.{name}", None, ALLOWED)
    return found
