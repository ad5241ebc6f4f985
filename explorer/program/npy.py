"""``.npy`` files of tensors that are known: read without evaluating anything in them.

numpy's own reader takes any header, which is a Python expression, and then as much memory as that
asks for. Here type and shape are known before; a header can only agree with them.
"""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isa.errors import InputError
from isa.files import read_bytes
from isa.words import counted

_MAGIC = b"\x93NUMPY"
_LENGTH_BYTES = {1: 2, 2: 4, 3: 4}  # of the header's length, by the format's version
_MOST = 10_000  # bytes of a header, as in numpy
_NEEDED = "a .npy file is needed"

_ITEM = r"'(?:descr|fortran_order|shape)'\s*:\s*(?:'[^']{1,16}'|True|False|\([\d,\s]{0,400}\))"
_HEADER = re.compile(rf"\s*\{{\s*{_ITEM}(?:\s*,\s*{_ITEM})*\s*,?\s*\}}\s*")
_DESCR = re.compile(r"'descr'\s*:\s*'([^']*)'")
_ORDER = re.compile(r"'fortran_order'\s*:\s*(True|False)")
_SHAPE = re.compile(r"'shape'\s*:\s*\(([\d,\s]*)\)")


def load(
    path: Path,
    dtype: np.dtype[Any],
    shape: tuple[int, ...],
    name: str,
    *,
    laid_out_otherwise: bool = False,
) -> NDArray[np.generic]:
    """The array in a file.

    Args:
        path: the file.
        dtype: the type that it has to have, int8 or int32.
        shape: the shape that it has to have.
        name: what it holds, for errors.
        laid_out_otherwise: take any shape with as many elements, or with fewer, to which zeros
            are added where a kernel is taken apart.

    Raises:
        InputError: the file cannot be read, is no ``.npy`` file, is cut off or too long, or holds
            an array of another type or shape.
    """
    wanted = f"{name} is {dtype.name} of shape {shape}"
    size = math.prod(shape) * dtype.itemsize
    data = read_bytes(path, f"{_NEEDED}: {wanted}", size + _MOST + 12)
    begin = _LENGTH_BYTES.get(data[6], 0) if data[:6] == _MAGIC and len(data) > 12 else 0
    if not begin:
        raise InputError(str(path), "", "other data", _NEEDED)
    end = 8 + begin + int.from_bytes(data[8 : 8 + begin], "little")
    if end > min(len(data), _MOST + 12):
        allowed = f"{_NEEDED}, with a short header"
        raise InputError(str(path), "header", counted(end, "byte"), allowed)
    text = data[8 + begin : end].decode("latin-1")
    found = [pattern.search(text) for pattern in (_DESCR, _ORDER, _SHAPE)]
    if not _HEADER.fullmatch(text) or None in found:
        raise InputError(str(path), "header", text, _NEEDED)
    descr, order, extents = (match[1] for match in found if match)
    given = tuple(map(int, re.findall(r"\d{1,19}", extents)))
    fits = math.prod(given) <= math.prod(shape) if laid_out_otherwise else given == shape
    if _type(descr) != dtype.name or not fits:
        described = _type(descr) or descr
        raise InputError(str(path), "", f"{described} of shape {given}", wanted)
    size = math.prod(given) * dtype.itemsize
    if len(data) - end != size:
        allowed = f"{counted(size, 'byte')}: {wanted}"
        raise InputError(str(path), "data", counted(len(data) - end, "byte"), allowed)
    stored = np.dtype(("<" if descr[0] != ">" else ">") + dtype.str[1:])
    array = np.frombuffer(data, stored, offset=end).reshape(
        given, order="F" if order == "True" else "C"
    )
    return np.ascontiguousarray(array, dtype)


def _type(descr: str) -> str | None:
    """The name of a plain type by its code, in either order of bytes; None for all others."""
    if not re.fullmatch(r"[<>|=]?[biufc]\d{1,2}", descr):
        return None
    try:
        return np.dtype(descr).name
    except TypeError:  # i3
        return None
