"""Commands about the space of embeddings, on any instruction: facts, enumerate, count, execute."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from explorer.cli.common import wants_json
from explorer.cli.embeddings import (
    EVERY_CLASS,
    VTA,
    ClassesOption,
    ConfigOption,
    InstructionOption,
    OperatorArgument,
    SeedOption,
    TilesOption,
    note_classes,
)
from explorer.cli.output import OutputOption, progress, show_table, table_of
from explorer.embedding import facts as symbols
from explorer.embedding.enumeration import fused_mappings
from explorer.embedding.facts import parse_classes
from explorer.embedding.joint import PLUS, Joint
from explorer.embedding.scalar import scalar_embeddings, unstructured_embeddings
from explorer.embedding.several import (
    AnyEmbedding,
    count_any,
    enumerate_any,
    find_any,
    scalar_joint,
    term_by_term,
)
from explorer.embedding.virtual_loops import nest
from explorer.operators import resolve
from explorer.program.stepwise import Outcome, arrangements, check
from explorer.program.verification import of_terms, random_data
from explorer.ranking.best_first import describe
from explorer.ranking.explore import no_embedding
from isa import intrinsics
from isa.computation import Computation
from isa.config import Config
from isa.errors import InputError
from isa.words import counted

if TYPE_CHECKING:
    import pandas as pd


class Encoding(StrEnum):
    """Which formulation of an embedding is solved."""

    EMBEDDING = "embedding"
    SCALAR = "scalar"
    UNSTRUCTURED = "unstructured"


class Orders(StrEnum):
    """Whether an order is a choice."""

    CANONICAL = "canonical"
    ALL = "all"


EncodingOption = Annotated[
    Encoding,
    typer.Option(
        "--encoding",
        help="embedding: by the local rule. scalar: by the definition on single multiply-adds, for "
        "small operators; every tile, as with --all-tiles. unstructured: the same, also those that "
        "no digits describe, for tiny ones.",
    ),
]
LaneOrdersOption = Annotated[
    Orders,
    typer.Option("--lane-orders", help="The order of the digits on an axis: one of them, or all."),
]
OuterOrdersOption = Annotated[
    Orders,
    typer.Option("--outer-orders", help="The order of the outer loops: one of them, or all."),
]


def _problem(
    operator: str, instruction: str, config: str
) -> tuple[tuple[Computation, ...], Computation]:
    """The operator's terms and the instruction."""
    machine = Config.load(config)
    terms = tuple(term.computation for term in resolve(operator).terms)
    return terms, intrinsics.load(instruction, machine.axes)


def _single(terms: Sequence[Computation], option: str, value: str) -> Computation:
    """The only term.

    Raises:
        InputError: there are several, and the option is for one.
    """
    if len(terms) > 1:
        allowed = f"the operator has {len(terms)} terms, and this is for operators of one"
        raise InputError(option, "", value, allowed)
    return terms[0]


def _orders(lanes: Orders, outer: Orders) -> tuple[str, ...]:
    given = {"lanes": lanes, "outer": outer}
    return tuple(name for name, which in given.items() if which is Orders.ALL)


def facts(
    operator: OperatorArgument,
    config: ConfigOption = "default",
    instruction: InstructionOption = VTA,
    classes: ClassesOption = EVERY_CLASS,
    all_tiles: TilesOption = False,
    encoding: EncodingOption = Encoding.EMBEDDING,
    lane_orders: LaneOrdersOption = Orders.CANONICAL,
    outer_orders: OuterOrdersOption = Orders.CANONICAL,
) -> None:
    """Print the facts that clingo is given."""
    terms, intrinsic = _problem(operator, instruction, config)
    chosen, orders = parse_classes(classes), _orders(lane_orders, outer_orders)
    if encoding is Encoding.EMBEDDING:
        found = symbols.instance(
            terms[0],
            intrinsic,
            chosen,
            all_tiles=all_tiles,
            enforce=() if all_tiles else ("maximal",),
            orders=orders,
            further=terms[1:],
        )
    else:
        found = symbols.scalar_instance(terms[0], intrinsic, chosen, further=terms[1:])
    if wants_json():
        typer.echo(json.dumps([str(fact) for fact in found], indent=1))
        return
    for fact in found:
        typer.echo(f"{fact}.")


def enumerate_(
    operator: OperatorArgument,
    config: ConfigOption = "default",
    instruction: InstructionOption = VTA,
    classes: ClassesOption = EVERY_CLASS,
    all_tiles: TilesOption = False,
    encoding: EncodingOption = Encoding.EMBEDDING,
    lane_orders: LaneOrdersOption = Orders.CANONICAL,
    outer_orders: OuterOrdersOption = Orders.CANONICAL,
    layouts: Annotated[
        bool, typer.Option("--layouts", help="Also the packed layout on each port.")
    ] = False,
    output: OutputOption = None,
) -> None:
    """List every embedding."""
    terms, intrinsic = _problem(operator, instruction, config)
    chosen, orders = parse_classes(classes), _orders(lane_orders, outer_orders)
    if orders and encoding is not Encoding.EMBEDDING:
        allowed = "orders are canonical with this encoding"
        raise InputError("--encoding", "", encoding.value, allowed)
    if encoding is Encoding.UNSTRUCTURED:
        note_classes(chosen)
        show_table(_unstructured(terms, intrinsic, chosen), output)
        return
    found: list[AnyEmbedding] = []
    if encoding is Encoding.EMBEDDING:
        found += enumerate_any(
            terms, intrinsic, chosen, all_tiles=all_tiles, maximal=not all_tiles, orders=orders
        )
    elif len(terms) > 1:
        found += scalar_joint(terms, intrinsic, chosen)
    else:
        found += scalar_embeddings(terms[0], intrinsic, chosen)
    if not found:
        raise no_embedding(terms[0].name, chosen)
    note_classes(chosen)
    show_table(table_of([_row(e, terms, intrinsic, layouts) for e in found]), output)


