"""Running a program folder: every bit of its output, as each of VTA's machines, and its cycles."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from isa.fields import INSTRUCTION_BYTES
from simulator.errors import SimulationError
from simulator.functional import execute
from simulator.implementations import Implementation, admitted, check_admitted
from simulator.interleaving import PROGRAM, Interleaving
from simulator.roofline import Roofline, roofline
from simulator.timing import TimingReport, simulate

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from isa.folder import Folder


@dataclass(frozen=True, slots=True, eq=False)
class Execution:
    """What executing a program as one implementation showed.

    Attributes:
        implementation: whose semantics executed it.
        output: the OUT section afterwards, int8, one-dimensional.
        compared: output bytes that the folder gives an expectation for.
        wrong: of those, how many differ or are undefined, and `first_wrong` the index of the first.
        first_wrong: None if none is.
        undefined: bytes of OUT that the implementation leaves open, of those that are wrong and all
            others.
        failure: what kept it from coming to its end; None if nothing did.
    """

    implementation: Implementation
    output: NDArray[np.int8]
    compared: int = 0
    wrong: int = 0
    first_wrong: int | None = None
    undefined: int = 0
    failure: SimulationError | None = None

    @property
    def verdict(self) -> str:
        """Whether the output is as expected, in a word or two."""
        if self.failure is not None:
            return "fails"
        if self.wrong:
            return "differs"
        return "as expected" if self.compared else "nothing to compare"

    def record(self) -> dict[str, Any]:
        """All but the output as plain data."""
        return {
            "verdict": self.verdict,
            "compared": self.compared,
            "wrong": self.wrong,
            "first_wrong": self.first_wrong,
            "undefined": self.undefined,
            "failure": None if self.failure is None else str(self.failure),
        }


@dataclass(frozen=True, slots=True, eq=False)
class Run:
    """What running a folder showed.

    Attributes:
        executions: as each implementation that was asked for, or that the configuration admits.
        objection: the first thing that VTA's implementations may do differently; None if portable.
        timing: cycles and where they go.
        roofline: the position under the roofline.
    """

    executions: tuple[Execution, ...]
    objection: SimulationError | None
    timing: TimingReport
    roofline: Roofline

    @property
    def best(self) -> Execution:
        """The first execution that came out right, or else the first that came to its end."""
        ended = [each for each in self.executions if each.failure is None]
        return next((each for each in ended if not each.wrong), ended[0])

    @property
    def output(self) -> NDArray[np.int8]:
        """The output of the best execution."""
        return self.best.output

    @property
    def verdict(self) -> str:
        """The verdict on the best execution."""
        return self.best.verdict

    def record(self) -> dict[str, Any]:
        """All but the output as plain data."""
        timing, roof = self.timing, self.roofline
        objection = self.objection
        return {
            **{k: v for k, v in self.best.record().items() if k != "failure"},
            "implementations": {e.implementation.value: e.record() for e in self.executions},
            "portable": objection is None,
            "objection": None if objection is None else str(objection),
            "rule": None if objection is None else objection.rule,
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


def run(
    folder: Folder,
    interleaving: Interleaving = PROGRAM,
    implementation: Implementation | None = None,
) -> Run:
    """Execute the program of a folder in one of its legal orders, and time it.

    Args:
        folder: the program.
        interleaving: the order of its queues.
        implementation: as which of VTA's it is executed; None for all that it can be.

    Raises:
        InputError: the configuration cannot be built of the implementation.
        SimulationError: no execution comes to its end.
    """
    program = folder.program
    if implementation is not None:
        check_admitted(program.config, implementation)
    chosen = admitted(program.config) if implementation is None else (implementation,)
    executions = tuple(_execute(folder, each, interleaving) for each in chosen)
    failures = [each.failure for each in executions if each.failure is not None]
    if len(failures) == len(executions):
        raise failures[0]
    timing = simulate(program.config, program.table)
    return Run(
        executions,
        _objection(folder, interleaving),
        timing,
        roofline(program.config, program.table, timing, _useful(folder)),
    )


def _arguments(folder: Folder) -> tuple[Any, ...]:
    program = folder.program
    code = program.section("INSN")
    image = program.image(folder.inputs)
    return program.config, image, code.address, code.size // INSTRUCTION_BYTES


def _objection(folder: Folder, interleaving: Interleaving) -> SimulationError | None:
    try:
        execute(*_arguments(folder), interleaving=interleaving)
    except SimulationError as error:
        return error
    return None


def _execute(folder: Folder, implementation: Implementation, order: Interleaving) -> Execution:
    program = folder.program
    try:
        result = execute(
            *_arguments(folder), portable=False, implementation=implementation, interleaving=order
        )
    except SimulationError as error:
        return Execution(implementation, np.zeros(0, np.int8), failure=error)
    output, out = program.output(result.image), program.section("OUT")
    undefined = result.undefined[out.address : out.end]
    expected = np.frombuffer(folder.expected or b"", np.int8)
    n = len(expected)
    wrong = np.flatnonzero((output[:n] != expected) | undefined[:n])
    return Execution(
        implementation,
        output,
        n,
        len(wrong),
        int(wrong[0]) if len(wrong) else None,
        int(undefined.sum()),
    )


def _useful(folder: Folder) -> int | None:
    """Multiply-accumulates that the operator needs, where the manifest says so."""
    macs = folder.manifest.source.get("macs") if folder.manifest else None
    return macs if isinstance(macs, int) and macs > 0 else None
