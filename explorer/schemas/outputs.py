"""What commands print with ``--json``: a model for each object, with the meaning of each key."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, create_model

from explorer.study.unit import COLUMNS, STATUSES


class Output(BaseModel):
    """Base of the models: these keys and no others."""

    # Deferred: a command prints few kinds of outputs, or none.
    model_config = ConfigDict(
        extra="forbid", use_attribute_docstrings=True, frozen=True, defer_build=True
    )


class OpenOutput(Output):
    """Base of those with keys that follow from what was asked."""

    model_config = ConfigDict(extra="allow")


class Shipped(Output):
    """A shipped operator."""

    reference: str
    """what commands take"""
    kind: str
    """its kind"""
    dims: str
    """its dimensions with their extents"""
    macs: int
    """multiply-accumulates"""
    in0: int
    """elements of the first input"""
    in1: int
    """elements of the second input"""
    out: int
    """elements of the output"""


class Kind(Output):
    """A kind of operator; lists are texts with commas."""

    name: str
    """of the kind"""
    aliases: str
    """other names of it"""
    required: str
    """arguments that have to be given"""
    optional: str
    """the others, with their defaults"""
    summary: str
    """what it is"""


class Listed(OpenOutput):
    """An embedding; with ``--layouts``, also the layout on each port, by the port's name."""

    __pydantic_extra__: dict[str, str] = Field(init=False)

    embedding: str | None = None
    """its id; missing where no digits describe it (``--encoding unstructured``)"""
    classes: str | None = None
    """the classes it belongs to, joined by +"""
    steps: int
    """issues of the instruction"""
    utilisation: float | None = None
    """share of the lanes that work"""


class Counted(OpenOutput):
    """A class and how many there are; with ``--fused-mappings``, a binding."""

    __pydantic_extra__: dict[str, int | str] = Field(init=False)


class Ranked(Output):
    """An embedding with its best program."""

    rank: int
    """its place, from 1; 0 is the reference embedding"""
    embedding: str
    """its id"""
    classes: str
    """the classes it belongs to, joined by +"""
    cycles: int
    """simulated"""
    speedup: float | None
    """over the baseline; null where there is none"""
    bound: int
    """cycles that no program of the embedding stays below"""
    proven: bool
    """whether the program is proven the best of its space"""
    steps: int
    """issues of the instruction"""
    utilisation: float
    """share of the lanes that work"""
    inp: str
    """layout on port inp"""
    wgt: str
    """layout on port wgt"""
    out: str
    """layout of the output"""
    footprint: int
    """bytes of the packed tensors"""
    dram_bytes: int
    """bytes over the DRAM bus"""
    instructions: int
    """of the program"""
    tile: str
    """the schedule's tile"""
    unrestricted: int | None = None
    """cycles without the restrictions, where there are some"""
    cost: float | None = None
    """the share that the restrictions add"""


class Preferred(OpenOutput):
    """An embedding with its layouts; also a key for each metric that was asked for."""

    __pydantic_extra__: dict[str, int | float] = Field(init=False)

    embedding: str
    """its id"""
    steps: int
    """issues of the instruction"""
    utilisation: float
    """share of the lanes that work"""
    input: str
    """layout of the first input"""
    weight: str
    """layout of the second input"""
    output: str
    """layout of the output"""
    halo: str | None
    """inputs whose windows share entries, joined by +"""
    dma_padding: bool
    """whether a border is left to the DMA engine"""


class Placed(Output):
    """How a tensor is packed."""

    layout: str
    """its name"""
    shape: list[int]
    """extents of the packed array"""


class Shown(Output):
    """One embedding with its best program."""

    operator: str
    """its name"""
    embedding: str
    """the id"""
    classes: list[str]
    """the classes it belongs to"""
    outer: dict[str, int]
    """outer loops and their extents"""
    lanes: dict[str, tuple[str, int, int]]
    """loops on axes: axis, lanes, and how far apart these are"""
    steps: int
    """issues of the instruction"""
    layouts: dict[str, Placed]
    """by port"""
    tile: dict[str, int]
    """the tile of each outer loop, the slowest first"""
    instructions: int
    """of the program"""
    uops: int
    """micro-ops of the program"""
    cycles: int
    """simulated"""
    bound: int | None
    """cycles that no program of the embedding stays below"""
    proven: bool
    """whether the program is proven the best of its space"""
    dram_bytes: dict[str, int]
    """bytes over the DRAM bus, by memory"""


class Drawn(Output):
    """An embedding in lines of text: ``--lanes``, and instructions other than VTA's."""

    embedding: str
    """the id"""
    text: list[str]
    """what is printed"""


class Reason(Output):
    """A rule that rejects an embedding."""

    rule: str
    """its name"""
    text: str
    """a sentence about it"""
    tensor: str | None
    """whose dataflow breaks"""
    port: str | None
    """the port that holds it"""


class Verdict(Output):
    """Whether an embedding is legal, and if not, why."""

    embedding: str
    """the id"""
    reasons: list[Reason]
    """why it is rejected"""
    legal: bool
    """whether there are none"""


