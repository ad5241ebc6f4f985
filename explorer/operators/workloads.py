"""The workloads that ship, and how a reference on the command line finds its operator.

`DeepBench`_ inference kernels, as ``deepbench:conv/server/…``, ``deepbench:gemm/…`` and
``deepbench:rnn/…``, and the convolutions of ResNet-18 on which VTA is usually measured, as
``resnet18:C2``.

- A GEMM of DeepBench is ``A (m×k) · B (k×n)``, where A is the weights and n the batch. The
  operator's rows are the batch and its columns the weights' rows,
  ``out[n, m] += B[k, n] * A[m, k]``, so that the constant input is the one that DeepBench holds
  constant. Transposition flags are part of the name only.
- A recurrent layer is the matrix products it consists of, its gates stacked (1 for vanilla, 4 for
  LSTM, 3 for GRU). ``…/lstm_h512_b1_t25`` is the recurrent product of one time step (batch rows,
  gates * hidden columns, over hidden). The name followed by ``/input`` is the product with the
  inputs, which do not wait for each other: batch * timesteps rows are one operator. As in
  DeepBench, the inputs are as wide as the hidden state.

.. _DeepBench: https://github.com/baidu-research/DeepBench
"""

from __future__ import annotations

import csv
import re
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from difflib import get_close_matches
from functools import cache, partial
from importlib.resources import files
from pathlib import Path

from explorer.operators import inline, layer_files
from explorer.operators.constructors import gemm
from explorer.operators.kinds import KINDS, construct, expected
from isa import plugins
from isa.computation import Operator
from isa.errors import InputError, InputWarning
from isa.files import parsing
from isa.schema import is_document

_Builder = Callable[[], Operator]

_REFERENCE = re.compile(r"[a-z][a-z0-9]*:[A-Za-z0-9._/-]+")

_GATES = {"vanilla": 1, "gru": 3, "lstm": 4}


@dataclass(frozen=True, slots=True)
class Entry:
    """A workload of a suite; several terms are added up.

    Attributes:
        reference: what `resolve` takes.
        kind: the operator's kind.
        dims: its dimensions, as ``n=1 oc=64 …``, of each term.
        macs: multiply-accumulates.
        in0: elements of first inputs.
        in1: elements of second inputs, usually the weights.
        out: elements of the output.
    """

    reference: str
    kind: str
    dims: str
    macs: int
    in0: int
    in1: int
    out: int


def resolve(text: str) -> Operator:
    """The operator that a command line argument means.

    Args:
        text: a YAML file's path, with a layer's label where it holds several (``net.yaml:3``), the
            reference of a shipped workload (``resnet18:C2``), or a kind with its arguments
            (``gemm:m=1,n=64,k=64``).

    Raises:
        InputError: it is none of these, or what it refers to is not an operator.
    """
    if is_document(text):
        return layer_files.read(Path(text)).only()
    if layer := layer_files.split(text):
        return layer_files.read(layer[0]).layer(layer[1])
    prefix = text.partition(":")[0].strip()
    if prefix in _suites():
        return _shipped(text)
    if prefix in KINDS:
        return inline.parse(text)
    allowed = expected(
        prefix, [*KINDS, *_suites()], "a YAML file, or a text that starts with one of"
    )
    raise InputError(text, "", prefix, allowed)


def catalogue(suite: str | None = None) -> Iterator[Entry]:
    """The workloads of a suite, in the order of their list.

    Args:
        suite: a file of layers; or of those that ship the beginning of a reference up to a ``:`` or
            ``/`` (``deepbench``, ``deepbench:conv/server``); or None for all that ship.

    Warns:
        InputWarning: layers of a file are left out, as they are no products.

    Raises:
        InputError: no reference begins so, or the file cannot be read.
    """
    if suite is not None and (is_document(suite) or layer_files.split(suite)):
        return (_entry(reference, resolve(reference)) for reference, _ in members(suite))
    return (_entry(reference, _index()[reference]()) for reference in _chosen(suite or ""))


def members(text: str) -> list[tuple[str, int]]:
    """What a suite, a file of layers or an operator consists of: references, and how often each is.

    Warns:
        InputWarning: layers of a file are left out, as they are no products.

    Raises:
        InputError: a file cannot be read.
    """
    if is_document(text):
        found = layer_files.read(Path(text))
        if not found.layers:
            found.only()  # which says that there are none
        if found.omitted:
            left_out = ", ".join(found.omitted)
            warning = f"{text}: left out, as no product of two tensors: {left_out}"
            warnings.warn(warning, InputWarning, stacklevel=2)
        repeats = found.repeats
        return [(known, repeats.get(label, 1)) for known, label in found.references().items()]
    try:
        return [(reference, 1) for reference in _chosen(text)]
    except InputError:  # no suite: one operator, or none, of which `resolve` says more
        return [(text, 1)]


def _chosen(suite: str) -> list[str]:
    """The references of those that ship that begin so.

    Raises:
        InputError: none does.
    """
    whole = suite.rstrip(":/")
    chosen = [
        r for r in _index() if not whole or r == whole or r.startswith((f"{whole}:", f"{whole}/"))
    ]
    if not chosen:
        raise InputError("suite", "", whole, expected(whole, _groups(), "one of"))
    return chosen


