"""JSON Schemas of every document that is read, and of every JSON output.

In: the models by which documents are read, and those of what commands print. Out: JSON Schemas
(draft 2020-12) as plain data. Imports the stages whose documents these are; nothing of them runs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from difflib import get_close_matches
from types import GenericAlias
from typing import Any

from pydantic import TypeAdapter

from explorer.deployment.manifest import NetworkManifest
from explorer.network import document as network_document
from explorer.network.proof.certificate import Certificate
from explorer.operators.stages_document import StagesDocument
from explorer.schemas import network_outputs as networks
from explorer.schemas import outputs
from explorer.schemas import program_outputs as programs
from explorer.schemas.documents import configuration, operator
from explorer.study.cost import Table
from explorer.study.study import StudyDocument
from isa.errors import InputError
from isa.folder.manifest import Manifest
from isa.intrinsics import IntrinsicDocument

DRAFT = "https://json-schema.org/draft/2020-12/schema"
Schema = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Entry:
    """A schema by its name.

    Attributes:
        name: what `schema` takes.
        what: the document or output, in words.
        command: the command that prints it with ``--json``; "" for a document.
        build: makes it.
    """

    name: str
    what: str
    command: str
    build: Callable[[], Schema]


def _of(kind: Any) -> Callable[[], Schema]:
    return lambda: TypeAdapter(kind).json_schema(mode="serialization")


def _rows(kind: Any) -> Callable[[], Schema]:
    return _of(GenericAlias(list, (kind,)))


def _read(kind: Any) -> Callable[[], Schema]:
    return lambda: TypeAdapter(kind).json_schema()


def _plans() -> Schema:
    return TypeAdapter(list[networks.NodePlan] | list[networks.FrontPlan]).json_schema()


ENTRIES: tuple[Entry, ...] = (
    Entry("operator", "an operator: a kind with its arguments, or maps, or stages", "", operator),
    Entry("stages", "an operator of several products and steps", "", _read(StagesDocument)),
    Entry("intrinsic", "an instruction: axes and ports", "", _read(IntrinsicDocument)),
    Entry("config", "a configuration of VTA, `vta_config.json`", "", configuration),
    Entry("network", "a network: nodes over tensors", "", network_document.schema),
    Entry("study", "a study file of `explorer sweep`", "", _read(StudyDocument)),
    Entry("costs", "a table of area and energy", "", _read(Table)),
    Entry("manifest", "the manifest of a program folder", "", _read(Manifest)),
    Entry("network-manifest", "the manifest of a network's folder", "", _read(NetworkManifest)),
    Entry("certificate", "what a plan over all embeddings claims", "", _read(Certificate)),
    Entry("operators", "operators that ship", "operators", _rows(outputs.Shipped)),
    Entry("kinds", "the kinds of operator", "kinds", _rows(outputs.Kind)),
    Entry("facts", "the facts that clingo is given", "facts", _of(list[str])),
    Entry("embeddings", "embeddings, one a row", "enumerate", _rows(outputs.Listed)),
    Entry("counts", "how many embeddings there are", "count", _rows(outputs.Counted)),
    Entry("ranking", "embeddings by cycles", "rank", _rows(outputs.Ranked)),
    Entry("map", "the page that was written", "map", _of(networks.Mapped)),
    Entry("optima", "embeddings by preference", "optimize", _rows(outputs.Preferred)),
    Entry("embedding", "one embedding", "show", _of(outputs.Shown | outputs.Drawn)),
    Entry("verdict", "whether an embedding is legal", "why", _of(outputs.Verdict)),
    Entry("template", "TVM's template", "template", _rows(outputs.Template)),
    Entry("gains", "layers against the baselines", "bench", _rows(outputs.Gain)),
    Entry("verification", "embeddings that were executed", "verify", _rows(outputs.Verified)),
    Entry("execution", "embeddings, step by step", "execute", _rows(outputs.Executed)),
    Entry("emission", "the folder that was written", "emit", _of(programs.Emitted)),
    Entry("instructions", "a program's instructions", "disasm", _rows(programs.Instruction)),
    Entry("run", "a program's run", "run", _of(programs.Ran | programs.Failed)),
    Entry("findings", "what a program breaks", "lint-program", _of(programs.Linted)),
    Entry("sweep", "what a sweep did, or would do", "sweep", _of(outputs.Swept | outputs.Planned)),
    Entry("results", "units of a sweep", "results", _rows(outputs.Result)),
    Entry("totals", "workloads of a sweep", "results", _rows(outputs.Total)),
    Entry("rows", "an answer to --sql, a front of a table", "pareto", _rows(outputs.Row)),
    Entry("nodes", "nodes of a network", "network show", _rows(networks.Node)),
    Entry("import", "the document that was written", "network import", _of(networks.Imported)),
    Entry("plan", "nodes of a plan, or plans of a front", "network plan", _plans),
    Entry("changes", "what a node's own best costs", "network why", _rows(networks.Changed)),
    Entry("network-map", "the page that was written", "network map", _of(networks.NetworkMapped)),
    Entry(
        "network-emission",
        "the folder that was written",
        "network emit",
        _of(networks.NetworkEmitted),
    ),
    Entry("network-run", "outputs of a network", "network run", _rows(networks.NetworkOutput)),
    Entry("network-timeline", "steps of a network", "network run", _rows(networks.NetworkStep)),
    Entry(
        "network-verification",
        "tensors of a network that was executed",
        "network verify",
        _rows(networks.TensorVerified),
    ),
    Entry("schemas", "the list of schemas", "schema", _rows(outputs.Described)),
)


def schema(name: str) -> Schema:
    """The JSON Schema of a document or output.

    Raises:
        InputError: there is none of that name.
    """
    for entry in ENTRIES:
        if entry.name == name:
            return {"$schema": DRAFT, "title": entry.name, "description": entry.what} | {
                key: value
                for key, value in entry.build().items()
                if key not in ("title", "description")
            }
    names = [entry.name for entry in ENTRIES]
    close = get_close_matches(name, names, n=1)
    guess = f"did you mean {close[0]!r}? " if close else ""
    raise InputError("NAME", "", name, f"{guess}one of {', '.join(names)}")
