"""Tensors copied by the accelerator itself: a product with blocks that select lanes.

A vector that is read is the sum of vectors that are written, each times a block of weights with a
one wherever a lane goes, and zeros elsewhere. GEMM multiplies every row of a vector by the same
block: lanes can move within rows, from as many vectors as it takes, and rows stay where they are.
A lane that has to be zero is one to which nothing goes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from explorer.layout.canonical import IDLE, ZERO
from isa.config import Config
from simulator.occupancy import gemm_cycles, store_bound

Rows = NDArray[np.int32]
NOWHERE = -1
GARBAGE = -3
"""The least number in a layout: what a lane holds that was written without meaning."""


@dataclass(frozen=True, slots=True)
class Places:
    """Where a layout has each element.

    Attributes:
        entries: vectors of the layout.
        lanes: of a vector.
        rows: of each row of a vector the number of the lane that holds each element, counted over
            the row's lanes of all vectors; `NOWHERE` for other elements, and for negative numbers.
    """

    entries: int
    lanes: int
    rows: tuple[Rows, ...]

    @classmethod
    def of(cls, there: Rows, batch: int) -> Places:
        """Those of a layout whose vectors have so many rows."""
        size = int(there.max(initial=0)) + 1
        found = []
        for row in there.reshape(len(there), batch, -1).transpose(1, 0, 2):
            # What is negative is looked up from the end.
            place = np.full(size - GARBAGE, NOWHERE, np.int32)
            flat = row.reshape(-1)
            held = np.flatnonzero(flat >= 0)
            place[flat[held]] = held
            found.append(place)
        return cls(len(there), there.shape[1], tuple(found))


def vectors(here: Rows, lanes: int) -> Rows:
    """What is read as vectors of so many lanes, as STORE writes them; of none where it is none.

    A block of weights is as many vectors as it has rows, one after the other.
    """
    return here.reshape(-1, lanes) if here.shape[1] % lanes == 0 else here[:0, :0]


def origins(there: Places, here: Rows) -> Rows | None:
    """Where each lane comes from; None where no program can copy that.

    Args:
        there: the tensor as it is written.
        here: its elements as they are read, in `vectors`.

    Returns:
        Of each lane of a row that is read the number of the one that is written, counted over all
        entries; `NOWHERE` where nothing goes; (vectors, lanes of a row).
    """
    if there.lanes != here.shape[1]:
        return None
    read = here.reshape(len(here), len(there.rows), -1)
    if here.max(initial=0) >= len(there.rows[0]) + GARBAGE:
        return None
    found: Rows | None = None
    for row, place in enumerate(there.rows):
        own = place[read[:, row]]
        used = read[:, row] >= 0
        if np.count_nonzero(own >= 0) < np.count_nonzero(used):
            return None
        if found is None:
            found = own
            continue
        if ((found != own) & (found >= 0) & used).any():
            return None
        found = np.where(used, own, found)
    assert found is not None
    # What goes to a lane of one row goes to that of all: none of these can be left zero.
    if len(there.rows) > 1 and ((read == ZERO).any(axis=1) & (found >= 0)).any():
        return None
    return found


@dataclass(frozen=True, slots=True)
class Needs:
    """What a copy takes.

    Attributes:
        stored: vectors that are read, without those that are idle in all lanes.
        steps: products that make them.
        loaded: vectors that these are made of.
    """

    stored: int
    steps: int
    loaded: int

    @classmethod
    def of(cls, there: Places, here: Rows) -> Needs | None:
        """Those of two layouts; None where no program can copy that.

        Args:
            there: the tensor as it is written.
            here: its elements as they are read, (entries, lanes).
        """
        here = vectors(here, there.lanes)
        found = origins(there, here)
        if found is None:
            return None
        # Lanes are a power of two; nowhere stays nowhere.
        entries = found >> (found.shape[1].bit_length() - 1)
        stored = np.count_nonzero((here != IDLE).any(axis=1))
        # Zeros are a product, too: what a reset leaves is not in the memory that STORE reads.
        steps = int(stored)
        mixed = np.sort(entries[(entries != entries[:, :1]).any(axis=1)], axis=1)
        if len(mixed):
            other = (mixed[:, 1:] != mixed[:, :-1]) & (mixed[:, :-1] >= 0)
            steps += int(np.count_nonzero(other))
        loaded = np.zeros(there.entries + 1, np.bool_)
        loaded[entries] = True
        return cls(int(stored), steps, int(np.count_nonzero(loaded[:-1])))

    def least(self, config: Config) -> int:
        """Cycles that no program takes less of.

        The modules may overlap in full, so that only the longest of their work counts: products
        and resets, entries and a block of weights that are loaded, and STOREs.
        """
        timing = config.timing
        bus, size = timing.bus_bytes, config.out_bytes
        compute = gemm_cycles(self.steps) + gemm_cycles(self.stored)
        load = (self.loaded * config.inp_bytes + config.wgt_bytes) // bus
        store = store_bound(self.stored, 1, size, config.batch, bus, timing.burst_bytes)
        return max(compute, timing.memory_latency + load, store)
