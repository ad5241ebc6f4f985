"""Running a program folder: every bit of its output, and its cycles."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from isa.fields import INSTRUCTION_BYTES
from simulator.errors import SimulationError
from simulator.functional import execute
from simulator.interleaving import PROGRAM, Interleaving
from simulator.roofline import Roofline, roofline
from simulator.timing import TimingReport, simulate

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from isa.folder import Folder


@dataclass(frozen=True, slots=True, eq=False)
class Run:
    """What running a folder showed.

    Attributes:
        output: the OUT section after the run, int8, one-dimensional.
        compared: output bytes that the folder gives an expectation for.
        wrong: of those, how many differ, and `first_wrong` the index of the first.
        objection: the first thing that VTA's implementations may do differently; None if portable.
        timing: cycles and where they go.
        roofline: the position under the roofline.
    """

    output: NDArray[np.int8]
    compared: int
    wrong: int
    first_wrong: int | None
    objection: str | None
    timing: TimingReport
    roofline: Roofline

    def record(self) -> dict[str, Any]:
        """All but the output as plain data."""
        timing, roof = self.timing, self.roofline
        return {
            "verdict": self.verdict,
            "compared": self.compared,
            "wrong": self.wrong,
            "first_wrong": self.first_wrong,
            "portable": self.objection is None,
            "objection": self.objection,
            "instructions": timing.instructions,
            "cycles": timing.cycles,
            "modules": {n: asdict(getattr(timing, n)) for n in ("load", "compute", "store")},
            "read_beats": timing.read_beats,
            "bytes": timing.bytes,
            "gemm_uops": timing.gemm_uops,
            "alu_uops": timing.alu_uops,
            "roofline": asdict(roof)
            | {
                "intensity": roof.intensity,
                "attainable": roof.attainable,
                "achieved": roof.achieved,
                "limit": roof.limit,
            },
        }

    @property
    def verdict(self) -> str:
        """Whether the output is as expected, in a word or two."""
        if not self.compared:
            return "nothing to compare"
        return "differs" if self.wrong else "as expected"


def run(folder: Folder, interleaving: Interleaving = PROGRAM) -> Run:
    """Execute the program of a folder in one of its legal orders, and time it.

    Raises:
        SimulationError: when hardware would hang, go out of bounds, or lose tokens.
    """
    program = folder.program
    image, objection = program.image(folder.inputs), None
    code = program.section("INSN")
    arguments = (program.config, image, code.address, code.size // INSTRUCTION_BYTES)
    try:
        result = execute(*arguments, interleaving=interleaving)
    except SimulationError as error:
        objection = str(error)
        result = execute(*arguments, portable=False, interleaving=interleaving)
    output = program.output(result.image)
    timing = simulate(program.config, program.table)
    expected = np.frombuffer(folder.expected or b"", np.int8)
    wrong = np.flatnonzero(output[: len(expected)] != expected)
    return Run(
        output,
        len(expected),
        len(wrong),
        int(wrong[0]) if len(wrong) else None,
        objection,
        timing,
        roofline(program.config, program.table, timing),
    )
