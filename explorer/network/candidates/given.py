"""Candidates from a table of cycles, in place of those that are simulated here.

A table (CSV) has a row for each program::

    operator,embedding,inp_halo,inp_padded,wgt_halo,cycles
    resnet18:C2,reference,1,1,0,531000
    resnet18:C2,y=oc:16/z=ic:16,1,0,0,529874

The operator, in any form that commands take, stands for every node with its product, whatever steps
follow there: what other steps cost, the table does not say, and residuals count as int8 in the
layout that the node writes. The halo and the padding tell the layouts of an embedding apart.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

from explorer.embedding.digits import Embedding
from explorer.embedding.facts import CLASSES, DEFAULT_CLASSES
from explorer.embedding.ids import parse
from explorer.layout.design import Design, designs
from explorer.network.candidates.listing import REFERENCE, Option, numbered, option
from explorer.network.candidates.spaces import Space
from explorer.network.graph import Host, Network
from explorer.operators import resolve
from explorer.ranking.explore import embeddings, gemm_intrinsic, reference
from isa.computation import Computation, Operator
from isa.config import Config
from isa.errors import InputError
from isa.files import read_text

COLUMNS = ("operator", "embedding", "inp_halo", "inp_padded", "wgt_halo", "cycles")
Way = tuple[bool, bool, bool]
"""Whether the layout on port inp shares entries and is padded, and that on wgt shares entries."""


@dataclass(frozen=True, slots=True)
class _Row:
    place: str
    embedding: str
    way: Way
    cycles: int


def given_candidates(
    path: Path, network: Network, config: Config
) -> tuple[dict[Operator, Space], dict[str, str]]:
    """As `plan.network_plan.candidates`; nodes that the table lacks are the host's.

    Raises:
        InputError: the table cannot be read, has a row that is none, or stands for no node.
    """
    rows = _rows(path)
    products: dict[Computation, tuple[Operator, list[_Row]]] = {}
    for text, own in rows.items():
        operator = resolve(text)
        products[operator.computation] = operator, own
    found: dict[Operator, Space] = {}
    known: dict[Computation, tuple[dict[str, list[Option]], list[Option]]] = {}
    hosts = {n.name: n.reason for n in network.nodes if isinstance(n, Host)}
    for node in network.accelerated:
        terms = [term.computation for term in node.operator.terms]
        if len(terms) > 1 or terms[0] not in products:
            hosts[node.name] = f"not in {path.name}"
            continue
        if terms[0] not in known:
            operator, own = products[terms[0]]
            known[terms[0]] = _options(operator, config, own, str(path))
        evaluated, fixed = known[terms[0]]
        found[node.operator] = Space(node.operator, config, [], [], dict(evaluated), fixed)
    if not found:
        allowed = f"one that {network.name} has: kinds and extents as `explorer network show`"
        raise InputError(str(path), "operator", next(iter(rows)), allowed)
    return found, hosts


def _rows(path: Path) -> dict[str, list[_Row]]:
    """The rows by operator, in the order of the table."""
    import pandas as pd  # noqa: PLC0415 - slow to import, and only tables need it

    text = read_text(path, "a table of candidates")
    try:
        table = pd.read_csv(StringIO(text), dtype=str, keep_default_na=False)
    except (pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise InputError(str(path), "", str(error).strip(), "CSV") from None
    if missing := [name for name in COLUMNS if name not in table]:
        raise InputError(str(path), missing[0], None, f"columns are {', '.join(COLUMNS)}")
    found: dict[str, list[_Row]] = {}
    for line, row in enumerate(table[list(COLUMNS)].fillna("").to_dict("records"), start=2):
        place = f"line {line}"
        for name in COLUMNS[2:5]:
            if row[name] not in {"0", "1"}:
                raise InputError(str(path), f"{place}, {name}", row[name], "0 or 1")
        cycles = row["cycles"]
        if not (cycles.isdecimal() and len(cycles) <= 15 and int(cycles)):
            raise InputError(
                str(path), f"{place}, cycles", cycles, "from 1 on, in at most 15 digits"
            )
        way = (row["inp_halo"] == "1", row["inp_padded"] == "1", row["wgt_halo"] == "1")
        found.setdefault(row["operator"], []).append(
            _Row(place, row["embedding"], way, int(cycles))
        )
    if not found:
        raise InputError(str(path), "", "no row", "at least one candidate")
    return found


def _options(
    operator: Operator, config: Config, rows: list[_Row], source: str
) -> tuple[dict[str, list[Option]], list[Option]]:
    """The candidates of an operator by embedding, and TVM's."""
    intrinsic, computation = gemm_intrinsic(config), operator.computation
    parsed = {
        row.embedding: parse(row.embedding, computation, intrinsic)
        for row in rows
        if row.embedding != REFERENCE
    }
    named = {name for e in parsed.values() for name in e.classes}
    classes = [name for name in CLASSES if name in {*DEFAULT_CLASSES, *named}]
    legal = {e.id: e for e in embeddings(operator, config, classes)}
    fixed = reference(operator, config)
    by_id: dict[str, list[tuple[int, Design]]] = {}
    own: list[Option] = []
    ways: dict[str, Mapping[Way, Design]] = {}
    for row in rows:
        name = row.embedding if row.embedding == REFERENCE else parsed[row.embedding].id
        embedding = fixed if name == REFERENCE else legal.get(name)
        if embedding is None:
            allowed = f"an embedding that `explorer enumerate {operator.name}` lists"
            raise InputError(source, f"{row.place}, embedding", row.embedding, allowed)
        if embedding.id not in ways:
            ways[embedding.id] = dict(_ways(operator, config, embedding))
        design = ways[embedding.id].get(row.way)
        if design is None:
            allowed = "one of " + ", ".join(map(_told, ways[embedding.id]))
            raise InputError(source, f"{row.place}, layout", _told(row.way), allowed)
        if name == REFERENCE:
            own.append(option(REFERENCE, row.cycles, design, design, proven=False))
        else:
            by_id.setdefault(name, []).append((row.cycles, design))
    evaluated = {}
    for name, several in by_id.items():
        several.sort(key=lambda s: s[0])
        evaluated[name] = [
            option(numbered(name, i), cycles, design, design, proven=False)
            for i, (cycles, design) in enumerate(several, start=1)
        ]
    return evaluated, own


def _ways(operator: Operator, config: Config, embedding: object) -> Iterator[tuple[Way, Design]]:
    assert isinstance(embedding, Embedding)  # the operator has one term
    for design in designs(operator, config, gemm_intrinsic(config), embedding):
        yield (design.inp.halo, design.inp.is_padded, design.wgt.halo), design


def _told(way: Way) -> str:
    return "inp_halo={:d} inp_padded={:d} wgt_halo={:d}".format(*way)
