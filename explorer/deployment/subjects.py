"""A network with what it takes to compute: constants, what its host nodes do, and inputs.

Of a quantised ONNX model all of that is known. A model of floats has no integers, so its constants
are drawn at random, as for single operators; its host nodes have the integers as floats of the same
value. A document has no weights and says no more of a host node than its operation: there, what
host nodes write is drawn at random, too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
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
from isa.files import parsing
from isa.schema import is_document

if TYPE_CHECKING:
    from explorer.network.onnx.importing import Imported

Array = NDArray[Any]
_INTEGERS = {"int8", "uint8", "int16", "uint16"}
_WIDE = {"int32", "uint32", "int64", "uint64"}
_UNNAMED = {"other", "int4", "uint4", "bfloat16"}  # types that numpy has no name for


@dataclass(frozen=True, slots=True, eq=False)
class Subject:
    """A network that can be computed.

    Attributes:
        network: the network.
        values: its constants by name.
        imported: the model that says what the host does; None where that is drawn at random.
        drawn: whether constants are drawn at random, so that outputs are no model's.
        seed: of what is drawn.
    """

    network: Network
    values: Mapping[str, Array]
    imported: Imported | None
    drawn: bool
    seed: int

    def host(self, node: Host, given: Mapping[str, Array]) -> Mapping[str, Array]:
        """What a host node writes."""
        if self.imported is None:
            place = self.network.nodes.index(node)
            rng = np.random.default_rng([self.seed, place])
            return {n: _random(self.network.by_name[n], rng) for n in node.writes}
        from explorer.network.onnx.reference import hosted  # noqa: PLC0415 - needs the extra

        outputs = hosted(self.imported, node.name, given)
        return {n: outputs[self.imported.names[n]] for n in node.writes}

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
        """The outputs of the model itself, by ONNX Runtime; none where constants are drawn.

        Raises:
            InputError: ONNX Runtime does not run it.
        """
        if self.imported is None or self.drawn:
            return {}
        import onnx  # noqa: PLC0415 - an extra

        from explorer.network.onnx.reference import execute  # noqa: PLC0415 - needs the extra

        names, outputs = self.imported.names, self.network.outputs
        arrays = {names[n]: array for n, array in given.items()}
        path = self.imported.model.path
        with parsing(str(path), "must be a model that ONNX Runtime runs"):
            # As it is in the file: what was evaluated of it is compared as well.
            found = execute(onnx.load(path, format="protobuf"), arrays, [names[n] for n in outputs])
        return dict(zip(outputs, found, strict=True))

    def host_models(self) -> dict[str, HostModel]:
        """The host nodes as models, where that is known."""
        if self.imported is None:
            return {}
        from explorer.network.onnx.reference import host_model  # noqa: PLC0415 - needs the extra

        found = {}
        names, tensors = self.imported.names, self._shaped()
        for node in self.network.nodes:
            if isinstance(node, Host):
                given = {n: tensors[n] for n in node.reads}
                model, _ = host_model(self.imported, node.name, given)
                data = model.SerializeToString(deterministic=True)
                found[node.name] = HostModel(
                    data, {n: names[n] for n in node.reads}, {n: names[n] for n in node.writes}
                )
        return found

    def _shaped(self) -> Mapping[str, Array]:
        """Arrays of the types and shapes of what host nodes read; computed only where unknown."""
        read = {n for node in self.network.nodes if isinstance(node, Host) for n in node.reads}
        known = [self.network.by_name[n] for n in sorted(read)]
        if any(t.shape is None or t.dtype in _UNNAMED for t in known):
            return self.tensors(self.inputs())
        zero = np.zeros(())
        return {t.name: np.broadcast_to(zero.astype(t.dtype), t.shape or ()) for t in known}


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
        from explorer.network.onnx import importing  # noqa: PLC0415 - an extra, and slow to import

        imported = importing.load(Path(text), shapes, concat=concat == "terms")
        network = imported.network
        check_run(network)
        if imported.quantised:
            return Subject(network, imported.values, imported, drawn=False, seed=seed)
        drawn = {**_constants(network, seed), **imported.values}
        return Subject(network, drawn, imported, drawn=True, seed=seed)
    network = models.resolve(text, concat, shapes)
    check_run(network)
    return Subject(network, _constants(network, seed), None, drawn=True, seed=seed)


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
    rng = np.random.default_rng(seed)
    for name in network.outputs:
        tensor = network.by_name[name]
        if tensor.constant and name not in found:
            found[name] = _random(tensor, rng)
    return found


def _random(tensor: Tensor, rng: np.random.Generator) -> Array:
    """A tensor over the whole range of its type; floats are normal, wide integers 0 or 1."""
    if tensor.shape is None or tensor.dtype == "other":
        allowed = "a shape and a type are needed to draw what the host would write"
        raise InputError("network", f"tensors.{tensor.name}", tensor.shape, allowed)
    if tensor.dtype == "bool":
        return rng.integers(0, 2, tensor.shape).astype(np.bool_)
    if tensor.dtype in _WIDE:
        # Numbers of tokens and masks: of what there is to count, or to tell apart, two are there.
        return rng.integers(0, 2, tensor.shape, tensor.dtype)
    if tensor.dtype in _INTEGERS:
        limits = np.iinfo(tensor.dtype)
        return rng.integers(limits.min, limits.max, tensor.shape, tensor.dtype, endpoint=True)
    if tensor.dtype in {"float16", "float32", "float64"}:
        return rng.normal(0, 2, tensor.shape).astype(tensor.dtype)
    raise InputError("network", f"tensors.{tensor.name}", tensor.dtype, "no type that numpy has")