def _row(
    embedding: AnyEmbedding, terms: Sequence[Computation], intrinsic: Computation, layouts: bool
) -> dict[str, object]:
    each = embedding.terms if isinstance(embedding, Joint) else (embedding,)
    pairs = list(zip(each, terms, strict=True))
    steps = sum(nest(part, term).steps for part, term in pairs)
    row: dict[str, object] = {
        "embedding": embedding.id,
        "classes": "+".join(embedding.classes),
        "steps": steps,
        "utilisation": sum(term.useful_macs for term in terms) / (steps * intrinsic.macs),
    }
    for part, term in pairs if layouts else ():
        packed = next(arrangements(part, term, intrinsic))
        # Of several terms a port holds several tensors, so that columns are called after these.
        names = [x.port if len(terms) == 1 else term.tensor(x.role).name for x in packed if x.role]
        row |= {n: describe(x) for n, x in zip(names, packed, strict=True) if n not in row}
    return row


def _unstructured(
    terms: Sequence[Computation], intrinsic: Computation, classes: Sequence[str]
) -> pd.DataFrame:
    """Each answer's steps, with the operator's multiply-add that each working lane stands for."""
    found = unstructured_embeddings(terms, intrinsic, swapped="swapped" in classes)
    rows = sorted((sum(a.steps for a in each), PLUS.join(map(str, each))) for each in found)
    return table_of(rows, columns=["steps", "lane:node"])


def count(
    operator: OperatorArgument,
    config: ConfigOption = "default",
    instruction: InstructionOption = VTA,
    classes: ClassesOption = EVERY_CLASS,
    all_tiles: TilesOption = False,
    lane_orders: LaneOrdersOption = Orders.CANONICAL,
    outer_orders: OuterOrdersOption = Orders.CANONICAL,
    mappings: Annotated[
        bool,
        typer.Option(
            "--fused-mappings",
            help="Count the fused-iteration mappings instead: each axis takes some of the "
            "dimensions that it admits, fused in operator order, whatever the tiles are. Of the "
            "inputs as they come, and with swapped among --classes also exchanged.",
        ),
    ] = False,
    output: OutputOption = None,
) -> None:
    """Count the embeddings, in total and of each class."""
    terms, intrinsic = _problem(operator, instruction, config)
    chosen, orders = parse_classes(classes), _orders(lane_orders, outer_orders)
    if mappings:
        op = _single(terms, "--fused-mappings", "on")
        numbers = _mappings(op, intrinsic, swapped="swapped" in chosen)
        show_table(table_of(numbers.items(), columns=["binding", "mappings"]), output)
        return
    found = count_any(
        terms, intrinsic, chosen, all_tiles=all_tiles, maximal=not all_tiles, orders=orders
    )
    note_classes(chosen)
    rows = [*found.classes.items(), ("total", found.total)]
    frame = table_of(rows, columns=["class", "embeddings"])
    if found.total >= 2**63:  # more than a column of integers can hold
        frame["embeddings"] = frame["embeddings"].map(str)
    show_table(frame, output)


def _mappings(op: Computation, intrinsic: Computation, *, swapped: bool) -> dict[str, int]:
    found = Counter(exchanged for exchanged, _ in fused_mappings(op, intrinsic, swapped=swapped))
    numbers = {"straight": found[False]}
    return {**numbers, "swapped": found[True]} if swapped else numbers


def execute(
    operator: OperatorArgument,
    ids: Annotated[list[str], typer.Argument(metavar="ID...", help="Embeddings' ids.")],
    config: ConfigOption = "default",
    instruction: InstructionOption = VTA,
    seed: SeedOption = 0,
    output: OutputOption = None,
) -> None:
    """Execute embeddings step by step on any instruction, and check them.

    Of several terms each is executed by itself.
    """
    op = resolve(operator)
    intrinsic = intrinsics.load(instruction, Config.load(config).axes)
    terms = [term.computation for term in op.terms]
    chosen = [find_any(terms, intrinsic, text) for text in ids]
    tensors = list(of_terms(op, random_data(op, seed)))
    rows: list[dict[str, object]] = []
    with progress(f"executing {counted(len(chosen), 'embedding')}", len(chosen)) as advance:
        for embedding in chosen:
            each = zip(term_by_term(embedding, op), tensors, strict=True)
            for number, ((part, term), given) in enumerate(each, start=1):
                facing = _row(part, [term], intrinsic, layouts=False)
                if len(terms) > 1:
                    facing = {"term": number, **facing}
                outcomes = check(part, term, intrinsic, given)
                rows += [{**facing, **_outcome(outcome)} for outcome in outcomes]
            advance(1)
    frame = table_of(rows)
    first = [n for n in ("term", "embedding", "verdict", "wrong") if n in frame]
    last = ("accumulators", "steps", "utilisation", "classes")
    layouts = [n for n in frame if n not in (*first, *last)]
    show_table(frame, output, frame[[*first, *layouts, *last]], keep=len(first))
    if frame["wrong"].any():
        raise typer.Exit(1)


def _outcome(outcome: Outcome) -> dict[str, object]:
    row: dict[str, object] = {layout.port: describe(layout) for layout in outcome.layouts}
    verdict = "differs" if outcome.wrong else "exact"
    return {**row, "verdict": verdict, "accumulators": outcome.values.size, "wrong": outcome.wrong}
