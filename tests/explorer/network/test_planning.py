"""Plans are the best ones: compared with a sweep over the nodes and with all combinations."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from random import Random

import pytest

from explorer.network.plan.planning import solve
from explorer.network.plan.problem import LARGEST, Candidate, Cost, Node, Problem, plan
from explorer.network.plan.wishes import Pin, Wishes, parse_limits, parse_metrics, parse_pins
from isa.errors import InputError
from tests.oracles.network_graphs import SHAPES, network
from tests.oracles.network_plans import agree, case

CASES = 40


@pytest.mark.parametrize("seed", range(CASES))
def test_plans_are_the_best(seed: int) -> None:
    """Values, proofs, pins, limits and conflicts are the oracle's, with the reductions."""
    problem, asked = case(seed, most=7)
    assert agree(problem, asked, solve(problem, asked))


@pytest.mark.parametrize("seed", range(0, CASES, 4))
def test_the_solver_alone_finds_the_same(seed: int) -> None:
    """Without the reductions, the encoding says the same."""
    problem, asked = case(seed, most=6)
    assert agree(problem, asked, solve(problem, asked, reductions=False))


@pytest.mark.parametrize("shape", SHAPES)
def test_values_beyond_32_bits(shape: str) -> None:
    """Sums that 32 bits do not hold are exact, in what is preferred, limited and cut off."""
    problem = network(Random(7), shape, 6, 4, scale=10**9 + 7)
    limits = {"memory": 60 * (10**9 + 7)}
    for asked in (
        Wishes(),
        Wishes(("memory", "cycles"), limits),
        Wishes(objectives=("cycles", "memory")),
    ):
        assert agree(problem, asked, solve(problem, asked, reductions=False))
        assert agree(problem, asked, solve(problem, asked))


def test_carries_do_not_keep_the_solver() -> None:
    """Where carries take something off a sum, the solver alone ends, with the oracle's values."""
    problem, asked = case(687)  # three nodes, of which cores of clasp never came to an end
    assert agree(problem, asked, solve(problem, asked, reductions=False))


def two(read: str = "b") -> Problem:
    """A producer that writes a or b, and a consumer that reads one layout; a copy costs 5."""
    first = Node(
        "first",
        (
            Candidate("fast", Cost(10, memory=1), (), (("t", "a"),)),
            Candidate("slow", Cost(13, memory=2), (), (("t", "b"),)),
        ),
    )
    second = Node("second", (Candidate("only", Cost(7), (("t", read),), ()),))
    return Problem((first, second), {("t", "a", "b"): Cost(5, 40, 8, 1)})


def test_a_slower_node_saves_a_copy() -> None:
    """What is written as it is read beats the fastest node with a copy behind it."""
    found = solve(two(), Wishes())
    assert found.proven
    assert found.plans[0].choices == {"first": "slow", "second": "only"}
    assert found.plans[0].cost == Cost(20, 0, 2, 0)
    assert [(m.written, m.read, m.readers) for m in found.plans[0].moves] == [
        ("b", "b", ("second",))
    ]


def test_front() -> None:
    """Each plan of a front is better than each other one in something."""
    problem = replace(two(), passages={("t", "a", "b"): Cost(1, 40, 8, 1)})
    found = solve(problem, Wishes(objectives=("cycles", "host-bytes")))
    assert [p.cost[:2] for p in found.plans] == [(18, 40), (20, 0)]
    assert found.proven


def test_a_copy_serves_all_that_want_it() -> None:
    """Two readers of one layout pay for one copy, readers of two layouts for two."""
    readers = [Node(f"r{i}", (Candidate("c", Cost(), (("t", "b"),), ()),)) for i in range(2)]
    third = Node("r2", (Candidate("c", Cost(), (("t", "c"),), ()),))
    writer = Node("w", (Candidate("c", Cost(), (), (("t", "a"),)),))
    passages = {("t", "a", "b"): Cost(5), ("t", "a", "c"): Cost(3)}
    found = solve(Problem((writer, *readers, third), passages), Wishes())
    assert found.plans[0].cost == Cost(8)
    assert found.plans[0].moves[0].readers == ("r0", "r1")


def test_conflict_of_pins() -> None:
    """Pins that exclude each other are told, no other requirement with them, and what helps."""
    pins = (
        Pin("first=fast", node="first", candidate="fast"),
        Pin("t=b", tensor="t", layout="b"),
    )
    found = solve(two(), Wishes(limits={"memory": 1000}, pins=pins))
    assert found.proven
    assert not found.plans
    assert found.conflict is not None
    assert found.conflict.lines() == [
        "first=fast and t=b conflict",
        "  without first=fast, first takes slow: 20 cycles",
        "  without t=b, t is written as a: 22 cycles",
    ]


