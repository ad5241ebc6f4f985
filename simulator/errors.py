"""What both simulators raise when a program would fail on hardware."""

from __future__ import annotations


class SimulationError(RuntimeError):
    """A program that hardware would not run, or not run as written.

    Args:
        instruction: index of the offending instruction in the program.
        reason: what is wrong with it, with the values at fault.
        rule: the rule of `simulator.lint.RULES` that it breaks, empty if it is none of these.
    """

    def __init__(self, instruction: int, reason: str, rule: str = "") -> None:
        super().__init__(f"instruction {instruction}: {reason}")
        self.instruction, self.reason, self.rule = instruction, reason, rule
