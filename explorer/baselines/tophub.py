"""Tilings that TVM's users have found by tuning on real boards: TopHub's log for VTA, v0.10.

Source: ``tlc-pack/tophub``, ``vta_v0.10.log`` (2019), with one row a layer: network, template,
machine, shape, the knobs chosen, and milliseconds on the board. Rows whose time is another layer's
are marked as no measurement.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from importlib.resources import files

from explorer.baselines.template import TvmTiling
from explorer.operators.constructors import conv2d
from isa.computation import Operator
from isa.config import Config

_LOG = files("explorer.baselines") / "data" / "tophub_vta_v010.csv"


@dataclass(frozen=True, slots=True)
class TunedLayer:
    """One row of the log.

    Attributes:
        network: which network the layer is of.
        template: TVM's template, ``conv2d_packed`` or ``group_conv2d_packed``.
        operator: the layer, with the epilogue of TVM's tuning script.
        config: the machine.
        tiling: the knobs that were found best.
        milliseconds: on the board.
        is_measured: whether the time is this layer's own.
    """

    network: str
    template: str
    operator: Operator
    config: Config
    tiling: TvmTiling
    milliseconds: float
    is_measured: bool


def tuned() -> list[TunedLayer]:
    """The log, in its own order."""
    return list(_rows())


def _rows() -> Iterator[TunedLayer]:
    for row in csv.DictReader(_LOG.read_text(encoding="utf-8").splitlines()):
        number = {name: int(text) for name, text in row.items() if text.isdecimal()}
        yield TunedLayer(
            network=row["net"],
            template=row["template"],
            operator=_operator(number),
            config=_config(number),
            tiling=TvmTiling(*(number[knob.name] for knob in fields(TvmTiling))),
            milliseconds=float(row["ms"]),
            is_measured=row["time_is_a_measurement"] == "yes",
        )


def _operator(row: dict[str, int]) -> Operator:
    return conv2d(
        n=row["n"],
        c=row["c"],
        h=row["h"],
        w=row["w"],
        k=row["k"],
        r=row["r"],
        s=row["s"],
        pad=(row["pad_h"], row["pad_w"]),
        stride=(row["stride_h"], row["stride_w"]),
        groups=row["groups"],
        shift=8,
        bias=True,
        relu=True,
    )


def _config(row: dict[str, int]) -> Config:
    log_block = row["block"].bit_length() - 1
    return replace(
        Config.load("pynq"),
        name=f"{row['batch']}x{row['block']}",
        log_batch=row["batch"].bit_length() - 1,
        log_block_in=log_block,
        log_block_out=log_block,
        log_uop_buff_size=row["log_uop"],
        log_inp_buff_size=row["log_inp"],
        log_wgt_buff_size=row["log_wgt"],
        log_acc_buff_size=row["log_acc"],
    )
