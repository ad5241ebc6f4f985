"""Files of operators: one by its document, or the layers of a network as other tools write them.

A layer is referred to by the file and its label, ``resnet18.yaml:2``; the only one of a file by the
file alone.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import partial
from pathlib import Path

from explorer.operators import cosa, document, timeloop, zigzag
from isa.computation import Operator
from isa.errors import InputError
from isa.schema import check_mapping, is_document, load_yaml, read_text

_Builder = Callable[[], Operator]
_REFERENCE = re.compile(r"(?s)(.+?\.ya?ml):(.+)")
_DOCUMENT = {"kind", "dimensions", "stages", "in0", "in1", "out", "epilogue", "constants", "name"}
_READABLE = (
    "an operator (docs/reference/operators.md), layers of ZigZag, a problem of Timeloop, or a list "
    "of CoSA's"
)
_OTHERS = (
    ("workloads", "a study of explorer sweep, which takes it"),
    ("axes", "an instruction, for --intrinsic"),
    ("architecture", "an architecture of Timeloop"),
    ("arch", "an architecture of Timeloop"),
    ("mapping", "a mapping of Timeloop"),
    ("mapper", "the options of Timeloop's mapper"),
    ("constraints", "constraints of Timeloop"),
    ("architecture_constraints", "constraints of Timeloop"),
    ("operational_array", "a hardware description of ZigZag"),
    ("spatial_mapping", "a mapping of ZigZag"),
    ("LOG_BLOCK", "a configuration of VTA, for --config"),
)
"""Files that are given in place of a workload, by a key that they have."""
_SHOWN = 4  # layers that an error names


@dataclass(frozen=True, slots=True)
class LayerFile:
    """The layers of a file.

    Attributes:
        path: of the file, as it was given.
        format: what it is, in words.
        layers: what builds each, by label.
        omitted: layers that are no products of two tensors.
        repeats: how often a layer is in the network, where the file says so.
    """

    path: Path
    format: str
    layers: Mapping[str, _Builder]
    omitted: tuple[str, ...] = ()
    repeats: Mapping[str, int] = field(default_factory=dict)

    def references(self) -> dict[str, str]:
        """What a command takes for each layer, and the layer's label."""
        if len(self.layers) == 1:
            return {str(self.path): next(iter(self.layers))}
        return {f"{self.path}:{label}": label for label in self.layers}

    def only(self) -> Operator:
        """The operator, if there is only one.

        Raises:
            InputError: there are none or several, or it cannot be embedded.
        """
        if len(self.layers) == 1:
            return next(iter(self.layers.values()))()
        count = f"{self.format} with {len(self.layers)} layers"
        if not self.layers:
            allowed = f"none multiplies two tensors: {', '.join(self.omitted[:_SHOWN])}"
            raise InputError(str(self.path), "", count, allowed)
        first = ", ".join(list(self.references())[:2])
        allowed = f"one has to be chosen: {first} … (`explorer operators {self.path}` lists all)"
        raise InputError(str(self.path), "", count, allowed)

    def layer(self, label: str) -> Operator:
        """The operator of a label.

        Raises:
            InputError: there is no such layer, or it cannot be embedded.
        """
        if label in self.layers:
            return self.layers[label]()
        near = get_close_matches(label, self.layers, n=_SHOWN) or list(self.layers)[:_SHOWN]
        allowed = f"{self.format}, whose layers are {', '.join(near)} …"
        if why := next((text for text in self.omitted if text.startswith(f"{label} (")), ""):
            allowed = f"{why} multiplies no two tensors"
        raise InputError(str(self.path), "", label, allowed)


def split(text: str) -> tuple[Path, str] | None:
    """The file and the label of a reference such as ``resnet18.yaml:2``; None if it is none."""
    found = _REFERENCE.fullmatch(text)
    if found is None or is_document(text):
        return None
    return Path(found[1]), found[2]


def read(path: Path) -> LayerFile:
    """The layers of a file in any of the formats.

    Raises:
        InputError: it cannot be read, or is in none of them.
    """
    source = str(path)
    data = load_yaml(read_text(path), source)
    if isinstance(data, list) and zigzag.is_workload(data):
        return _zigzag(data, path)
    if isinstance(data, list) and cosa.is_list(data):
        listed: dict[str, _Builder] = {
            label: partial(cosa.read_beside, label, path, _title(path, label)) for label in data
        }
        return LayerFile(path, "a list of layers of CoSA", listed)
    if isinstance(data, Mapping) and isinstance(problem := data.get("problem"), Mapping):
        build = partial(timeloop.read, problem, _title(path), source)
        return LayerFile(path, "a problem of Timeloop", {path.stem: build})
    if isinstance(data, Mapping) and cosa.is_count(data):
        counted: dict[str, _Builder] = {
            code: partial(cosa.read, code, _title(path, code), source) for code in data
        }
        repeats = cosa.repeats(data, source)
        return LayerFile(path, "a count of layers of CoSA", counted, repeats=repeats)
    _refuse(data, source)
    mapping = check_mapping(data, source)
    return LayerFile(path, "an operator", {path.stem: partial(document.read, mapping, source)})


def _zigzag(data: list[object], path: Path) -> LayerFile:
    """The layers that are products; each is called by its name, or by its number."""
    found = zigzag.layers(data, str(path))
    labels = [layer.label for layer in found]
    for label in labels:
        if labels.count(label) > 1:
            raise InputError(str(path), "id", label, "two layers must differ in name or number")
    layers: dict[str, _Builder] = {}
    omitted = []
    for layer in found:
        if zigzag.is_product(layer):
            source = f"{path}: layer {layer.label}"
            layers[layer.label] = partial(zigzag.read, layer, _title(path, layer.label), source)
        else:
            omitted.append(f"{layer.label} ({layer.operator_type})")
    return LayerFile(path, "a workload of ZigZag", layers, tuple(omitted))


def _refuse(data: object, source: str) -> None:
    """Say what a file is that is none of these.

    Raises:
        InputError: it has no key that an operator's document has.
    """
    items = data if isinstance(data, list) else [data]
    keys = {str(key): None for item in items if isinstance(item, Mapping) for key in item}
    if _DOCUMENT & keys.keys() - {"name"} and isinstance(data, Mapping):
        return
    for key, what in _OTHERS:
        if key in keys:
            raise InputError(source, "", what, f"must be {_READABLE}")
    if isinstance(data, list) or keys:
        given = (
            f"a {'list' if isinstance(data, list) else 'mapping'} of {', '.join(keys) or 'values'}"
        )
        raise InputError(source, "", given, f"must be {_READABLE}")


def _title(path: Path, label: str = "") -> str:
    """An operator's name: the reference, in characters that a document's name may have."""
    text = f"{path}:{label}" if label else str(path)
    return re.sub(r"[^!-~]+", "_", text)[-200:]
