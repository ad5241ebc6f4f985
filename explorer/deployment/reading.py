"""A network's folder as a deployment again; whatever is wrong with one is said in one line."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from explorer.deployment.content import NO_ROWS, Content, Rows, Summand
from explorer.deployment.image import (
    Action,
    Deployment,
    HostModel,
    Placed,
    Run,
    Segment,
    unit,
)
from explorer.deployment.manifest import (
    ActionEntry,
    ConstantEntry,
    ContentEntry,
    File,
    NetworkManifest,
    PlacedEntry,
    SegmentEntry,
)
from explorer.deployment.steps import Call, Fill, Pack, Unpack
from explorer.layout.held import Held
from explorer.network import document
from explorer.network.graph import Host, Network
from isa.codec import DecodingError, EncodingError, decode, decode_uops, encode
from isa.config import PRESETS, Config
from isa.errors import InputError
from isa.fields import INSTRUCTION_BYTES, Column
from isa.files import parsing, read_bytes, read_text
from isa.folder.files import MANIFEST, digest
from isa.folder.relocation import addressing
from isa.json import parse_json
from isa.schema import validate
from isa.words import counted
from simulator.counts import element_bytes

Array = NDArray[Any]


def read(path: Path) -> Deployment:
    """The network in a folder.

    Raises:
        InputError: a file is missing, of a wrong size or digest, or says what cannot be.
    """
    source = str(path / MANIFEST)
    text = read_text(path / MANIFEST, "a network's folder is needed, as network emit writes it")
    found = parse_json(text, source)
    if found.get("format") != "network":
        allowed = "network, as network emit writes it; explorer run takes programs' folders"
        raise InputError(source, "format", found.get("format"), allowed)
    manifest = validate(NetworkManifest, found, source)
    # Of what two files say of each other, not everything is checked beforehand.
    with parsing(source, "must say what its files hold, as network emit writes both"):
        return _Reader(path, manifest).deployment()


def _named(config: Config) -> Config:
    """A configuration under the name of the preset that it is, or of its bitstream."""
    found = config.to_dict()
    same = (name for name in PRESETS if Config.load(name).to_dict() == found)
    return replace(config, name=next(same, config.bitstream))


class _Reader:
    """A folder with its manifest."""

    def __init__(self, path: Path, manifest: NetworkManifest) -> None:
        self.path, self.manifest, self.source = path, manifest, str(path / MANIFEST)
        self.config = _named(Config.from_dict(manifest.configuration, self.source))
        self.known: dict[str, NDArray[np.int32]] = {}

    def wrong(self, field: str, value: object, allowed: str) -> InputError:
        """An error in the manifest."""
        return InputError(self.source, field, value, allowed)

    def file(self, entry: File) -> bytes:
        """The bytes of a file."""
        path = self.path / entry.file
        data = read_bytes(path, f"a file of {counted(entry.size, 'byte')}", entry.size)
        if len(data) != entry.size or digest(data) != entry.sha256:
            allowed = "what the manifest says of it"
            raise InputError(str(path), "", counted(len(data), "byte"), allowed)
        return data

    def deployment(self) -> Deployment:
        """All of it."""
        manifest = self.manifest
        self.file(manifest.network)
        network = document.load(self.path / manifest.network.file)
        if (list(network.inputs), list(network.outputs)) != (manifest.inputs, manifest.outputs):
            raise self.wrong("inputs", manifest.inputs, f"those of {manifest.network.file}")
        placed = tuple(self.placed(n, part, network) for n, part in enumerate(manifest.ranges))
        segments = tuple(self.segment(n, s, placed) for n, s in enumerate(manifest.segments))
        actions = tuple(self.action(n, a, network) for n, a in enumerate(manifest.steps))
        models = {
            name: HostModel(self.file(host.model), host.inputs, host.outputs)
            for name, host in manifest.hosts.items()
        }
        for name, model in models.items():
            self.host(name, model, network)
        return Deployment(
            network,
            self.config,
            self.coded(placed, segments),
            segments,
            actions,
            dict(self.constants(network)),
            models,
            manifest.size,
            manifest.peak,
            manifest.bound,
        )

    def placed(self, number: int, entry: PlacedEntry, network: Network) -> Placed:
        """A range of memory."""
        field = f"ranges.{number}"
        if entry.address + entry.size > self.manifest.size or entry.address % unit(self.config):
            within = counted(self.manifest.size, "byte")
            allowed = f"a multiple of {unit(self.config)}, within {within}"
            raise self.wrong(f"{field}.address", entry.address, allowed)
        if (entry.kind == "tensor") != (entry.content is not None):
            raise self.wrong(f"{field}.content", None, "a tensor has one, and nothing else")
        if (entry.file is None) != (entry.kind == "tensor") or (entry.sha256 is None) != (
            entry.file is None
        ):
            raise self.wrong(f"{field}.file", entry.file, "all but tensors have one")
        data = b""
        if entry.file is not None and entry.sha256 is not None:
            data = self.file(File(file=entry.file, size=entry.size, sha256=entry.sha256))
        content = self.content(field, entry.content, network) if entry.content else None
        if content is not None and content.size != entry.size:
            allowed = f"{counted(content.size, 'byte')} of its indices"
            raise self.wrong(f"{field}.size", entry.size, allowed)
        return Placed(
            entry.name, entry.kind, entry.address, entry.size, content, data, entry.first,
            entry.last, self.filled(field, entry, content),
        )  # fmt: skip

    def filled(self, field: str, entry: PlacedEntry, content: Content | None) -> Rows:
        """The entries of a range that the host makes."""
        if entry.filled is None:
            return NO_ROWS
        data = self.file(entry.filled)
        rows = np.frombuffer(data[: len(data) // 4 * 4], "<i4").astype(np.int32)
        most = 0 if content is None else content.summands[0].held.shape[0]
        if len(data) % 4 or not len(rows) or rows.min() < 0 or rows.max() >= most:
            allowed = f"numbers of {counted(most, 'entry', 'entries')}"
            raise self.wrong(f"{field}.filled", entry.filled.file, allowed)
        return rows

    def content(self, field: str, entry: ContentEntry, network: Network) -> Content:
        """What a buffer holds."""
        summands = tuple(
            Summand(s.tensor, self.index(field, s.tensor, s.index, entry.lanes, network), s.form,
                    s.number)
            for s in entry.summands
        )  # fmt: skip
        if len({s.held.shape for s in summands}) > 1:
            raise self.wrong(f"{field}.content.summands", len(summands), "indices of one size")
        return Content(summands, entry.const, entry.dtype == "int32", entry.layout)

    def index(self, field: str, tensor: str, file: File, lanes: int, network: Network) -> Held:
        """The elements of a tensor that lanes hold."""
        known = network.by_name.get(tensor)
        if known is None or known.shape is None:
            raise self.wrong(f"{field}.content", tensor, "a tensor of the network, of known shape")
        if file.file not in self.known:
            data = self.file(file)
            if len(data) % 4:
                raise self.wrong(f"{field}.content", file.size, "a number of 4 bytes for each lane")
            self.known[file.file] = np.frombuffer(data, "<i4").astype(np.int32)
        index = self.known[file.file]
        if index.size % lanes or not index.size or int(index.max()) >= known.size:
            raise self.wrong(f"{field}.content", file.file, f"elements of {tensor}, {lanes} lanes")
        return Held.of_rows([index.reshape(-1, lanes)])

    def segment(self, number: int, entry: SegmentEntry, placed: tuple[Placed, ...]) -> Segment:
        """A segment with absolute addresses."""
        field, code = f"segments.{number}", self.place(entry.instructions, "instructions", placed)
        micro = self.place(entry.micro_ops, "micro-ops", placed)
        if code.size != entry.count * INSTRUCTION_BYTES or not entry.count:
            allowed = f"{counted(code.size, 'byte')} of instructions"
            raise self.wrong(f"{field}.count", entry.count, allowed)
        try:
            table = decode(self.config, code.data)
            uops = decode_uops(self.config, micro.data)
        except DecodingError as error:
            raise InputError(self.source, field, "instructions", str(error)) from None
        if entry.relocations.size % 8:
            allowed = "two numbers of 4 bytes for each instruction that moves data"
            raise self.wrong(f"{field}.relocations", entry.relocations.size, allowed)
        records = np.frombuffer(self.file(entry.relocations), "<u4").astype(np.int64)
        rows, targets = records.reshape(-1, 2).T
        wanted = np.flatnonzero(addressing(table))
        if not np.array_equal(rows, wanted) or int(targets.max(initial=0)) >= len(placed):
            raise self.wrong(f"{field}.relocations", None, "one for each that moves data, in order")
        points = np.full(len(table), -1)
        points[rows] = targets
        sizes = element_bytes(self.config)[table[:, Column.MEMORY_TYPE]]
        bases = np.array([p.address for p in placed], np.int64)
        table[rows, Column.DRAM_BASE] += bases[targets] // sizes[rows]
        starts = tuple(node.instruction for node in entry.nodes)
        if list(starts) != sorted(set(starts)) or starts[0] or starts[-1] >= len(table):
            raise self.wrong(f"{field}.nodes", starts[-1], "instructions in order, from 0 on")
        for place in entry.outputs:
            self.place(place, "tensor", placed)
        return Segment(
            tuple(node.name for node in entry.nodes),
            tuple(node.candidate for node in entry.nodes),
            entry.border, table, points, starts, uops, entry.micro_ops, entry.instructions,
            tuple(entry.outputs), entry.cycles, entry.cycles_alone,
        )  # fmt: skip

    def coded(
        self, placed: tuple[Placed, ...], segments: tuple[Segment, ...]
    ) -> tuple[Placed, ...]:
        """Memory with the segments' instructions as they have to be there."""
        try:
            code = {s.code: encode(self.config, s.table) for s in segments}
        except EncodingError as error:
            raise InputError(self.source, "segments", "instructions", str(error)) from None
        return tuple(replace(p, data=code.get(n, p.data)) for n, p in enumerate(placed))

    def place(self, number: int, kind: str, placed: tuple[Placed, ...]) -> Placed:
        """A range of memory that has to be of some kind."""
        if number >= len(placed) or placed[number].kind != kind:
            raise self.wrong("ranges", number, f"a number of {kind}")
        return placed[number]

    def action(self, number: int, entry: ActionEntry, network: Network) -> Action:
        """A step."""
        field = f"steps.{number}"
        ranges = [n for n, p in enumerate(self.manifest.ranges) if p.kind == "tensor"]
        if entry.do in {"pack", "fill", "unpack"}:
            if entry.range not in ranges:
                raise self.wrong(f"{field}.range", entry.range, "the number of a tensor's range")
            content = self.manifest.ranges[entry.range].content
            assert content is not None
            names = list(dict.fromkeys(s.tensor for s in content.summands))
            if entry.do != "unpack":
                found = self.sources(field, entry, names)
                pack = entry.do == "pack"
                return Pack(entry.range, found) if pack else Fill(entry.range, found[0])
            if entry.tensor not in names:
                raise self.wrong(f"{field}.tensor", entry.tensor, "what the range holds")
            return Unpack(entry.range, entry.tensor)
        if entry.do == "launch":
            if entry.segment is None or entry.segment >= len(self.manifest.segments):
                raise self.wrong(f"{field}.segment", entry.segment, "a segment's number")
            return Run(entry.segment)
        if entry.node is None or entry.node not in {node.name for node in network.nodes}:
            raise self.wrong(f"{field}.node", entry.node, "a node of the network")
        return Call(entry.node)

    def sources(self, field: str, entry: ActionEntry, names: list[str]) -> tuple[int, ...]:
        """The ranges that a step takes tensors from; -1 for what the host has."""
        given = entry.sources or []
        if len(given) != len(names):
            raise self.wrong(f"{field}.sources", given, f"one for each of {', '.join(names)}")
        for source, name in zip(given, names, strict=True):
            known = source is not None and source < len(self.manifest.ranges)
            content = self.manifest.ranges[source].content if source is not None and known else None
            held = [] if content is None else [s.tensor for s in content.summands]
            if source is not None and held != [name]:
                raise self.wrong(f"{field}.sources", source, f"a range that holds {name}, or null")
        return tuple(-1 if source is None else source for source in given)

    def host(self, name: str, model: HostModel, network: Network) -> None:
        """Check that a model is a host node's."""
        nodes = {n.name: n for n in network.nodes if isinstance(n, Host)}
        if (
            name not in nodes
            or set(model.inputs) != set(nodes[name].reads)
            or set(model.outputs) != set(nodes[name].writes)
        ):
            raise self.wrong(f"hosts.{name}", name, "a host node, with the tensors that it has")

    def constants(self, network: Network) -> Iterator[tuple[str, Array]]:
        """The constants that the host needs."""
        for name, entry in self.manifest.constants.items():
            yield name, self.constant(name, entry, network)

    def constant(self, name: str, entry: ConstantEntry, network: Network) -> Array:
        """A constant."""
        known = network.by_name.get(name)
        if known is None or known.shape != tuple(entry.shape) or not known.constant:
            raise self.wrong(f"constants.{name}", entry.shape, "a constant of the network")
        try:
            dtype = np.dtype(entry.dtype)
        except TypeError:
            raise self.wrong(f"constants.{name}.dtype", entry.dtype, "a type of numpy's") from None
        data = self.file(entry.data)
        if len(data) != known.size * dtype.itemsize:
            raise self.wrong(f"constants.{name}", len(data), f"{known.size:,} of {dtype.name}")
        return np.frombuffer(data, dtype.newbyteorder("<")).astype(dtype).reshape(entry.shape)
