"""What an execution takes, known before it starts: too large ones are refused, and not begun."""

from __future__ import annotations

import os
from pathlib import Path

from isa.computation import Operator
from isa.errors import InputError

# Bytes an element: int8 as given, packed and in DRAM's image; of the output also its accumulators
# as they are summed up, as they come out, and as they are compared, in 32 bits each.
_INPUT, _OUTPUT = 4, 24

_SHARE = 0.8  # of what is free: the rest is for the program, and for others


def needed(operator: Operator) -> int:
    """Bytes that executing an operator's program and checking it take, roughly."""
    terms = [term.computation for term in operator.terms]
    inputs = sum(term.in0.size + term.in1.size for term in terms)
    return _INPUT * inputs + _OUTPUT * operator.out.size


def check(operator: Operator) -> None:
    """Check that an operator's tensors fit into the memory that is free.

    Raises:
        InputError: they do not; the message names the size.
    """
    check_size(operator.name, needed(operator), "rank and show need no tensors")


def check_size(source: str, size: int, instead: str) -> None:
    """Check that tensors of so many bytes fit into the memory that is free.

    Args:
        source: whose they are.
        size: bytes, roughly.
        instead: what can be done where they do not.

    Raises:
        InputError: they do not; the message names the size.
    """
    free = available()
    if size > _SHARE * free:
        allowed = f"{free / 2**30:,.1f} GiB are free here; {instead}"
        raise InputError(source, "tensors", f"about {size / 2**30:,.1f} GiB", allowed)


def available() -> int:
    """Bytes of memory that may be used, as far as the system tells; else a large number."""
    try:
        for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
            name, _, value = line.partition(":")
            if name == "MemAvailable":
                return int(value.split()[0]) * 1024
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (OSError, ValueError, AttributeError):  # not Linux; not POSIX
        return 2**63
