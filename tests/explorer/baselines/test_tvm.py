"""TVM's template: published counts, tuned layers, and programs that do what the formulas say."""

from __future__ import annotations

from collections import Counter
from dataclasses import astuple

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from explorer.baselines.program import TvmCode, TvmDesign, lower
from explorer.baselines.search import best, lower_bound
from explorer.baselines.template import (
    Kernel,
    Loop,
    PackedLayer,
    TvmTiling,
    counters,
    reason_invalid,
    tilings,
)
from explorer.baselines.tophub import TunedLayer, tuned
from explorer.operators import constructors as build
from explorer.schedule.dma import Infeasible
from explorer.verification import Data, random_data
from isa.computation import Operator
from isa.config import Config
from isa.errors import InputError
from simulator import functional
from simulator.counts import count
from simulator.reference import epilogue
from simulator.timing import simulate
from tests.strategies import configs

DEFAULT = Config.default()
CONV2D = [row for row in tuned() if row.template == "conv2d_packed"]
RESNET18 = {
    ("conv", 64, 56, 64, 3): 4,
    ("conv", 64, 56, 128, 3): 1,
}


def _layer(row: TunedLayer) -> PackedLayer:
    return PackedLayer.of(row.operator, row.config)
