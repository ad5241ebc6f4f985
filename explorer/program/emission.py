"""Emitting programs: the binary with its tensors, as a folder that runs wherever VTA runs."""

from __future__ import annotations

import math
import os
import shutil
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from explorer.layout.packed import Layout
from explorer.operators import document
from explorer.operators.letters import usual
from explorer.operators.phases import apart
from explorer.operators.stages import tensor_of
from explorer.program import npy
from explorer.program.framework_arrays import arranged
from explorer.program.verification import (
    Packable,
    complete,
    direct,
    packed,
    value_range,
    value_type,
)
from explorer.schedule.lowering import Code
from isa.computation import Affine, Operator, Tensor, Term
from isa.errors import InputError
from isa.fields import Memory
from isa.folder import MANIFEST, contents
from isa.folder.manifest import CoordinateEntry, Format, TensorEntry
from isa.interrupts import unbroken
from isa.words import counted
from simulator.functional import run_everywhere

Tensors = dict[str, NDArray[np.generic]]


def emit(
    code: Code,
    form: Format,
    *,
    given: Mapping[str, NDArray[np.generic]] | None = None,
    seed: int = 0,
) -> dict[str, bytes]:
    """The files of a program's folder by name; equal arguments give equal bytes.

    The program is executed as each implementation of VTA that its configuration admits. All have to
    leave the same bytes, which are compared with the operator's direct result. Lanes that no output
    element lies in are expected to hold what the execution leaves in them.

    Args:
        code: the program.
        form: the format of the folder.
        given: tensors by the keys of `tensors_of`; the others are random.
        seed: of the random ones.

    Raises:
        InputError: the format cannot express the configuration.
    """
    source = {"embedding": code.design.embedding.id, "schedule": _schedule(code)}
    return emit_program(code, form, source, given=given, seed=seed)


def emit_program(
    code: Packable,
    form: Format,
    source: Mapping[str, object],
    *,
    given: Mapping[str, NDArray[np.generic]] | None = None,
    seed: int = 0,
) -> dict[str, bytes]:
    """As `emit`, for a program of any origin, which `source` tells for the manifest."""
    operator = code.design.operator
    data = complete(operator, given or {}, seed)
    program, inputs = code.program, packed(code, data)
    output, *others = (
        program.output(result.image) for result in run_everywhere(program, inputs).values()
    )
    if any(not np.array_equal(output, other) for other in others):
        raise AssertionError(f"a program of {operator.name} is not portable")
    if not np.array_equal(code.design.acc.unpack(output), direct(operator, data)):
        raise AssertionError(f"a program of {operator.name} is not exact")
    return contents(
        program,
        inputs,
        output.tobytes(),
        form,
        tensors=_entries(code),
        source={
            "operator": document.dump(operator),
            "macs": operator.useful_macs,
            **source,
            "data": {
                n: "given" if n in (given or {}) else f"random, seed {seed}"
                for n in tensors_of(operator)
            },
        },
        generator=f"vta-explorer {version('vta-explorer')}",
    )


def _schedule(code: Code) -> dict[str, object]:
    schedule, loops = code.schedule, code.design.nest.outer
    return {
        "tile": {loop.name: tile for loop, tile in zip(loops, schedule.tile, strict=True)},
        "order": [loops[place].name for place in schedule.order],
        "load_contexts": schedule.load_contexts,
        "acc_contexts": schedule.acc_contexts,
    }


def _entries(code: Packable) -> dict[str, TensorEntry | list[TensorEntry]]:
    held: dict[str, list[TensorEntry]] = {}
    for tensor in code.design.stored:
        dtype: Literal["int8", "int32"] = "int32" if tensor.memory == Memory.ACC else "int8"
        held.setdefault(tensor.section, []).append(_entry(tensor.layout, dtype))
    return {name: each if len(each) > 1 else each[0] for name, each in held.items()}


def _entry(layout: Layout, dtype: Literal["int8", "int32"]) -> TensorEntry:
    letters = [letter.lower() for letter in layout.tensor.letters]
    return TensorEntry(
        name=layout.tensor.name,
        dtype=dtype,
        shape=list(layout.tensor.shape),
        layout=layout.name,
        packed=list(layout.shape),
        coordinates=[
            CoordinateEntry(name=c.name, loops=str(Affine.of(dict(c.terms))), first=c.low)
            for c in layout.coordinates
        ],
        axes=[name for name, _ in layout.axes],
        lanes={loop.name: f"{loop.axis} // {loop.stride} % {loop.extent}" for loop in layout.lanes},
        index={x: str(row) for x, row in zip(letters, layout.rows, strict=True)},
        guards=list(_guards(layout)),
    )


def _guards(layout: Layout) -> Iterator[str]:
    for axis, extent in layout.axes:
        width = math.prod(loop.extent for loop in layout.lanes if loop.axis == axis)
        if width < extent:
            yield f"{axis} < {width}"
    for left, right in layout.equal:
        yield f"{left} == {right}"
    for row, extent in layout.guards:
        if row.loops:
            yield f"0 <= {row} < {extent}"


# --- Data that is given ---------------------------------------------------------------------------


def tensors_of(operator: Operator) -> dict[str, Tensor]:
    """The tensors that a program is given, in order: ``in0``, ``in1``, later stages' by name.

    What the operator itself fills is not among them.
    """
    first, *stages = operator.stages
    assert isinstance(first, Term)
    found = {"in0": first.computation.in0}
    if first.fill is None:
        found["in1"] = first.computation.in1
    for stage in stages:
        if isinstance(stage, Term):
            second = () if stage.fill else (stage.computation.in1,)
            found |= {t.name: t for t in (stage.computation.in0, *second)}
        elif (tensor := tensor_of(stage)) is not None:
            found[tensor.name] = tensor
    return found


