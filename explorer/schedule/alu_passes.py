"""The immediate ALU passes that an epilogue takes."""

from __future__ import annotations

from isa.computation import Epilogue
from isa.fields import AluOp

MAX_SHIFT = 15  # HLS takes the shift amount as a signed 5-bit number


def alu_passes(epilogue: Epilogue) -> list[tuple[AluOp, int]]:
    """The immediate ALU operations of an epilogue: shifts, and then limits.

    The bias is added before, the residual between them.
    """
    passes = []
    shift = epilogue.shift
    while shift > 0:
        passes.append((AluOp.SHR, min(shift, MAX_SHIFT)))
        shift -= MAX_SHIFT
    low, high = epilogue.clip or (None, None)
    if epilogue.relu:
        low = max(0, low if low is not None else 0)
    if low is not None:
        passes.append((AluOp.MAX, low))
    if high is not None:
        passes.append((AluOp.MIN, high))
    return passes