def test_limit_that_cannot_be_met() -> None:
    """A limit below what is possible is told, with the least value."""
    found = solve(two(), Wishes(limits={"cycles": 19, "memory": 100}))
    assert found.conflict is not None
    assert found.conflict.lines() == [
        "cycles<=19 cannot be met",
        "  without cycles<=19, the least cycles is 20",
    ]


def test_no_plan_at_all() -> None:
    """Where a layout can be made of no other, there is no plan, and no requirement is blamed."""
    found = solve(two("c"), Wishes(limits={"cycles": 19}))
    assert found.conflict is not None
    assert found.conflict.requirements == ()
    assert "cannot be passed on" in found.conflict.lines()[0]


def test_rules_of_a_user(tmp_path: Path) -> None:
    """A rule over the predicates of the encoding holds, and is searched with proof."""
    rules = tmp_path / "rules.lp"
    rules.write_text(':- choose("first", "slow").\n')
    found = solve(two(), Wishes(), rules=[rules])
    assert found.proven
    assert found.plans[0].choices["first"] == "fast"


def dense(random: Random, size: int, most: int) -> Problem:
    """A graph in which each node reads all before it, with transitions between four layouts."""
    names, layouts = [f"n{i}" for i in range(size)], [f"L{i}" for i in range(4)]
    nodes = []
    for i, name in enumerate(names):
        candidates = tuple(
            Candidate(
                f"c{k}",
                Cost(random.randint(1000, 2000)),
                tuple((read, random.choice(layouts)) for read in names[:i]),
                ((name, random.choice(layouts)),),
            )
            for k in range(most)
        )
        nodes.append(Node(name, candidates))
    passages = {
        (name, written, read): Cost(random.choice((0, random.randint(1, 2000))))
        for name in names
        for written in layouts
        for read in layouts
        if written != read
    }
    return Problem(tuple(nodes), passages)


def test_dense_graphs() -> None:
    """Where joins would outgrow their nodes, these are eliminated, or left to the solver.

    That one has no more rows than there were. The optimum is that of the problem as it is.
    """
    wishes = Wishes(("cycles",))
    for size, most in ((9, 6), (12, 8)):
        problem = dense(Random(3), size, most)
        found, whole = (solve(problem, wishes, reductions=r) for r in (True, False))
        assert found.proven
        assert found.plans[0].cost == whole.plans[0].cost
        assert (found.account.nodes > 1) == (size > 9) == (not found.account.eliminated)
        assert found.account.left <= found.account.candidates == size * most


def test_time_that_ends() -> None:
    """Without time to prove anything there is a plan all the same, and a bound below it."""
    problem = network(Random(3), "dense", 14, 5)
    best = solve(problem, Wishes())
    found = solve(problem, Wishes(), seconds=1e-6, reductions=False)
    assert found.plans
    assert found.bound <= best.bound <= found.plans[0].cost.cycles


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("first=never", "'never'"),
        ("third=fast", "'third'"),
        ("first", "NODE=ID"),
        ("t=z", "as a, b"),
    ],
)
def test_pins_that_name_nothing(text: str, part: str) -> None:
    """A pin that names no node, tensor, candidate or layout is refused in a line that says so."""
    with pytest.raises(InputError, match=part):
        parse_pins([text], two())


def test_texts() -> None:
    """Limits and metrics are read as they are documented; what is none is refused."""
    assert parse_limits(["host-copies<=2, max-memory=4KiB"]) == {"host-copies": 2, "memory": 4096}
    assert parse_metrics("cycles, memory", "--prefer") == ("cycles", "memory")
    for text in ("cycles", "speed<=3", "cycles<=3,cycles<=4", "cycles<=3x"):
        with pytest.raises(InputError, match="--require"):
            parse_limits([text])
    for text in ("speed", "cycles,cycles", ""):
        with pytest.raises(InputError, match="--prefer"):
            parse_metrics(text, "--prefer")
    with pytest.raises(InputError, match="pinned already"):
        parse_pins(["first=fast", "first=slow"], two())


def test_what_is_no_problem() -> None:
    """Names that stand twice, candidates of other tensors, unwritten tensors, costs too large."""
    first, second = two().nodes
    odd = replace(first, candidates=(*first.candidates, Candidate("odd", Cost(), (), ())))
    huge = replace(second, candidates=(Candidate("only", Cost(LARGEST + 1), (("t", "b"),), ()),))
    for nodes in (
        (first, first),
        (odd, second),
        (second,),
        (first, huge),
        (replace(first, candidates=()),),
    ):
        with pytest.raises(InputError, match="network"):
            solve(Problem(nodes, two().passages), Wishes())


def test_impossible_plans_are_none() -> None:
    """A choice that needs a transition which there is not is no plan."""
    assert plan(two("c"), {"first": "fast", "second": "only"}) is None