def group(reference: str) -> str:
    """The list that a workload is in, as a file's name: ``deepbench_conv``, ``resnet18``."""
    file = layer_files.split(reference)
    if file or is_document(reference):
        return (file[0] if file else Path(reference)).stem
    head, slash, _ = reference.partition("/")
    return head.replace(":", "_") if slash else head.partition(":")[0]


def _entry(reference: str, operator: Operator) -> Entry:
    terms = [term.computation for term in operator.terms]
    dims = " + ".join(" ".join(f"{d.name}={d.extent}" for d in term.dims) for term in terms)
    inputs = (sum(t.in0.size for t in terms), sum(t.in1.size for t in terms))
    macs = sum(term.macs for term in terms)
    return Entry(reference, operator.kind, dims, macs, *inputs, operator.out.size)


def _shipped(text: str) -> Operator:
    """The workload of a reference; DeepBench's set may be left out when the name is in one only."""
    index = _index()
    found = [text] if text in index else [r for r in index if _without_set(r) == text]
    if len(found) == 1:
        return replace(index[found[0]](), name=found[0])
    if found:
        raise InputError(text, "", text.partition(":")[2], f"is one of {', '.join(found)}")
    suite, _, name = text.partition(":")
    group = text.partition("/")[0]
    listed = [r for r in index if r.startswith(group)] or [r for r in index if r.startswith(suite)]
    near = get_close_matches(text, listed, n=3) if name else []
    allowed = (
        f"{suite} has {', '.join(near or listed[:3])} … (`explorer operators {suite}` lists all)"
    )
    raise InputError(text, "", name or None, allowed)


def _without_set(reference: str) -> str:
    """A DeepBench reference without ``server/`` or ``device/``."""
    suite, *path = reference.split("/")
    return "/".join([suite, *path[1:]])


def _groups() -> list[str]:
    """Every beginning of a reference that stands for several."""
    groups: dict[str, None] = {}
    for reference in _index():
        suite, _, path = reference.partition(":")
        first, *rest = path.split("/")
        groups[suite] = None
        if rest:
            groups |= dict.fromkeys([f"{suite}:{first}", f"{suite}:{first}/{rest[0]}"])
    return list(groups)


@cache
def _suites() -> tuple[str, ...]:
    return tuple(dict.fromkeys(reference.partition(":")[0] for reference in _index()))


@cache
def _index() -> dict[str, _Builder]:
    """Every reference, and what builds its operator; of the packages in the order of their names.

    Raises:
        InputError: what a package adds cannot be used.
    """
    found: dict[str, _Builder] = {}
    for source, given in plugins.load("workloads"):
        with parsing(source, "pairs of a reference and a function"):
            added: dict[str, _Builder] = dict(given)
        for reference in added:
            if not _REFERENCE.fullmatch(reference) or reference in found:
                allowed = "SUITE:NAME, of letters, digits and -._/, which no other package has"
                raise InputError(source, "", reference, allowed)
        found |= added
    return found


def resnet18() -> Iterator[tuple[str, _Builder]]:
    """The convolutions of ResNet-18: an entry point, see `isa.plugins`."""
    for row in _table("resnet18"):
        reference = f"resnet18:{row.pop('name')}"
        yield reference, partial(construct, reference, "conv2d", row)


def deepbench() -> Iterator[tuple[str, _Builder]]:
    """DeepBench's inference kernels: an entry point, see `isa.plugins`."""
    yield from _deepbench_conv()
    yield from _deepbench_gemm()
    yield from _deepbench_rnn()


def _deepbench_conv() -> Iterator[tuple[str, _Builder]]:
    for row in _table("deepbench_inference_conv"):
        reference = f"deepbench:conv/{row.pop('set')}/{row.pop('name')}"
        yield reference, partial(construct, reference, "conv2d", row)


def _deepbench_gemm() -> Iterator[tuple[str, _Builder]]:
    for row in _table("deepbench_inference_gemm"):
        reference = f"deepbench:gemm/{row['set']}/{row['name']}"
        yield reference, partial(gemm, m=int(row["n"]), n=int(row["m"]), k=int(row["k"]))


def _deepbench_rnn() -> Iterator[tuple[str, _Builder]]:
    for row in _table("deepbench_inference_rnn"):
        hidden, batch, steps = int(row["hidden"]), int(row["batch"]), int(row["timesteps"])
        columns = _GATES[row["cell"]] * hidden
        reference = f"deepbench:rnn/{row['set']}/{row['name']}"
        yield reference, partial(gemm, m=batch, n=columns, k=hidden)
        yield f"{reference}/input", partial(gemm, m=batch * steps, n=columns, k=hidden)


def _table(name: str) -> Iterator[dict[str, str]]:
    """The rows of a list that ships."""
    path = files("explorer.operators") / "data" / f"{name}.csv"
    return csv.DictReader(path.read_text(encoding="utf-8").splitlines())
