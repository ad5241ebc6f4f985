"""Networks of CoSA: lists of the layers that a folder holds, each layer a problem of Timeloop's.

``unique_layers.yaml`` lists file names without the suffix. ``layer_count.yaml`` says how often a
layer is there; its key gives the layer, as R, S, P, Q, C, K, N, the strides along W and H and the
dilations along W and H: ``3_3_56_56_64_64_1_1_1_1_1: 4``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from explorer.operators import timeloop
from isa.computation import Operator
from isa.errors import InputError
from isa.schema import load_yaml, read_text

_KEYS = (*"RSPQCKN", "Wstride", "Hstride", "Wdilation", "Hdilation")
_CODE = re.compile(r"\d{1,7}(_\d{1,7}){10}")


def is_list(data: object) -> bool:
    """Whether a file lists layers by name."""
    return isinstance(data, list) and bool(data) and all(isinstance(x, str) for x in data)


def is_count(data: object) -> bool:
    """Whether a file counts layers."""
    if not isinstance(data, Mapping) or not data:
        return False
    return all(isinstance(key, str) and _CODE.fullmatch(key) for key in data)


def read(code: str, name: str, source: str) -> Operator:
    """The layer that a key of ``layer_count.yaml`` gives.

    Raises:
        InputError: it cannot be embedded.
    """
    numbers = map(int, code.split("_"))
    return timeloop.read(dict(zip(_KEYS, numbers, strict=True)), name, f"{source}: {code}")


def read_beside(label: str, path: Path, name: str) -> Operator:
    """The layer of a listed name, from the file in the same folder.

    Raises:
        InputError: there is no such file, or it holds no problem.
    """
    if {"/", "\0"} & set(label):
        raise InputError(str(path), "", label, "the name of a file in the same folder")
    file = path.with_name(f"{label}.yaml")
    data = load_yaml(read_text(file), str(file))
    if not isinstance(data, Mapping) or not isinstance(problem := data.get("problem"), Mapping):
        raise InputError(str(path), label, str(file), "must be a file with a problem of Timeloop's")
    return timeloop.read(problem, name, str(file))


def repeats(data: Mapping[str, object], source: str) -> dict[str, int]:
    """How often each layer of ``layer_count.yaml`` is there.

    Raises:
        InputError: a count is no positive number.
    """
    for code, count in data.items():
        if not isinstance(count, int) or isinstance(count, bool) or count < 1:
            raise InputError(source, code, count, "how often the layer is there, at least once")
    return {code: count for code, count in data.items() if isinstance(count, int)}
