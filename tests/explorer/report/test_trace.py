"""Traces: the format is kept, and what is in them is what the cycle model reports."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from jsonschema import Draft202012Validator
from typer.testing import CliRunner

from explorer.cli import app
from explorer.report.trace import BUS_WAIT, BUSY, TOKEN_WAIT, trace
from isa.codec import COUNTERS, TOKEN_FLAGS, Queue, queues
from isa.config import Config
from isa.fields import Column
from simulator.timing import read_beats, simulate
from tests.programs import product
from tests.tokens import SMALL, Sample, samples

SCHEMA = Path(__file__).parents[2] / "data" / "trace_event.schema.json"
VALIDATOR = Draft202012Validator(json.loads(SCHEMA.read_text(encoding="utf-8")))
GEMM = "gemm:m=16,n=16,k=16"


def events_of(text: str, phase: str) -> list[dict[str, Any]]:
    """The events of a phase, in the order in which they stand."""
    VALIDATOR.validate(document := json.loads(text))
    return [event for event in document["traceEvents"] if event["ph"] == phase]


@settings(max_examples=30)
@given(samples())
def test_slices_add_up_to_the_report(sample: Sample) -> None:
    """Each module's slices do not overlap, and are as long as what it spent on each state."""
    table = sample.program.table
    report = simulate(SMALL, table)
    found = events_of(trace(SMALL, table, "sample"), "X")
    for queue in Queue:
        module = getattr(report, queue.name.lower())
        own = [event for event in found if event["tid"] == queue + 1]
        assert all(a["ts"] + a["dur"] <= b["ts"] for a, b in pairwise(own))
        spent = dict.fromkeys((BUSY, TOKEN_WAIT, BUS_WAIT), 0)
        for event in own:
            spent[event["cat"]] += event["dur"]
        assert spent[BUSY] == module.busy
        assert spent[TOKEN_WAIT] == module.waiting_for_token
        assert spent[BUS_WAIT] == module.waiting_for_bus


@settings(max_examples=30)
@given(samples())
def test_flows_are_the_tokens(sample: Sample) -> None:
    """Each token that is popped is one flow, between slices of the modules that it is between."""
    table = sample.program.table
    text = trace(SMALL, table, "sample")
    slices = events_of(text, "X")
    begun = {event["id"]: event for event in events_of(text, "s")}
    ended = {event["id"]: event for event in events_of(text, "f")}
    assert begun.keys() == ended.keys()
    assert len(begun) == int(table[:, [Column.POP_PREV, Column.POP_NEXT]].sum())
    queue = queues(table)
    allowed = {
        (int(source) + 1, int(target) + 1)
        for source in Queue
        for target in Queue
        for push in COUNTERS[source, 2:]
        if push >= 0 and push in COUNTERS[target, :2]
    }
    for identity, event in begun.items():
        target = ended[identity]
        assert event["ts"] < target["ts"]
        assert (event["tid"], target["tid"]) in allowed
        opened, popping = (
            [s for s in slices if s["tid"] == e["tid"] and s["ts"] <= e["ts"] < s["ts"] + s["dur"]]
            for e in (event, target)
        )
        source = opened[0]["args"]["index"]
        assert len(opened) == len(popping) == 1
        assert table[source, [TOKEN_FLAGS[2], TOKEN_FLAGS[3]]].any()
        assert table[popping[0]["args"]["index"], [TOKEN_FLAGS[0], TOKEN_FLAGS[1]]].any()
        assert queue[source] + 1 == event["tid"]


@settings(max_examples=30)
@given(samples())
def test_counters_hold_every_beat(sample: Sample) -> None:
    """Over time the counters add up to the beats that the instructions move."""
    table = sample.program.table
    width = SMALL.timing.bus_bytes
    beats = read_beats(SMALL, table)
    queue = queues(table)
    found = events_of(trace(SMALL, table, "sample"), "C")
    moved = dict.fromkeys({event["name"] for event in found}, 0.0)
    for name in moved:
        own = [event for event in found if event["name"] == name]
        assert own[-1]["args"]["beats a cycle"] == 0
        for a, b in pairwise(own):
            assert a["ts"] <= b["ts"]
            moved[name] += a["args"]["beats a cycle"] * (b["ts"] - a["ts"])
    expected = {
        "DRAM read by load": beats[queue == Queue.LOAD].sum(),
        "DRAM read by compute": beats[queue == Queue.COMPUTE].sum(),
        "DRAM write by store": simulate(SMALL, table).bytes["out"] / width,
    }
    assert moved == pytest.approx(expected, abs=0.01)


def test_operands_are_shown() -> None:
    """A slice carries its instruction's index and fields, and a track its module's name."""
    text = trace(Config.default(), product().table, 'a "product"\n</script>')
    busy = [event for event in events_of(text, "X") if event["cat"] == BUSY]
    assert {event["name"] for event in busy} >= {"LOAD INP", "LOAD WGT", "GEMM", "STORE OUT"}
    weights = next(event for event in busy if event["name"] == "LOAD WGT")
    assert weights["args"]["index"] == 3
    assert weights["args"]["dram_base"] == 0x20
    names = {event["args"].get("name") for event in events_of(text, "M")}
    assert names >= {"load", "compute", "store", 'a "product"\n</script>'}


def test_show_and_run_write_the_same_trace(tmp_path: Path) -> None:
    """The traces of an embedding and of its emitted program have the same events, names aside."""
    shown, ran = tmp_path / "shown.json", tmp_path / "ran.json"
    folder = tmp_path / "program"
    for words in (
        ("show", GEMM, "reference", "--trace", shown),
        ("emit", GEMM, "reference", "--out", folder),
        ("run", folder, "--trace", ran),
    ):
        result = CliRunner().invoke(app, [str(word) for word in words])
        assert result.exit_code == 0, result.output
    documents = [json.loads(path.read_text(encoding="utf-8")) for path in (shown, ran)]
    for document in documents:
        VALIDATOR.validate(document)
    first, second = (d["traceEvents"][1:] for d in documents)
    strip = [[{k: v for k, v in e.items() if k != "args"} for e in x] for x in (first, second)]
    assert strip[0] == strip[1]


def test_a_trace_is_json(tmp_path: Path) -> None:
    """Another suffix, or a folder that is not there, is refused before anything is computed."""
    for path, message in (
        (tmp_path / "trace.html", ".json"),
        (tmp_path / "none" / "trace.json", "there is no directory"),
    ):
        result = CliRunner().invoke(app, ["show", GEMM, "reference", "--trace", str(path)])
        assert result.exit_code == 2
        assert message in result.stderr
        assert "--trace" in result.stderr