class Template(Output):
    """What TVM's template makes of an operator: its tiling, cycles, and what it moves."""

    th: int
    """tiles along the rows"""
    tw: int
    """tiles along the columns"""
    tci: int
    """tile of the input channels"""
    tco: int
    """tile of the output channels"""
    oc_nthread: int
    """virtual threads over output channels"""
    h_nthread: int
    """virtual threads over rows"""
    cycles: int
    """simulated"""
    gemm: int
    """micro-ops that multiply"""
    reset: int
    """micro-ops that reset accumulators"""
    alu: int
    """micro-ops of the ALU"""
    inp_bytes: int
    """bytes loaded of the input"""
    wgt_bytes: int
    """bytes loaded of the weights"""
    acc_bytes: int
    """bytes loaded of biases"""
    out_bytes: int
    """bytes stored"""
    uop_bytes: int
    """bytes loaded of micro-ops"""
    loads: int
    """LOAD instructions"""
    gemms: int
    """GEMM instructions"""
    alus: int
    """ALU instructions"""
    stores: int
    """STORE instructions"""
    instructions: int
    """all of them"""


class Gain(OpenOutput):
    """A layer against the baselines; also, for each class, cycles of the best without it."""

    layer: str
    """its name"""
    macs: int
    """multiply-accumulates"""
    embedding: str
    """the best one's id"""
    tvm_cycles: int | None
    """of TVM's template"""
    reference_cycles: int | None
    """of the reference embedding"""
    relayout_cycles: int | None
    """of it in its best layouts"""
    best_cycles: int | None
    """of the best embedding"""
    over_tvm: float | None
    """speedup"""
    over_reference: float | None
    """speedup"""
    over_bound: float | None
    """best cycles over their lower bound"""


class Verified(Output):
    """An embedding whose program was executed."""

    embedding: str
    """its id"""
    verdict: Literal["exact", "differs", "does not fit"]
    """of the comparison with the definition"""
    outputs: int
    """that were compared"""
    wrong: int
    """of them"""
    accumulators: int | None = None
    """that were compared"""
    wrong_accumulators: int | None = None
    """of them"""
    cycles: int | None = None
    """simulated"""


class Executed(OpenOutput):
    """An embedding that was executed step by step; also the layout on each port."""

    __pydantic_extra__: dict[str, str] = Field(init=False)

    embedding: str
    """its id"""
    classes: str
    """the classes it belongs to, joined by +"""
    steps: int
    """issues of the instruction"""
    utilisation: float
    """share of the lanes that work"""
    verdict: Literal["exact", "differs"]
    """of the comparison with the definition"""
    accumulators: int
    """that were compared"""
    wrong: int
    """of them"""


class Refused(Output):
    """Why units have no result."""

    status: str
    """what became of them"""
    reason: str
    """in words"""
    units: int
    """how many"""


class Failure(Output):
    """A unit that is to be tried again."""

    layer: str
    """its operator"""
    unit: str
    """its key"""
    error: str
    """what went wrong"""


class Swept(Output):
    """What a sweep did."""

    store: str
    """the directory of the results"""
    units: int
    """of the study"""
    done: int
    """now"""
    reused: int
    """from before"""
    failed: int
    """to be tried again"""
    statuses: dict[str, int]
    """units by status"""
    reasons: list[Refused]
    """why there is no result"""
    failures: list[Failure]
    """those to be tried again"""
    classes_left_out: list[str]
    """classes of embeddings that were not looked at"""


class Planned(Output):
    """What a sweep would do."""

    study: str
    """its name"""
    layers: int
    """different ones"""
    configurations: int
    """that meet the constraints"""
    units: int
    """layers times configurations"""
    refused: dict[str, int]
    """configurations that VTA's instructions cannot encode, by the reason"""
    left: int | None
    """units that the store does not have yet; null without a store"""


class Row(OpenOutput):
    """A row with the columns that were asked for."""


class Described(Output):
    """A schema."""

    name: str
    """what ``explorer schema`` takes"""
    what: str
    """it is of"""
    command: str | None
    """that prints such a document; null for one that is read"""


def _columns() -> dict[str, Any]:
    """The columns of a unit, each of which may be missing where there is no result."""
    return {
        name: (Annotated[kind | None, Field(description=text)], ...)
        for name, (kind, text) in COLUMNS.items()
    }


_Operator = Annotated[str, Field(description="the operator's name in its workload")]
_Status = Annotated[
    str,
    Field(description="ok, or why there is no result", json_schema_extra={"enum": list(STATUSES)}),
]
Result: Any = create_model(
    "Result",
    __base__=Output,
    __doc__="A point of a unit.",
    **_columns() | {"operator": (_Operator, ...), "status": (_Status, ...)},
)


class Total(OpenOutput):
    """A workload under a configuration: sums over its layers, each as often as it runs."""

    workload: str
    """its name"""
    configuration: str
    """its short name"""
    cycles: int | None
    """null if a layer has no result"""
    missing: int
    """layers without a result"""
    layers: int
    """of the workload"""
