"""Cycles of single instructions with the read channel to themselves, from VTA's Chisel design.

An instruction's cycles count from the one in which its module starts it to the one in which it is
done, both included. Those of loads that pay more than their lead and beats (short rows, padding)
come from `simulator.read_path`.
"""

from __future__ import annotations

from isa.fields import INSTRUCTION_BYTES
from simulator.jit import helper

NOP_CYCLES = 2
FINISH_CYCLES = 2
PIPELINE_CYCLES = 7  # from start register to the last write-back, beyond one cycle a micro-op
WIDE_LOAD_CYCLES = 2  # from the last beat to the end where elements are no wider than the bus
NARROW_LOAD_CYCLES = 3  # the same where an element is put together from several beats
PATH_REGISTERS = 4  # between command and first beat: two queues, DRAM's and the client's register
WIDE_BURST_CYCLES = 4  # command, address handshake and response of a write burst
NARROW_BURST_CYCLES = 3  # the same where an element is sent in several beats
WIDE_FETCH_BYTES = 16  # of the bus, from which on the fetch unit has a wide buffer
NARROW_FETCH_CYCLES, WIDE_FETCH_CYCLES = 1, 4  # of its state machine, a batch


@helper
def gemm_cycles(uops: int) -> int:
    """Cycles of a GEMM instruction of so many micro-ops, a reset included."""
    return uops + PIPELINE_CYCLES


@helper
def alu_cycles(uops: int, use_imm: bool) -> int:
    """Cycles of an ALU instruction; two operands take the one ACC read port two cycles."""
    return (uops if use_imm else 2 * uops) + PIPELINE_CYCLES


@helper
def units_touched(address: int, length: int, unit: int) -> int:
    """How many aligned units of DRAM (beats, bursts; in bytes) a byte range lies in."""
    return (address + length - 1) // unit - address // unit + 1


@helper
def transfer_units(address: int, rows: int, length: int, stride: int, unit: int) -> int:
    """Units of DRAM touched by rows of ``length`` bytes that lie ``stride`` bytes apart."""
    if stride % unit == 0:
        return rows * units_touched(address, length, unit)
    total = 0
    for y in range(rows):
        total += units_touched(address + y * stride, length, unit)
    return total


@helper
def load_lead(top_pad_rows: int, element_bytes: int, bus_bytes: int, latency: int) -> int:
    """Cycles of a LOAD on an idle channel besides its beats.

    The latency from the command to the first beat, a cycle for each row of top padding before the
    command is written, and what follows the last beat.
    """
    overhead = WIDE_LOAD_CYCLES if element_bytes <= bus_bytes else NARROW_LOAD_CYCLES
    return overhead + top_pad_rows + latency


@helper
def load_cycles(lead: int, beats: int, padding: int) -> int:
    """Cycles of a LOAD on an idle channel, at least: rows of one beat can take longer.

    Args:
        lead: see `load_lead`.
        beats: bus beats of its data.
        padding: zero elements; they are written in cycles that bring no data.
    """
    return max(lead + beats, WIDE_LOAD_CYCLES + padding if padding else 0)


@helper
def narrow_store_cycles(vectors: int, beats: int, bursts: int, batch: int) -> int:
    """Cycles of a STORE of elements wider than the bus.

    Each of an element's rows is read from the scratchpad in a cycle of its own before its beats are
    sent, and bursts do not overlap.
    """
    return 1 + batch * vectors + beats + NARROW_BURST_CYCLES * bursts


@helper
def wide_store_cycles(beats: int, bursts: int) -> int:
    """Cycles of a STORE of elements no wider than the bus: a bus word a cycle within a burst."""
    return 1 + beats + WIDE_BURST_CYCLES * bursts


@helper
def store_bound(entries: int, stores: int, size: int, batch: int, bus: int, burst: int) -> int:
    """Cycles of so many STOREs that move entries between them, at least, wherever these lie.

    Args:
        entries: OUT elements, of `size` bytes and `batch` rows each.
        stores: number of instructions; each has a write burst.
        size: see `entries`.
        batch: see `entries`.
        bus: bytes of a beat.
        burst: bytes of the longest burst.
    """
    bursts = max(stores, (entries * size + burst - 1) // burst)
    if size <= bus:
        cycles = wide_store_cycles(max(bursts, entries * size // bus), bursts)
    else:
        cycles = narrow_store_cycles(entries, entries * size // bus, bursts, batch)
    return cycles + stores - 1


@helper
def following_lead(lead: int, latency: int, beats: int) -> int:
    """What is left of a LOAD's lead, at least, where bursts of other clients may be on their way.

    DRAM's wait runs while a burst before it is in DRAM's queue. That burst has not left the queue
    when the load's first command is taken, so that its beats come in between: a burst of `beats`
    saves no more than one cycle over the rest of the wait. Loads of a module follow one another, so
    none of a module's own bursts is ever before another load's.

    Args:
        lead: see `load_lead`.
        latency: of the configuration.
        beats: of the shortest burst of another client, 1 where nothing is known of it.
    """
    return lead - max(0, latency - PATH_REGISTERS + 1 - beats)


@helper
def fetch_beats(instructions: int, bus: int) -> int:
    """Bus beats of so many instructions, of a bus of so many bytes."""
    return (instructions * INSTRUCTION_BYTES + bus - 1) // bus


@helper
def fetch_overhead(bus: int) -> int:
    """Cycles of the fetch unit besides latency, beats, and a cycle an instruction it dispatches."""
    return WIDE_FETCH_CYCLES if bus >= WIDE_FETCH_BYTES else NARROW_FETCH_CYCLES


@helper
def fetch_cycles(instructions: int, beats: int, bus: int, latency: int) -> int:
    """Cycles from the command of a batch of instructions to that of the next on an idle channel.

    Unless a full queue holds up dispatch. So many pass at least until the last instruction is done.
    """
    return latency + beats + instructions + fetch_overhead(bus)
