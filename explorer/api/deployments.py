"""Programs of whole networks: verify, write and run them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Unpack

import numpy as np
from numpy.typing import NDArray

from explorer.api.arguments import ConfigLike
from explorer.api.networks import Planning, network_plan
from explorer.deployment.compilation import Compiled, compiled_plan, emitted, is_one_by_one
from explorer.deployment.image import Deployment
from explorer.deployment.reading import read
from explorer.deployment.running import ALLOWED
from explorer.deployment.running import run as run_folder
from explorer.deployment.subjects import Subject, subject
from explorer.deployment.verification import Verification, verify
from explorer.network.graph import Network
from explorer.network.plan.transitions import Host, Model, executable, priced
from explorer.program.emission import check_target, write_folder
from explorer.report import network_trace as network_trace_of
from isa.errors import InputError
from isa.files import parsing
from simulator.implementations import Implementation
from simulator.interleaving import Interleaving

if TYPE_CHECKING:
    import pandas as pd

Array = NDArray[Any]
Arrays = Mapping[str, Array]
Target = Literal["portable", "hls"]
"""``hls``: one program a node; else consecutive ones are one instruction stream."""


def network_verify(
    network: str | Path,
    config: ConfigLike = "default",
    *,
    data: Arrays | None = None,
    target: Target = "portable",
    schedule: str = "program",
    seed: int = 0,
    **planning: Unpack[Planning],
) -> Verification:
    """Plan a network, execute it and compare every tensor; see ``explorer network verify --help``.

    Args:
        network: the name of a shipped network, or the path of a document or ONNX model.
        config: the machine.
        data: inputs by name; the others are random.
        target: ``portable`` or ``hls``.
        schedule: the order of the queues.
        seed: of what is random.
        planning: arguments of `network_plan`.

    Raises:
        InputError: an argument is unusable, or pins conflict.
    """
    apart, order = is_one_by_one(target, "target"), Interleaving.parse(schedule)
    _rule(planning)
    found = _subject(network, seed, planning)
    given = _inputs(found.network, data or {}, found.inputs())
    compiled = _compiled(found, config, planning)
    return verify(found, compiled, given, one_by_one=apart, interleaving=order)


def network_emit(
    network: str | Path,
    out: str | Path,
    config: ConfigLike = "default",
    *,
    target: Target = "portable",
    seed: int = 0,
    **planning: Unpack[Planning],
) -> Deployment:
    """Plan a network and write its programs to a folder; see ``explorer network emit --help``.

    Arguments are as for `network_verify`; what is written is returned, too.

    Raises:
        InputError: an argument is unusable, pins conflict, or the folder cannot be written.
    """
    apart = is_one_by_one(target, "target")
    _rule(planning)
    check_target(Path(out))
    found = _subject(network, seed, planning)
    compiled = _compiled(found, config, planning)
    deployment, files = emitted(found, compiled, Path(network).name, one_by_one=apart)
    write_folder(Path(out), files)
    return deployment


def network_run(
    path: str | Path,
    data: Arrays,
    *,
    schedule: str = "program",
    implementation: str = "fsim",
) -> dict[str, Array]:
    """The outputs of an emitted network by name; see ``explorer network run --help``.

    Args:
        path: a folder that `network_emit` has written.
        data: the inputs by name.
        schedule: the order of the queues.
        implementation: ``fsim``, ``hls`` or ``chisel``.

    Raises:
        InputError: the folder holds no network, an input is missing or unfit, or a host node has no
            model.
    """
    order, machine = Interleaving.parse(schedule), Implementation.parse(implementation)
    deployment = read(Path(path))
    network = deployment.network
    given = _inputs(network, data, {})
    found = run_folder(Path(path), deployment, given, implementation=machine, interleaving=order)
    return {name: found[name] for name in network.outputs}


def network_timeline(
    path: str | Path,
    *,
    host_cycles_per_byte: Fraction | int | str = 1,
    host_cycles_per_call: int = 0,
) -> pd.DataFrame:
    """The steps of an emitted network, as ``explorer network run --timeline`` prints them.

    Args:
        path: a folder that `network_emit` has written.
        host_cycles_per_byte: for each byte that the host reads or writes.
        host_cycles_per_call: for each copy that the host makes.

    Raises:
        InputError: the folder holds no network, or a price is none.
    """
    import pandas as pd  # noqa: PLC0415 - slow to import, and only tables need it

    deployment, host = _timed(path, host_cycles_per_byte, host_cycles_per_call)
    with parsing(str(path), ALLOWED):
        return pd.DataFrame([asdict(row) for row in network_trace_of.rows(deployment, host)])


def network_trace(
    path: str | Path,
    *,
    host_cycles_per_byte: Fraction | int | str = 1,
    host_cycles_per_call: int = 0,
) -> str:
    """What an emitted network does when, as Trace Event JSON; arguments as `network_timeline`."""
    deployment, host = _timed(path, host_cycles_per_byte, host_cycles_per_call)
    with parsing(str(path), ALLOWED):
        return network_trace_of.trace(deployment, host)


def _timed(
    path: str | Path, per_byte: Fraction | int | str, per_call: int
) -> tuple[Deployment, Host]:
    host = priced(str(per_byte), per_call, "host_cycles_per_")
    return read(Path(path)), host


def _subject(network: str | Path, seed: int, planning: Planning) -> Subject:
    concat, shape = planning.get("concat", "terms"), planning.get("shape")
    return subject(str(network), concat, shape, seed)


def _rule(planning: Planning) -> Model:
    return executable(planning.get("transitions", "repack"), "transitions")


def _compiled(found: Subject, config: ConfigLike, planning: Planning) -> Compiled:
    plan = network_plan(found.network, config, **planning)
    return compiled_plan(found, plan)


def _inputs(network: Network, data: Arrays, otherwise: Arrays) -> dict[str, Array]:
    """The network's inputs.

    Raises:
        InputError: one is missing, has another type or shape, or there is none of its name.
    """
    for name in data:
        if name not in network.inputs:
            raise InputError("data", name, "", f"one of {', '.join(network.inputs)}")
    found: dict[str, Array] = {}
    for name in network.inputs:
        tensor = network.by_name[name]
        allowed = f"an array of {tensor.dtype}, {tensor.shape}, is needed"
        if tensor.shape is None:
            allowed = "the model leaves its shape open: emit it with a shape"
        if name not in data and name not in otherwise:
            raise InputError("data", name, None, allowed)
        array = np.asarray(data[name] if name in data else otherwise[name])
        if array.dtype != np.dtype(tensor.dtype) or array.shape != tensor.shape:
            raise InputError("data", name, f"{array.dtype}, {array.shape}", allowed)
        found[name] = array
    return found
