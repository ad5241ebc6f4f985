"""``python -m tests.simulator.mutations``: whether tests notice a changed rule of the cycle model.

Each rule of the model is changed by a cycle, an entry or a condition in a copy of the sources, and
the cycle model's tests are run on the copy, uncompiled. What turns red is listed for each; the
command exits with 1 if a change goes unnoticed, and with 2 if a rule is no longer written so. Words
after the command choose the rules that contain all of them.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
COPIED = ("isa", "simulator", "tests", "pyproject.toml")
SUITES = (("test_rtl.py", "test_timing.py"), ("test_clock.py",))  # the second if the first is green
SECONDS = 120  # a changed model may never end


class Mutation(NamedTuple):
    """A rule, the file that states it, and what is written instead of what."""

    rule: str
    file: str
    old: str
    new: str


def _of(rule: str, file: str, *changes: tuple[str, str]) -> Iterator[Mutation]:
    for old, new in changes:
        yield Mutation(rule, f"simulator/{file}.py", old, new)


OCCUPANCY, PATH, MODULES = "occupancy", "read_path", "modules"
LAST_BEAT = "channel[passed & TAGS - 1] == cycle:\n            cycle += 1"
MUTATIONS = (
    *_of(
        "clients are served by priority",
        PATH,
        ("WGT_CLIENT, ACC_CLIENT = range(5)", "ACC_CLIENT, WGT_CLIENT = range(5)"),
        ("FETCH_CLIENT, UOP_CLIENT, INP_CLIENT,", "FETCH_CLIENT, INP_CLIENT, UOP_CLIENT,"),
    ),
    *_of(
        "a command queue has one entry and no bypass",
        PATH,
        ("written, length = cycle + 1,", "written, length = cycle,"),
        ("written, length = cycle + 1,", "written, length = cycle + 2,"),
    ),
    *_of(
        "the arbiter takes one command a cycle",
        PATH,
        ("max(earliest, channel[TAKEN]) + 1", "max(earliest, channel[TAKEN] + 1) + 1"),
        ("max(written, taken) + 1)", "max(written, taken + 1) + 1)"),
    ),
    *_of("it has 16 tags", PATH, ("\nTAGS = 16", "\nTAGS = 8"), ("\nTAGS = 16", "\nTAGS = 32")),
    *_of(
        "a tag is free after the last beat",
        PATH,
        ("channel[count & TAGS - 1] + 1)", "channel[count & TAGS - 1] + 2)"),
    ),
    *_of(
        "it takes nothing in the cycle of a last beat",
        PATH,
        (LAST_BEAT, LAST_BEAT.replace("+= 1", "+= 0")),
        (LAST_BEAT, LAST_BEAT.replace("+= 1", "+= 2")),
    ),
    *_of(
        "DRAM waits while its queue is filled anew",
        OCCUPANCY,
        ("PATH_REGISTERS = 4", "PATH_REGISTERS = 3"),
        ("PATH_REGISTERS = 4", "PATH_REGISTERS = 5"),
    ),
    *_of(
        "an entry of DRAM's queue counts from the next cycle",
        PATH,
        ("run = cycle + 1", "run = cycle"),
        ("max(cycle + 1, run + wait, last)", "max(cycle + 2, run + wait, last)"),
    ),
    *_of(
        "the wait begins again when the queue has been empty",
        PATH,
        ("if cycle > left:", "if cycle >= left:"),
        ("if cycle > left:", "if cycle > left + 1:"),
    ),
    *_of(
        "bursts follow one another without a gap",
        PATH,
        ("run + wait, last)", "run + wait, last + 1)"),
    ),
    *_of(
        "bursts end at multiples of the longest",
        PATH,
        (
            "machine.burst_beats - (word & machine.burst_beats - 1)",
            "machine.burst_beats",
        ),
    ),
    *_of(
        "a row is read in whole bus words",
        PATH,
        ("+ machine.bus_bytes - 1\n", "\n"),
        ("client[ROW_BYTES] + machine.bus_bytes", "client[ROW_BYTES] + 2 * machine.bus_bytes"),
    ),
    *_of(
        "the first command is written in the cycle after the start and the rows above",
        PATH,
        ("machine, start + 1 + top)", "machine, start + 2 + top)"),
        ("machine, start + 1 + top)", "machine, start + 1)"),
    ),
    *_of(
        "rows follow one another without a gap",
        PATH,
        (" address += client[STRIDE]\n", " address, cycle = address + client[STRIDE], cycle + 1\n"),
    ),
    *_of(
        "a load is done so long after its last beat",
        OCCUPANCY,
        ("WIDE_LOAD_CYCLES = 2", "WIDE_LOAD_CYCLES = 3"),
        ("NARROW_LOAD_CYCLES = 3", "NARROW_LOAD_CYCLES = 2"),
    ),
    *_of(
        "loads of elements up to the width of the bus are wide",
        PATH,
        ("wide = size <= machine.bus_bytes", "wide = size < machine.bus_bytes"),
        ("wide = size <= machine.bus_bytes", "wide = size <= 2 * machine.bus_bytes"),
    ),
    *_of(
        "the padding machine starts with the write stage",
        PATH,
        ("client[CURSOR] = start + delay", "client[CURSOR] = start + delay + 1"),
        ("delay = 1 if wide else 2", "delay = 1 if wide else 3"),
    ),
    *_of(
        "it writes elements above, beside and below",
        PATH,
        ("client[ZEROS] = top * (width + sides)", "client[ZEROS] = top * width"),
        ("client[ZEROS] += rows * sides + bottom", "client[ZEROS] += bottom"),
        ("* sides + bottom * (width + sides)", "* sides + bottom * width"),
    ),
    *_of(
        "it passes over rows only with something below and nothing beside",
        PATH,
        ("if sides == 0 and bottom > 0:", "if bottom > 0 and rows < 0:"),
        ("client[BOTTOM] = rows, bottom * width", "client[BOTTOM] = rows - 1, bottom * width"),
    ),
    *_of(
        "passing over rows is not stopped by data",
        PATH,
        ("client[SKIPPED], end - client[CURSOR]", "client[SKIPPED], begin - client[CURSOR]"),
    ),
    *_of(
        "data in the write stage stops the padding machine",
        PATH,
        ("max(client[CURSOR], end)", "max(client[CURSOR], end - 1)"),
        ("begin, end = first + client[DELAY],", "begin, end = first + client[DELAY] - 1,"),
    ),
    *_of(
        "padding is over in the cycle after the last element",
        PATH,
        ("client[SKIPPED] + client[BOTTOM])", "client[SKIPPED] + client[BOTTOM] + 1)"),
    ),
    *_of(
        "the next instruction starts in the cycle after the one in which a load is done",
        MODULES,
        ("end = done_cycle(client) + 1", "end = done_cycle(client)"),
    ),
    *_of(
        "a module works on one instruction at a time",
        MODULES,
        ("modules[module, FREE] = end", "modules[module, FREE] = end + 1"),
        ("modules[module, FREE] = end", "modules[module, FREE] = end - 1"),
    ),
    *_of(
        "tokens can be used in the cycle after they were pushed",
        MODULES,
        ("COUNTERS[module, 2 + flag], end)", "COUNTERS[module, 2 + flag], end - 1)"),
        ("COUNTERS[module, 2 + flag], end)", "COUNTERS[module, 2 + flag], end + 1)"),
    ),
    *_of(
        "an instruction can be started in the cycle after its dispatch",
        MODULES,
        ("steps[i, ARRIVAL] = cycle + 1", "steps[i, ARRIVAL] = cycle + 2"),
    ),
    *_of(
        "the first command of the fetch unit",
        MODULES,
        ("machine, len(table), 0)", "machine, len(table), 1)"),
    ),
    Mutation(
        "a batch of instructions has as many as a burst has beats, half at 64 bits",
        "isa/config.py",
        "burst_beats * min(bus_bits, INSTRUCTION_BITS)",
        "burst_beats * bus_bits",
    ),
    *_of(
        "a batch takes whole bus words",
        OCCUPANCY,
        ("INSTRUCTION_BYTES + bus - 1)", "INSTRUCTION_BYTES + bus)"),
    ),
    *_of(
        "instructions leave the buffer so long after the last beat",
        MODULES,
        ("WIDE_FETCH_DATA = 2, 4", "WIDE_FETCH_DATA = 1, 4"),
        ("WIDE_FETCH_DATA = 2, 4", "WIDE_FETCH_DATA = 2, 3"),
    ),
    *_of(
        "one a cycle leaves the wide buffer",
        MODULES,
        ("steps[i - 1, BUFFERED] + 1)", "steps[i - 1, BUFFERED] + 2)"),
    ),
    *_of(
        "two of a wide buffer can wait for dispatch, from the next cycle on",
        MODULES,
        ("(1 if wide else 0)", "(2 if wide else 0)"),
        ("steps[i - 2, ARRIVAL])", "steps[i - 2, ARRIVAL] + 1)"),
        ("fetch[READ] < fetch[SENT] + 2", "fetch[READ] < fetch[SENT] + 1"),
    ),
    *_of(
        "the next batch is asked for so long after the buffer was emptied",
        MODULES,
        ("cycle + 2)", "cycle + 1)"),
        ("cycle + 3)", "cycle + 2)"),
    ),
    *_of(
        "a full queue stops dispatch until the cycle after its head is done",
        MODULES,
        ("DISPATCHED] >= machine.queue_depth", "DISPATCHED] > machine.queue_depth"),
        ("cycle = max(cycle, steps[oldest, END])", "cycle = max(cycle, steps[oldest, END] - 1)"),
    ),
    *_of(
        "a wide store takes its beats and four cycles a burst",
        OCCUPANCY,
        ("WIDE_BURST_CYCLES = 4", "WIDE_BURST_CYCLES = 3"),
        ("return 1 + beats + WIDE", "return 2 + beats + WIDE"),
    ),
    *_of(
        "a narrow store reads each row of an element, and takes three cycles a burst",
        OCCUPANCY,
        ("NARROW_BURST_CYCLES = 3", "NARROW_BURST_CYCLES = 4"),
        ("return 1 + batch * vectors", "return 1 + vectors"),
    ),
    *_of(
        "write bursts are cut like read bursts",
        MODULES,
        ("stride, bus * machine.burst_beats)", "stride, 2 * bus * machine.burst_beats)"),
    ),
    *_of(
        "stores of elements up to the width of the bus are wide",
        MODULES,
        ("if size <= bus:", "if size < bus:"),
    ),
    *_of(
        "GEMM, ALU, no-ops and FINISH",
        OCCUPANCY,
        ("PIPELINE_CYCLES = 7", "PIPELINE_CYCLES = 6"),
        ("else 2 * uops", "else uops"),
        ("NOP_CYCLES = 2", "NOP_CYCLES = 1"),
        ("FINISH_CYCLES = 2", "FINISH_CYCLES = 1"),
    ),
)  # fmt: skip


def copy_tree(target: Path) -> None:
    """A copy of the sources, without what is compiled."""
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, target / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, target / name)


def red(tree: Path) -> list[str]:
    """The tests that fail on a tree, or what else went wrong."""
    for suite in SUITES:
        failed = _red(tree, suite)
        if failed:
            return failed
    return []


def _red(tree: Path, suite: tuple[str, ...]) -> list[str]:
    files = [f"tests/simulator/{name}" for name in suite]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *files]
    command.append("--hypothesis-profile=unshrunk")
    # From the tree itself: an installed copy must not come before it.
    places = {"PYTHONPATH": str(tree), "NUMBA_DISABLE_JIT": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        result = subprocess.run(
            command,
            cwd=tree,
            env=os.environ | places,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return [f"no end within {SECONDS} s"]
    failed = re.findall(r"^(?:FAILED|ERROR) tests/simulator/(\S+)", result.stdout, re.MULTILINE)
    return failed or ([] if result.returncode == 0 else [result.stdout[-500:] + result.stderr])


def main(words: Sequence[str]) -> int:
    """Apply one change after the other; 0 if each is noticed."""
    chosen = [m for m in MUTATIONS if all(word in m.rule for word in words)]
    survivors = 0
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder)
        copy_tree(tree)
        if red(tree):
            print("the tests fail as it is")
            return 2
        for mutation in chosen:
            path = tree / mutation.file
            text = path.read_text(encoding="utf-8")
            if text.count(mutation.old) != 1:
                print(f"{mutation.file} has no single {mutation.old!r}")
                return 2
            path.write_text(text.replace(mutation.old, mutation.new), encoding="utf-8")
            failed = red(tree)
            path.write_text(text, encoding="utf-8")
            survivors += not failed
            verdict = f"{len(failed)} red, {', '.join(failed[:3])}" if failed else "NOT NOTICED"
            change = f"{mutation.old.strip()} -> {mutation.new.strip()}"
            print(f"{mutation.rule}: {change}: {verdict}", flush=True)
    print(f"{len(chosen)} changes, {survivors} not noticed")
    return min(survivors, 1)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