def _range_of(operator: Operator, field: str) -> tuple[np.dtype[Any], int, int]:
    """The type of a tensor of `tensors_of`, and the least and greatest value it may hold."""
    for step in operator.steps:
        tensor = tensor_of(step)
        if tensor is not None and tensor.name == field:
            return np.dtype(value_type(step)), *value_range(step)
    return np.dtype(np.int8), -128, 127


def load_data(operator: Operator, text: str, layouts: str = "") -> Tensors:
    """The tensors in ``.npy`` files, by the keys of `tensors_of`.

    Args:
        operator: what they are for.
        text: files separated by commas, in the order of `tensors_of`, or each as ``name=file`` with
            the tensor's name or its field.
        layouts: for arrays that are laid out otherwise than the tensors, what each dimension is:
            ``data=NHWC,weight=HWIO``; see `framework_arrays`.

    Raises:
        InputError: there are too many, a name stands twice or is unknown, or a file holds no array
            of the right type and shape.
    """
    tensors = tensors_of(operator)
    fields = {t.name: field for field, t in tensors.items()} | {field: field for field in tensors}
    letters = _layouts(layouts, fields)
    found: Tensors = {}
    for place, part in enumerate(filter(None, text.split(","))):
        name, equals, path = part.rpartition("=")
        known = fields.get(name) if equals else next(iter([*tensors][place : place + 1]), None)
        if known is None:
            names = ", ".join(t.name for t in tensors.values())
            allowed = f"{counted(len(tensors), 'file')}, of {names}, or NAME=FILE"
            raise InputError("--data", "", part, allowed)
        if known in found:
            raise InputError("--data", tensors[known].name, path, "is given twice")
        found[known] = _load(operator, known, Path(path), letters.get(known))
    return found


def _layouts(text: str, fields: Mapping[str, str]) -> dict[str, str]:
    """The layouts that are given, by the keys of `tensors_of`."""
    found: dict[str, str] = {}
    for part in filter(None, text.split(",")):
        name, equals, letters = (piece.strip() for piece in part.partition("="))
        if not equals or name not in fields:
            raise InputError("--data-layout", "", part, f"NAME=LAYOUT of {', '.join(fields)}")
        if fields[name] in found:
            raise InputError("--data-layout", name, letters, "is given twice")
        found[fields[name]] = letters
    return found


def _load(operator: Operator, field: str, path: Path, letters: str | None) -> NDArray[np.generic]:
    tensor, otherwise = tensors_of(operator)[field], letters is not None
    wanted = _range_of(operator, field)[0]
    array = npy.load(path, wanted, tensor.shape, tensor.name, laid_out_otherwise=otherwise)
    if letters is not None:
        letters = usual(letters, tensor.letters)
        if field == "in1" and len(letters) == array.ndim:
            array, letters = apart(array, letters, operator)
        array = arranged(array, letters, tensor, str(path))
    _check(operator, field, array, str(path))
    return array


def check_data(operator: Operator, data: Mapping[str, NDArray[np.generic]]) -> None:
    """Check that tensors are an operator's, in type, shape and range.

    Raises:
        InputError: one is not.
    """
    tensors = tensors_of(operator)
    for field, array in data.items():
        if field not in tensors:
            raise InputError("data", "", field, f"some of {', '.join(tensors)}")
        _check(operator, field, array, "data")


def _check(operator: Operator, field: str, array: NDArray[np.generic], source: str) -> None:
    tensor = tensors_of(operator)[field]
    wanted, low, high = _range_of(operator, field)
    if array.dtype != wanted or array.shape != tensor.shape:
        allowed = f"{tensor.name} is {wanted.name} of shape {tensor.shape}"
        raise InputError(source, "", f"{array.dtype} of shape {array.shape}", allowed)
    values = np.asarray(array, wanted)
    if values.size and not low <= int(values.min()) <= int(values.max()) <= high:
        found = f"{values.min()} to {values.max()}"
        raise InputError(source, "", found, f"{tensor.name} holds {low} to {high}")


# --- Folders on disk ------------------------------------------------------------------------------


def check_target(path: Path) -> None:
    """Check that a folder can be written there.

    Raises:
        InputError: it exists and is no emitted folder, or its parent is no writable folder.
    """
    if not path.name or path.name == "..":
        raise InputError("--out", "", str(path), "a new folder's name is needed")
    if path.exists() and not (path.is_dir() and _replaceable(path)):
        raise InputError(
            "--out", "", str(path), "it exists, and is no folder of an emitted program"
        )
    if not path.parent.is_dir():
        raise InputError("--out", "", str(path), f"there is no folder {path.parent}")
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise InputError("--out", "", str(path), f"the folder {path.parent} is not writable")


def _replaceable(path: Path) -> bool:
    return (path / MANIFEST).is_file() or not any(path.iterdir())


def write_folder(path: Path, files: Mapping[str, bytes]) -> None:
    """Write a folder in one step, which Ctrl-C waits for; an emitted one is replaced.

    Raises:
        InputError: as `check_target`, or it cannot be written.
    """
    check_target(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    replaced = path.with_name(f".{path.name}.{os.getpid()}.old")
    with unbroken:
        try:
            temporary.mkdir()
            for name, data in files.items():
                (temporary / name).parent.mkdir(exist_ok=True)
                (temporary / name).write_bytes(data)
            if path.exists():
                path.rename(replaced)
            temporary.rename(path)
        except OSError as error:
            if replaced.exists() and not path.exists():
                replaced.rename(path)
            raise InputError(
                "--out", "", str(path), f"cannot write it: {error.strerror}"
            ) from error
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
            shutil.rmtree(replaced, ignore_errors=True)
