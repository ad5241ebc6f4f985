"""Orders of the three queues: legal ones only, and a deadlock wherever there is one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from isa.codec import (
    COUNTERS,
    NO_COUNTER,
    TOKEN_FLAGS,
    Counter,
    Queue,
    Table,
    finish,
    nop,
    queues,
    table_of,
)
from isa.errors import InputError
from simulator.errors import SimulationError
from simulator.interleaving import PROGRAM, Interleaving, execution_order, merge
from tests.tokens import Sample, samples

INTERLEAVINGS = st.one_of(
    st.sampled_from(["program", "eager-load", "lazy-store"]),
    st.integers(0, 10_000).map(lambda seed: f"random:{seed}"),
).map(Interleaving.parse)
PUSHES = list(TOKEN_FLAGS[2:])


def _is_legal(table: Table, order: NDArray[np.int64]) -> bool:
    """Whether queues are in order and no token is taken before it is there."""
    queue, tokens = queues(table), [0] * len(Counter)
    if any((np.diff(order[queue[order] == q]) <= 0).any() for q in Queue):
        return False
    for i in order.tolist():
        for change, flags in ((-1, TOKEN_FLAGS[:2]), (1, TOKEN_FLAGS[2:])):
            for flag in flags:
                counter = COUNTERS[queue[i], TOKEN_FLAGS.index(flag)]
                if table[i, flag] and counter != NO_COUNTER:
                    tokens[counter] += change
        if min(tokens) < 0:
            return False
    return True


@given(samples(), INTERLEAVINGS)
def test_orders_are_legal(sample: Sample, interleaving: Interleaving) -> None:
    """Every order executes each instruction once, in an order that queues and tokens allow."""
    table = sample.program.table
    order = execution_order(table, interleaving)
    assert sorted(order.tolist()) == list(range(len(table)))
    assert _is_legal(table, order)


@given(samples())
def test_program_order_is_the_programs(sample: Sample) -> None:
    """Where each token is pushed before it is popped, program order is not changed."""
    order = execution_order(sample.program.table, PROGRAM)
    np.testing.assert_array_equal(order, np.arange(len(order)))


@given(samples(), st.integers(0, 99))
def test_seeds_are_reproducible(sample: Sample, seed: int) -> None:
    """The same seed gives the same order."""
    table = sample.program.table
    first, second = (execution_order(table, Interleaving("random", seed)) for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_what_the_policies_prefer() -> None:
    """The load queue runs ahead, the store queue stays behind, as far as tokens let them."""
    table = table_of(
        [
            nop(Queue.COMPUTE, push_next=1),
            nop(Queue.STORE, pop_prev=1),
            nop(Queue.COMPUTE, push_prev=1),
            nop(Queue.LOAD),
            nop(Queue.LOAD, pop_next=1),
            finish(),
        ]
    )
    orders = {
        policy: execution_order(table, Interleaving(policy)).tolist()
        for policy in ("program", "eager-load", "lazy-store")
    }
    assert orders == {
        "program": [0, 1, 2, 3, 4, 5],
        "eager-load": [3, 0, 1, 2, 4, 5],
        "lazy-store": [0, 2, 3, 4, 5, 1],
    }


def test_random_orders_differ() -> None:
    """Independent queues are merged in many ways."""
    table = table_of([nop(queue) for queue in Queue for _ in range(5)])
    orders = {tuple(merge(table, Interleaving("random", s)).order.tolist()) for s in range(100)}
    assert len(orders) > 30


DEADLOCK = table_of(
    [
        nop(Queue.LOAD, pop_next=1),
        nop(Queue.COMPUTE),
        nop(Queue.COMPUTE, pop_next=1, push_prev=1),
        nop(Queue.STORE, pop_prev=1, push_prev=1),
        finish(),
    ]
)


@given(INTERLEAVINGS)
def test_deadlocks_name_who_waits(interleaving: Interleaving) -> None:
    """A deadlock is found in every order, with each module, instruction and token."""
    merged = merge(DEADLOCK, interleaving)
    assert merged.order.tolist() == [1]
    with pytest.raises(SimulationError) as caught:
        execution_order(DEADLOCK, interleaving, portable=False)
    assert caught.value.instruction == 0
    assert caught.value.reason == (
        "deadlock: "
        "the load module waits at instruction 0 for a compute to load token that never comes; "
        "the compute module waits at instruction 2 for a store to compute token that never comes; "
        "the store module waits at instruction 3 for a compute to store token that never comes"
    )


@given(samples(), st.integers(0), INTERLEAVINGS)
def test_a_missing_push_stops_every_order_at_the_same_place(
    sample: Sample, place: int, interleaving: Interleaving
) -> None:
    """Without one of its pushes, a program stops after the same instructions in every order."""
    table = sample.program.table.copy()
    pushes = np.argwhere(table[:, PUSHES])
    i, flag = pushes[place % len(pushes)].tolist()
    table[i, PUSHES[flag]] = 0
    merged, other = merge(table), merge(table, interleaving)
    assert merged.stuck
    assert merged.stuck == other.stuck
    assert sorted(merged.order.tolist()) == sorted(other.order.tolist())


def test_tokens_pushed_later_are_not_portable() -> None:
    """A program that needs a deep queue runs, but not as a portable one."""
    table = table_of(
        [nop(Queue.COMPUTE, pop_prev=1), nop(Queue.LOAD, push_next=1), nop(Queue.COMPUTE)]
    )
    with pytest.raises(SimulationError, match=r"instruction 0: .* load to compute .* later"):
        execution_order(table)
    assert execution_order(table, portable=False).tolist() == [1, 0, 2]


def test_tokens_left_are_refused() -> None:
    """A token that nobody takes would be the next program's."""
    table = table_of([nop(Queue.LOAD, push_next=1), nop(Queue.COMPUTE)])
    with pytest.raises(SimulationError, match="leaves load to compute tokens"):
        execution_order(table)


@pytest.mark.parametrize("count", [255, 256])
def test_counters_saturate(count: int) -> None:
    """255 tokens may wait, and no more."""
    rows = [nop(Queue.LOAD, push_next=1)] * count + [nop(Queue.COMPUTE, pop_prev=1)] * count
    if count == 255:
        assert len(execution_order(table_of(rows))) == 2 * count
    else:
        with pytest.raises(SimulationError, match="instruction 255: more than 255 load to compute"):
            execution_order(table_of(rows))


@pytest.mark.parametrize("text", ["program", "eager-load", "lazy-store", "random:0", "random:123"])
def test_names_round_trip(text: str) -> None:
    """An interleaving is written as it is read."""
    assert str(Interleaving.parse(text)) == text


@pytest.mark.parametrize("text", ["", "lazy", "random", "random:", "random:-1", "program:1"])
def test_other_names_are_refused(text: str) -> None:
    """What names no interleaving is refused with what would."""
    with pytest.raises(InputError, match="eager-load, lazy-store, random:SEED"):
        Interleaving.parse(text)
