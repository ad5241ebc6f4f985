"""A network as a folder: its files by name, whose bytes follow from what it is made of alone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from importlib.metadata import version

import numpy as np

from explorer.deployment.content import Content, Rows
from explorer.deployment.image import Action, Deployment, Run, Segment, relative, unit
from explorer.deployment.manifest import (
    VERSION,
    ActionEntry,
    ConstantEntry,
    ContentEntry,
    File,
    HostEntry,
    NetworkManifest,
    NodeEntry,
    PlacedEntry,
    SegmentEntry,
    SummandEntry,
)
from explorer.deployment.steps import Fill, Pack, Unpack
from explorer.network import document
from isa.codec import encode
from isa.folder.files import FILES, LISTING, MANIFEST, RELOCATIONS, digest
from isa.listing import listing

NETWORK = "network.json"


def folder_files(deployment: Deployment, source: Mapping[str, object]) -> dict[str, bytes]:
    """The files of a network's folder; a name may have a folder's before it.

    Args:
        deployment: the network.
        source: what it was made from, for the manifest.
    """
    text = document.dump(deployment.network, as_json=True)
    files: dict[str, bytes] = {NETWORK: text.encode()}
    writer = _Writer(deployment, files)
    ranges = [writer.placed(number) for number in range(len(deployment.placed))]
    segments = [writer.segment(number) for number in range(len(deployment.segments))]
    manifest = NetworkManifest(
        format="network",
        version=VERSION,
        generator=f"vta-explorer {version('vta-explorer')}",
        configuration=deployment.config.to_dict(),
        network=writer.file(NETWORK, files[NETWORK]),
        size=deployment.size,
        alignment=unit(deployment.config),
        peak=deployment.peak,
        bound=deployment.bound,
        inputs=list(deployment.network.inputs),
        outputs=list(deployment.network.outputs),
        ranges=ranges,
        segments=segments,
        steps=[_action(action) for action in deployment.actions],
        hosts=dict(writer.hosts()),
        constants=dict(writer.constants()),
        source=dict(source),
    )
    return files | {MANIFEST: manifest.model_dump_json(indent=1).encode() + b"\n"}


def _action(action: Action) -> ActionEntry:
    if isinstance(action, Pack):
        return ActionEntry(do="pack", range=action.buffer, sources=_known(action.sources))
    if isinstance(action, Fill):
        return ActionEntry(do="fill", range=action.buffer, sources=_known((action.source,)))
    if isinstance(action, Unpack):
        return ActionEntry(do="unpack", range=action.buffer, tensor=action.tensor)
    if isinstance(action, Run):
        return ActionEntry(do="launch", segment=action.segment)
    return ActionEntry(do="call", node=action.node)


def _known(sources: Iterable[int]) -> list[int | None]:
    return [None if source < 0 else source for source in sources]


class _Writer:
    """Files as they are added."""

    def __init__(self, deployment: Deployment, files: dict[str, bytes]) -> None:
        self.deployment, self.files = deployment, files
        self.known: dict[tuple[str, str], File] = {}
        self.places = {
            place: number
            for number, segment in enumerate(deployment.segments)
            for place in (segment.micro, segment.code)
        }

    def file(self, name: str, data: bytes) -> File:
        """Add a file."""
        self.files[name] = data
        return File(file=name, size=len(data), sha256=digest(data))

    def numbered(self, stem: str, data: bytes, suffix: str = "bin") -> File:
        """Add a file with a number for its name; equal ones are one."""
        found = self.known.get((stem, digest(data)))
        if found is None:
            number = sum(known == stem for known, _ in self.known)
            found = self.file(f"{stem}/{number:04}.{suffix}", data)
            self.known[stem, found.sha256] = found
        return found

    def placed(self, place: int) -> PlacedEntry:
        """A range of memory with its file."""
        part, number = self.deployment.placed[place], self.places.get(place, 0)
        file: File | None = None
        if part.kind == "constant":
            file = self.numbered("constants", part.data)
        elif part.kind == "micro-ops":
            file = self.file(f"{_folder(number)}/{FILES['UOP']}", part.data)
        elif part.kind == "instructions":
            segment = self.deployment.segments[number]
            data = encode(self.deployment.config, relative(self.deployment, segment))
            file = self.file(f"{_folder(number)}/{FILES['INSN']}", data)
        return PlacedEntry(
            name=part.name,
            kind=part.kind,
            address=part.address,
            size=part.size,
            file=file.file if file else None,
            sha256=file.sha256 if file else None,
            content=self.content(part.content) if part.content else None,
            filled=self.rows(part.filled) if len(part.filled) else None,
            first=part.first,
            last=part.last,
        )

    def rows(self, rows: Rows) -> File:
        """Numbers of entries."""
        return self.numbered("entries", rows.astype("<i4").tobytes())

    def content(self, content: Content) -> ContentEntry:
        """What a buffer holds, with its indices in files."""
        return ContentEntry(
            layout=content.layout,
            dtype="int32" if content.wide else "int8",
            lanes=content.summands[0].held.shape[1],
            const=content.const,
            summands=[
                SummandEntry(
                    tensor=s.tensor,
                    index=self.numbered("indices", s.index.astype("<i4").tobytes()),
                    form=s.form,
                    number=s.number,
                )
                for s in content.summands
            ],
        )

    def segment(self, number: int) -> SegmentEntry:
        """A segment's entry, with what tells where its instructions point."""
        segment = self.deployment.segments[number]
        rows = np.flatnonzero(segment.points >= 0)
        records = np.stack([rows, segment.points[rows]], axis=1).astype("<u4")
        text = listing(relative(self.deployment, segment), segment.uops) + "\n"
        return SegmentEntry(
            nodes=list(_nodes(segment)),
            border=segment.border,
            micro_ops=segment.micro,
            instructions=segment.code,
            count=len(segment.table),
            outputs=list(segment.outputs),
            relocations=self.file(f"{_folder(number)}/{RELOCATIONS}", records.tobytes()),
            listing=self.file(f"{_folder(number)}/{LISTING}", text.encode()),
            cycles=segment.cycles,
            cycles_alone=segment.alone,
        )

    def hosts(self) -> Iterator[tuple[str, HostEntry]]:
        """The host's nodes, as far as they are known."""
        for name, model in self.deployment.models.items():
            yield (
                name,
                HostEntry(
                    model=self.numbered("hosts", model.data, "onnx"),
                    inputs=dict(model.inputs),
                    outputs=dict(model.outputs),
                ),
            )

    def constants(self) -> Iterator[tuple[str, ConstantEntry]]:
        """The constants that the host needs."""
        for name, array in self.deployment.constants.items():
            data = np.ascontiguousarray(array).astype(array.dtype.newbyteorder("<")).tobytes()
            yield (
                name,
                ConstantEntry.model_validate(
                    {
                        "data": self.numbered("constants", data),
                        "dtype": array.dtype.name,
                        "shape": list(array.shape),
                    }
                ),
            )


def _folder(number: int) -> str:
    return f"segment_{number:04}"


def _nodes(segment: Segment) -> Iterator[NodeEntry]:
    for name, candidate, start in zip(
        segment.nodes, segment.candidates, segment.starts, strict=True
    ):
        yield NodeEntry(name=name, candidate=candidate, instruction=start)
