"""The orders in which the three queues may execute a program.

Each queue executes its instructions in order, and one that pops a token waits for it. All else is
left open, and VTA's implementations differ. An instruction is taken as one step, since it pops all
its tokens before it starts and pushes all of them after it is complete.

A counter has one queue that pushes and one that pops. Whichever order is taken, the k-th pop takes
the token of the k-th push; so either all orders come to the end, or all stop at the same place.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import permutations
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from isa.codec import (
    COUNTERS,
    MAX_TOKENS,
    NO_COUNTER,
    TOKEN_FLAGS,
    Counter,
    Queue,
    Table,
    queues,
)
from isa.errors import InputError
from isa.fields import Column
from simulator.columns import POP_PREV
from simulator.errors import SimulationError
from simulator.implementations import SEMANTICS, Full, Implementation, Semantics
from simulator.jit import helper, jit

if TYPE_CHECKING:
    from numpy.typing import NDArray

POLICIES = ("program", "eager-load", "lazy-store", "random:SEED")

_STRICT = list(permutations(range(len(Queue))))
_FIXED = {"program": (0, 0, 0), "eager-load": (0, 1, 1), "lazy-store": (0, 0, 1)}
_RANKS = np.array([*_STRICT, *_FIXED.values()], np.int64)  # by `Queue`; the least comes first
_KEEP = -1
_WAITS, _LOSES = int(Full.WAITS), int(Full.LOSES)  # plain, for compiled code
_MAX_LOG_PATIENCE = 6  # of the steps, on average, between two draws of a random order's priorities


@dataclass(frozen=True, slots=True)
class Interleaving:
    """A rule that picks one of the legal orders of a program.

    Attributes:
        policy: ``program`` takes the instruction that comes first in the program among those that
            need not wait; ``eager-load`` the load queue's whenever it need not wait; ``lazy-store``
            the store queue's only when the others wait; ``random`` changes at random times between
            random priorities, so that each queue now and then runs as far ahead as it can.
        seed: of a random order.
    """

    policy: str = "program"
    seed: int = 0

    @classmethod
    def parse(cls, text: str) -> Interleaving:
        """The interleaving that one of `POLICIES` names.

        Raises:
            InputError: none does.
        """
        policy, colon, seed = text.partition(":")
        if policy in _FIXED and not colon:
            return cls(policy)
        if policy == "random" and re.fullmatch(r"[0-9]{1,18}", seed):
            return cls(policy, int(seed))
        raise InputError("--schedule", "", text, f"one of {', '.join(POLICIES)}")

    def __str__(self) -> str:
        return f"{self.policy}:{self.seed}" if self.policy == "random" else self.policy

    def switches(self, steps: int) -> NDArray[np.int64]:
        """At each step the row of `_RANKS` to go by from there on, or `_KEEP`; shape (steps,)."""
        if self.policy != "random":
            rows = np.full(steps, _KEEP)
            rows[:1] = len(_STRICT) + list(_FIXED).index(self.policy)
            return rows
        rng = np.random.default_rng(self.seed)
        patience = 1 << int(rng.integers(0, _MAX_LOG_PATIENCE + 1))
        rows = rng.integers(0, len(_STRICT) * patience, steps)
        rows[1:][rows[1:] >= len(_STRICT)] = _KEEP
        rows[:1] %= len(_STRICT)
        return rows


PROGRAM = Interleaving()


class Stuck(NamedTuple):
    """A queue whose next instruction waits for a token that never comes, or for room for one."""

    queue: Queue
    instruction: int
    counter: Counter
    full: bool = False

    def __str__(self) -> str:
        if self.full:
            return (
                f"the {self.queue.name.lower()} module waits at instruction {self.instruction} to "
                f"push a {counter_name(self.counter)} token, and their counter stays full"
            )
        return (
            f"the {self.queue.name.lower()} module waits at instruction {self.instruction} for a "
            f"{counter_name(self.counter)} token that never comes"
        )


@dataclass(frozen=True, slots=True, eq=False)
class Merged:
    """A program's queues merged into one order.

    Attributes:
        order: indices of the instructions in execution order; of a deadlock, of those before it.
        stuck: of a deadlock, each queue that waits, by instruction; else empty.
        left: counters that hold tokens at the end.
        lost: the first push beyond what a counter holds: instruction and counter, or None.
    """

    order: NDArray[np.int64]
    stuck: tuple[Stuck, ...]
    left: tuple[Counter, ...]
    lost: tuple[int, Counter] | None


def counter_name(counter: int) -> str:
    """A counter in words, ``load to compute``."""
    return Counter(counter).name.lower().replace("_", " ")


def merge(
    table: Table,
    interleaving: Interleaving = PROGRAM,
    semantics: Semantics = SEMANTICS[Implementation.FSIM],
) -> Merged:
    """The queues of a decoded program, merged as far as they come.

    Args:
        table: the program.
        interleaving: which order to take.
        semantics: say what counters hold; by default any number of tokens.
    """
    n, queue = len(table), queues(table)
    order, heads = np.empty(n, np.int64), np.full(len(Queue), n)
    tokens, lost = np.zeros(len(Counter), np.int64), np.full(2, NO_COUNTER)
    switches, limits = interleaving.switches(n), (semantics.tokens, int(semantics.full))
    following = np.empty(n, np.int64)
    done = _merge(table, queue, switches, _RANKS, order, following, heads, tokens, lost, limits)
    stuck = _stuck(table, heads, tokens, limits)
    return Merged(
        order[:done],
        tuple(sorted(stuck, key=lambda stuck: stuck.instruction)),
        tuple(Counter(counter) for counter in np.flatnonzero(tokens).tolist()),
        (int(lost[0]), Counter(int(lost[1]))) if lost[1] != NO_COUNTER else None,
    )


def execution_order(
    table: Table,
    interleaving: Interleaving = PROGRAM,
    *,
    portable: bool = True,
    semantics: Semantics = SEMANTICS[Implementation.FSIM],
) -> NDArray[np.int64]:
    """Indices of the instructions in the order in which to execute them, (instructions,).

    Args:
        table: the decoded program.
        interleaving: which order to take.
        portable: refuse tokens that are popped before they are pushed in the program, for which a
            module's queue may be too short, and more of them than every counter holds.
        semantics: say what counters hold; by default any number of tokens.

    Raises:
        SimulationError: on a deadlock, when tokens are left at the end, and when the program is
            not portable and has to be.
    """
    merged = merge(table, interleaving, semantics)
    if merged.stuck:
        reasons = "; ".join(map(str, merged.stuck))
        raise SimulationError(merged.stuck[0].instruction, f"deadlock: {reasons}", "deadlock")
    if portable:
        for i, counter in early_pops(table):
            name = counter_name(counter)
            why = f"waits for a {name} token that is pushed only later in the program"
            raise SimulationError(i, why, "token-order")
        if merged.lost is not None:
            name = counter_name(merged.lost[1])
            why = f"more than {MAX_TOKENS} {name} tokens wait, and counters saturate"
            raise SimulationError(merged.lost[0], why, "tokens-lost")
    if merged.left:
        name = counter_name(merged.left[0])
        why = f"the program leaves {name} tokens for the next one"
        raise SimulationError(len(table) - 1, why, "tokens-left")
    return merged.order


def early_pops(table: Table) -> list[tuple[int, Counter]]:
    """Instructions that pop what no instruction before them has pushed, by counter the first."""
    queue = queues(table)
    flags = table[:, Column.POP_PREV : Column.PUSH_NEXT + 1] != 0
    found = []
    for counter in Counter:
        moves = (COUNTERS[queue] == counter) & flags
        # No queue both pops and pushes one counter.
        balance = np.cumsum(moves[:, 2:].any(axis=1)) - np.cumsum(moves[:, :2].any(axis=1))
        if (balance < 0).any():
            found.append((int(np.argmax(balance < 0)), counter))
    return sorted(found)


def _stuck(
    table: Table,
    heads: NDArray[np.int64],
    tokens: NDArray[np.int64],
    limits: tuple[int, int],
) -> Iterator[Stuck]:
    for queue, head in zip(Queue, heads.tolist(), strict=True):
        if head == len(table):
            continue
        for flag in range(len(TOKEN_FLAGS)):
            counter = int(COUNTERS[queue, flag])
            if table[head, Column.POP_PREV + flag] and _blocks(tokens, counter, flag, limits):
                yield Stuck(queue, head, Counter(counter), flag >= 2)
                break


@helper
def _blocks(tokens: NDArray[np.int64], counter: int, flag: int, limits: tuple[int, int]) -> bool:
    """Whether a token that an instruction pops or pushes keeps it from being executed.

    An instruction is one step, so one that has to wait for room waits before it starts: until its
    tokens are pushed, no other queue can tell.
    """
    if counter == NO_COUNTER:
        return False
    if flag >= 2:
        return bool(limits[1] == _WAITS and tokens[counter] >= limits[0])
    return bool(tokens[counter] == 0)


@jit
def _merge(
    table: Table,
    queue: NDArray[np.int64],
    switches: NDArray[np.int64],
    ranks: Table,
    order: NDArray[np.int64],
    following: NDArray[np.int64],
    heads: NDArray[np.int64],
    tokens: NDArray[np.int64],
    lost: NDArray[np.int64],
    limits: tuple[int, int],
) -> int:
    """Fill in the order, and what follows each instruction in its queue; how long the order is.

    Afterwards ``heads`` are the next instructions by `Queue`, n after the last, ``tokens`` wait by
    `Counter`, and ``lost`` holds the first push beyond the least capacity and its counter.
    ``limits`` are a counter's capacity and `Full`.
    """
    n = len(table)
    for i in range(n - 1, -1, -1):
        following[i] = heads[queue[i]]
        heads[queue[i]] = i
    rank = 0
    for step in range(n):
        if switches[step] >= 0:
            rank = switches[step]
        chosen = -1
        for q in range(len(heads)):
            if heads[q] < n and _is_ready(table, heads[q], q, tokens, limits):
                better = chosen < 0 or ranks[rank, q] < ranks[rank, chosen]
                if better or (ranks[rank, q] == ranks[rank, chosen] and heads[q] < heads[chosen]):
                    chosen = q
        if chosen < 0:
            return step
        i = heads[chosen]
        _move_tokens(table, i, chosen, tokens, lost, limits)
        order[step] = i
        heads[chosen] = following[i]
    return n


@helper
def _is_ready(
    table: Table, i: int, queue: int, tokens: NDArray[np.int64], limits: tuple[int, int]
) -> bool:
    for flag in range(4):
        if table[i, POP_PREV + flag] and _blocks(tokens, COUNTERS[queue, flag], flag, limits):
            return False
    return True


@helper
def _move_tokens(
    table: Table,
    i: int,
    queue: int,
    tokens: NDArray[np.int64],
    lost: NDArray[np.int64],
    limits: tuple[int, int],
) -> None:
    for flag in range(4):
        counter = COUNTERS[queue, flag]
        if table[i, POP_PREV + flag] and counter != NO_COUNTER:
            tokens[counter] += 1 if flag >= 2 else -1
            if tokens[counter] > MAX_TOKENS and lost[1] == NO_COUNTER:
                lost[0], lost[1] = i, counter
            if limits[1] == _LOSES and tokens[counter] > limits[0]:
                tokens[counter] = limits[0]
