"""What the commands about programs print with ``--json``."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from explorer.schemas.outputs import OpenOutput, Output


class Emitted(Output):
    """The folder that was written."""

    folder: str
    """its path"""
    files: int
    """in it"""
    bytes: int
    """of all files"""
    instructions: int
    """of the program"""


class Instruction(OpenOutput):
    """An instruction: also its fields by name, in bit order."""

    __pydantic_extra__: dict[str, int | str] = Field(init=False)

    index: int
    """its place in the program"""
    queue: Literal["load", "compute", "store"]
    """the module that executes it"""


class Module(Output):
    """Where a module's cycles go."""

    busy: int
    """executing"""
    waiting_for_token: int
    """for one that another module pushes"""
    waiting_for_bus: int
    """beyond what a load takes alone"""
    idle: int
    """without an instruction"""


class Comparison(Output):
    """An execution as one implementation."""

    verdict: str
    """as expected, differs, fails, or nothing to compare"""
    compared: int
    """bytes"""
    wrong: int
    """of them"""
    first_wrong: int | None
    """its index"""
    undefined: int
    """bytes that the implementation leaves open"""
    failure: str | None
    """what kept it from its end"""


class Roof(Output):
    """The position under the roofline."""

    macs: int
    """multiply-accumulates"""
    read_bytes: int
    """DRAM bytes read"""
    peak: int
    """multiply-accumulates that a cycle does at most"""
    bandwidth: int
    """bytes that a cycle reads at most"""
    cycles: int
    """simulated"""
    useful: bool
    """whether `macs` leaves idle lanes out"""
    intensity: float
    """multiply-accumulates for each byte read"""
    attainable: float
    """multiply-accumulates a cycle under the roof"""
    achieved: float
    """those that were"""
    limit: str
    """compute or memory"""


class Ran(Output):
    """A program that came to its end."""

    verdict: str
    """of the first execution that is right, or else of the first"""
    compared: int
    """bytes"""
    wrong: int
    """of them"""
    first_wrong: int | None
    """its index"""
    undefined: int
    """bytes that the implementation leaves open"""
    implementations: dict[str, Comparison]
    """each execution"""
    portable: bool
    """whether every VTA runs it alike"""
    objection: str | None
    """what is not portable"""
    rule: str | None
    """the rule that it breaks"""
    instructions: int
    """of the program"""
    cycles: int
    """simulated"""
    modules: dict[str, Module]
    """load, compute, store"""
    read_beats: int
    """cycles in which the read channel moves data"""
    bytes: dict[str, int]
    """over the DRAM bus, by memory"""
    gemm_uops: int
    """executed"""
    alu_uops: int
    """executed"""
    roofline: Roof
    """against the machine's peaks"""


class Failed(Output):
    """A program that no implementation brings to its end."""

    verdict: Literal["fails"]
    """the only one"""
    instruction: int | None
    """that is to blame"""
    reason: str
    """in words"""
    rule: str | None
    """the rule that it breaks"""


class Finding(Output):
    """A rule that a program breaks."""

    instruction: int
    """index of the one that breaks it"""
    rule: str
    """its name"""
    why: str
    """what is wrong"""
    other: int | None
    """index of another one that has part in it"""
    listing: str
    """the instruction in words"""


class Linted(Output):
    """What a program breaks."""

    instructions: int
    """of the program"""
    findings: list[Finding]
    """none if it runs everywhere"""
