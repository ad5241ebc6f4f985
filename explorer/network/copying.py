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


def origins(there: Rows, here: Rows, batch: int) -> NDArray[np.int32] | None:
    """Where each lane comes from; None where no program can copy that.

    Args:
        there: the tensor's elements as they are written, (entries, lanes).
        here: the same as they are read.
        batch: rows of a vector.

    Returns:
        Of each lane of a row that is read the number of the one that is written, counted over all
        entries; `NOWHERE` where nothing goes; (entries, lanes of a row).
    """
    if there.shape[1] != here.shape[1]:
        return None
    block = here.shape[1] // batch
    written, read = (rows.reshape(-1, batch, block) for rows in (there, here))
    size = int(max(there.max(initial=0), here.max(initial=0))) + 1
    found = np.full((len(here), block), NOWHERE, np.int32)
    for row in range(batch):
        place = np.full(size, NOWHERE, np.int32)
        flat = written[:, row].reshape(-1)
        held = np.flatnonzero(flat >= 0)
        place[flat[held]] = held
        used = read[:, row] >= 0
        own = np.where(used, place[np.maximum(read[:, row], 0)], NOWHERE)
        apart = used & ((own < 0) | ((found >= 0) & (found != own)))
        if apart.any():
            return None
        found = np.where(used, own, found)
    # What goes to a lane of one row goes to that of all: none of these can be left zero.
    if ((read == ZERO).any(axis=1) & (found >= 0)).any():
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
    def of(cls, there: Rows, here: Rows, batch: int) -> Needs | None:
        """Those of two layouts; None where no program can copy that. Arguments as for `origins`."""
        found = origins(there, here, batch)
        if found is None:
            return None
        entries = np.sort(np.where(found >= 0, found // found.shape[1], NOWHERE), axis=1)
        first = (entries[:, 1:] != entries[:, :-1]) & (entries[:, 1:] >= 0)
        several = np.count_nonzero(first, axis=1) + (entries[:, 0] >= 0)
        stored = (here != IDLE).any(axis=1)
        # Zeros are a product, too: what a reset leaves is not in the memory that STORE reads.
        steps = int(np.maximum(several, 1)[stored].sum())
        loaded = np.zeros(len(there) + 1, np.bool_)
        loaded[entries] = True
        return cls(int(stored.sum()), steps, int(loaded[:-1].sum()))

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
