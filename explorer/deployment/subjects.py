"""A network with what it takes to compute: constants, what its host nodes do, and inputs.

Of a quantised ONNX model all of that is known. A document has no weights and says no more of a host
node than its operation: there constants, and what host nodes write, are drawn at random, as for
single operators. A model of floats has no integers, so that its constants are drawn, too; but its
host nodes do what it says.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from explorer.deployment.image import HostModel
from explorer.network import models
from explorer.network.builder import Concat
from explorer.network.graph import Accelerated, Host, Network, Tensor, operand
from explorer.network.integers import evaluated
from explorer.network.shipped import NETWORKS
from explorer.network.size import check_run
from explorer.program.verification import drawn
from isa.errors import InputError
from isa.schema import is_document

if TYPE_CHECKING:
    from explorer.network.onnx_import import Imported

Array = NDArray[Any]
_INTEGERS = {"int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64", "bool"}


@dataclass(frozen=True, slots=True, eq=False)
class Subject:
    """A network that can be computed.

    Attributes:
        network: the network.
        values: its constants by name.
        imported: the model that says what the host does; None where that is drawn at random.
        seed: of what is drawn.
        drawn: whether constants are, so that outputs are not the model's.
    """

    network: Network
    values: Mapping[str, Array]
    imported: Imported | None
    seed: int
    drawn: bool = False

    def host(self, node: Host, given: Mapping[str, Array]) -> Mapping[str, Array]:
        """What a host node writes."""
        if self.imported is None:
            place = self.network.nodes.index(node)
            rng = np.random.default_rng([self.seed, place])
            return {n: _random(self.network.by_name[n], rng) for n in node.writes}
        from explorer.network.reference import hosted  # noqa: PLC0415 - needs the extra

        return hosted(self.imported, node.name, given)

    def inputs(self) -> dict[str, Array]:
        """Random inputs."""
        rng, found = np.random.default_rng(self.seed), {}
        for name in self.network.inputs:
            tensor = self.network.by_name[name]
            if tensor.shape is None:
                allowed = (
                    "the model leaves it open: NAME=1x3x224x224 is needed, or a document with it"
                )
                raise InputError("--shape", name, None, allowed)
            found[name] = _random(tensor, rng)
        return found

    def tensors(self, given: Mapping[str, Array]) -> dict[str, Array]:
        """All tensors that vary, by the integer reference; see `explorer.network.integers`."""
        return evaluated(self.network, self.values, given, self.host, nearest=True)

    def original(self, given: Mapping[str, Array]) -> dict[str, Array]:
        """The outputs of the model itself, by ONNX Runtime; none without its constants."""
        if self.imported is None or self.drawn:
            return {}
        from explorer.network.reference import execute  # noqa: PLC0415 - needs the extra

        names, outputs = self.imported.names, self.network.outputs
        arrays = {names[n]: array for n, array in given.items()}
        found = execute(self.imported.model.proto, arrays, [names[n] for n in outputs])
        return dict(zip(outputs, found, strict=True))

    def host_models(self) -> dict[str, HostModel]:
        """The host nodes as models, where that is known.

        Raises:
            InputError: the model does not say the type of what a node reads, and its inputs are
                open, so that it is not computed either.
        """
        if self.imported is None:
            return {}
        from explorer.network.reference import (  # noqa: PLC0415 - needs the extra
            host_model,
            host_types,
        )

        found = {}
        names = self.imported.names
        computed = cache(lambda: self.tensors(self.inputs()))
        for node in self.network.nodes:
            if isinstance(node, Host):
                types = host_types(self.imported, node.name, computed)
                model = host_model(self.imported, node.name, types)
                data = model.SerializeToString(deterministic=True)
                found[node.name] = HostModel(
                    data, {n: names[n] for n in node.reads}, {n: names[n] for n in node.writes}
                )
        return found


def subject(
    text: str,
    concat: Concat = "terms",
    shapes: Mapping[str, tuple[int, ...]] | None = None,
    seed: int = 0,
) -> Subject:
    """What a command line argument means, ready to be computed; see `models.resolve`.

    Raises:
        InputError: as there, or its tensors do not fit into the memory that is free.
    """
    named = text in NETWORKS or text.endswith(models.DOCUMENTS)
    if not named and (text.endswith(".onnx") or is_document(text)):
        from explorer.network import onnx_import  # noqa: PLC0415 - an extra, and slow to import

        imported = onnx_import.load(Path(text), shapes, concat=concat == "terms")
        network = imported.network
        needed = {v.tensor for node in network.accelerated for v in node.inputs}
        check_run(network)
        constants = {t.name for t in network.tensors if t.constant} & needed
        if constants <= imported.values.keys():
            return Subject(network, imported.values, imported, seed)
        return Subject(network, _constants(network, seed), imported, seed, drawn=True)
    network = models.resolve(text, concat, shapes)
    check_run(network)
    return Subject(network, _constants(network, seed), None, seed, drawn=True)


def _constants(network: Network, seed: int) -> dict[str, Array]:
    """Random constants: each as the first node that reads it would have it by itself."""
    found: dict[str, Array] = {}
    for number, node in enumerate(network.nodes):
        if not isinstance(node, Accelerated):
            continue
        random = drawn(node.operator, seed + number)
        first = node.operator.terms[0].computation
        random |= {first.in0.name: random.pop("in0"), first.in1.name: random.pop("in1")}
        for view in node.inputs:
            tensor = network.by_name[view.tensor]
            if tensor.constant and tensor.name not in found:
                array = random[view.operand].reshape(operand(node.operator, view.operand).shape)
                found[tensor.name] = view.write(array, tensor.shape or ())
    return found


def _random(tensor: Tensor, rng: np.random.Generator) -> Array:
    """A tensor over the whole range of its type; floats are normal.

    Integers of more than 8 bits are ids, lengths or rates, of which a model knows some: they are 0
    or 1, which most models do.
    """
    if tensor.shape is None or tensor.dtype == "other":
        allowed = "a shape and a type are needed to draw what the host would write"
        raise InputError("network", f"tensors.{tensor.name}", tensor.shape, allowed)
    if tensor.dtype == "bool":
        return rng.integers(0, 2, tensor.shape).astype(np.bool_)
    if tensor.dtype in _INTEGERS:
        limits, wide = np.iinfo(tensor.dtype), tensor.dtype not in {"int8", "uint8"}
        least, most = (0, 1) if wide else (limits.min, limits.max)
        return rng.integers(least, most, tensor.shape, tensor.dtype, endpoint=True)
    if tensor.dtype in {"float16", "float32", "float64"}:
        return rng.normal(0, 2, tensor.shape).astype(tensor.dtype)
    raise InputError("network", f"tensors.{tensor.name}", tensor.dtype, "no type that numpy has")
