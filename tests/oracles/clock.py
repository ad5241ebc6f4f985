"""VTA's load, compute, store and fetch units as clocked state machines: one step a cycle.

Every register is looked at in every cycle, so nothing here works out when something will happen.
Each unit reads the registers as they are at the start of a cycle and says what they are at its end.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

FETCH, UOP, INP, WGT, ACC = range(5)
LOAD, COMPUTE, STORE = range(3)
TAGS = 16

# Where a module pops from and pushes to, by its previous and its next module.
POPS = {LOAD: (None, "c2l"), COMPUTE: ("l2c", "s2c"), STORE: ("c2s", None)}
PUSHES = {LOAD: (None, "l2c"), COMPUTE: ("c2l", "c2s"), STORE: ("s2c", None)}
CLIENTS = {"uop": UOP, "inp": INP, "wgt": WGT, "acc": ACC, "acc_8bit": ACC}


@dataclass(frozen=True)
class Build:
    """What is fixed when the hardware is built: bytes of the bus, counts, cycles."""

    bus: int
    burst: int
    wait: int
    fetch_batch: int
    queue_depth: int
    batch: int
    sizes: dict[str, int]


@dataclass(frozen=True)
class Task:
    """An instruction: its module, what it does, and its tokens."""

    module: int
    kind: str
    cycles: int = 0
    memory: str = ""
    address: int = 0
    rows: int = 0
    width: int = 0
    stride: int = 0
    pads: tuple[int, int, int, int] = (0, 0, 0, 0)
    pops: tuple[int, int] = (0, 0)
    pushes: tuple[int, int] = (0, 0)


def pieces(build: Build, task: Task) -> Iterator[int]:
    """Beats of the bursts of each row: the bus words that hold a byte, cut at aligned bursts."""
    size = build.sizes[task.memory]
    for y in range(task.rows):
        first = (task.address + y * task.stride) * size
        words = sorted({byte // build.bus for byte in range(first, first + task.width * size)})
        burst: list[int] = []
        for word in words:
            if burst and word % build.burst == 0:
                yield len(burst)
                burst = []
            burst.append(word)
        yield len(burst)


@dataclass
class Burst:
    """A read on its way: whose, and how many beats."""

    client: int
    beats: int


@dataclass
class Memory:
    """Command queues, arbiter, DRAM queue and data register."""

    wait: int
    commands: list[int | None] = field(default_factory=lambda: [None] * 5)
    tags: int = TAGS
    queue: deque[Burst] = field(default_factory=deque)
    was_empty: bool = True
    count: int = 0
    sending: Burst | None = None
    left: int = 0

    def beat(self) -> tuple[int, bool] | None:
        """The client whose data is in the register in this cycle, and whether it is the last."""
        return None if self.sending is None else (self.sending.client, self.left == 1)

    def clock(self) -> list[bool]:
        """A cycle; returns whose command queue was empty at its start."""
        empty = [c is None for c in self.commands]
        beat = self.beat()
        last = beat is not None and beat[1]
        taken = None
        if self.tags > 0 and not last:
            taken = next((c for c in range(5) if not empty[c]), None)
        self.count = 0 if self.was_empty else min(self.count + 1, self.wait)
        self.was_empty = not self.queue
        leaves = self.queue and self.count == self.wait and (self.sending is None or last)
        # The clock's edge.
        if self.sending is not None:
            self.left -= 1
            if last:
                self.sending, self.tags = None, self.tags + 1
        if leaves:
            self.sending = self.queue.popleft()
            self.left = self.sending.beats
        if taken is not None:
            beats = self.commands[taken]
            assert beats is not None
            self.commands[taken], self.tags = None, self.tags - 1
            self.queue.append(Burst(taken, beats))
        return empty


class Loader:
    """A LOAD under way: address generator, beat counter, padding machine."""

    def __init__(self, build: Build, task: Task, client: int) -> None:
        self.client = client
        self.bursts = deque(pieces(build, task))
        self.beats = sum(self.bursts)
        self.wide = build.sizes[task.memory] <= build.bus
        top, bottom, before, after = task.pads
        self.steps_over_top = top
        row = before + task.width + after
        sides = before + after
        # What the padding machine does, a cycle each: True is an element, False a row passed over.
        work = [True] * (top * row)
        for _ in range(task.rows):
            work += [True] * sides if sides or not bottom else [False]
        self.work = deque(work + [True] * (bottom * row))
        self.counted: deque[bool] = deque([False] * (1 if self.wide else 2))  # beats, on their way
        self.delay = 1 if self.wide else 2  # cycles after the start before padding begins

    def clock(self, memory: Memory, queue_empty: bool, beat: bool) -> bool:
        """A cycle after the one of the start; whether the load is done in it."""
        done = not self.bursts and self.beats == 0 and not self.work and not any(self.counted)
        # Write stage: what came a cycle ago, or two where an element is put together first.
        writing = self.counted[-1]
        if self.delay > 1:
            self.delay -= 1
        elif self.work and not (writing and self.work[0]):
            self.work.popleft()
        self.counted.rotate(1)
        self.counted[0] = beat
        self.beats -= beat
        if self.steps_over_top:
            self.steps_over_top -= 1
        elif self.bursts and queue_empty:
            memory.commands[self.client] = self.bursts.popleft()
        return done


class Fetcher:
    """Reads batches of instructions and dispatches them."""

    def __init__(self, build: Build, tasks: Sequence[Task]) -> None:
        self.build, self.wide = build, build.bus >= 16
        self.unread = deque(tasks)
        self.batch: list[Task] = []
        self.buffer: deque[Task] = deque()
        self.queue: deque[Task] = deque()
        self.state, self.timer, self.beats = "idle", 0, 0
        self.bursts: deque[int] = deque()

    def clock(self, memory: Memory, queue_empty: bool, beat: bool, full: list[bool]) -> Task | None:
        """A cycle; returns the instruction it dispatches."""
        task = None
        held = len(self.queue)
        source = self.queue if self.wide else self.buffer
        ready = self.wide or self.state == "dispatch"
        if ready and source and not full[source[0].module]:
            task = source.popleft()
        if self.state == "idle" and self.timer:
            self.timer -= 1
        elif self.state == "idle" and self.unread:
            count = min(self.build.fetch_batch, len(self.unread))
            self.batch = [self.unread.popleft() for _ in range(count)]
            self.beats = -(-16 * count // self.build.bus)
            whole, rest = divmod(self.beats, self.build.burst)
            self.bursts = deque([self.build.burst] * whole + [rest] * (rest > 0))
            self.state = "read"
        if self.state == "read":
            if self.bursts and queue_empty:
                memory.commands[FETCH] = self.bursts.popleft()
            self.beats -= beat
            if self.beats == 0:
                self.state, self.timer = "wait", 3 if self.wide else 1
        elif self.state == "wait":
            self.timer -= 1
            if self.timer == 0:
                self.state = "dispatch"
                self.buffer.extend(self.batch)
        elif self.state == "dispatch":
            if self.wide and self.buffer and held < 2:
                self.queue.append(self.buffer.popleft())
            if not self.buffer:
                self.state, self.timer = "idle", 2 if self.wide else 1
        return task


def store_cycles(build: Build, task: Task) -> int:
    """Cycles of a STORE, a burst after the other, each element or bus word after the other."""
    bursts = list(pieces(build, task))
    if build.sizes["out"] <= build.bus:
        return 1 + sum(1 + 2 + beats + 1 for beats in bursts)
    elements = task.rows * task.width
    return 1 + sum(3 + beats for beats in bursts) + elements * build.batch


class Machine:
    """All units, and how the tokens go between the modules."""

    def __init__(self, build: Build, tasks: Sequence[Task]) -> None:
        self.build = build
        self.memory = Memory(build.wait)
        self.fetcher = Fetcher(build, tasks)
        self.queues: list[deque[int]] = [deque(), deque(), deque()]
        self.tasks = tasks
        self.running: list[tuple[int, Loader | int] | None] = [None, None, None]
        self.tokens = dict.fromkeys(("l2c", "c2l", "c2s", "s2c"), 0)
        self.times: dict[int, tuple[int, int]] = {}
        self.dispatched, self.done = 0, 0

    def run(self, limit: int) -> list[tuple[int, int]]:
        """The cycle in which each instruction starts and the one after it is done.

        Raises:
            TimeoutError: if so many cycles are not enough.
        """
        for cycle in range(limit):
            self.clock(cycle)
            if self.done == len(self.tasks):
                return [self.times[i] for i in range(len(self.tasks))]
        raise TimeoutError

    def clock(self, cycle: int) -> None:
        """One cycle of every unit."""
        beat = self.memory.beat()
        full = [len(q) >= self.build.queue_depth for q in self.queues]
        waiting = [q[0] if q else None for q in self.queues]
        tokens = dict(self.tokens)
        empty = self.memory.clock()
        task = self.fetcher.clock(
            self.memory, empty[FETCH], beat is not None and beat[0] == FETCH, full
        )
        for module in range(3):
            self.step(module, cycle, waiting[module], tokens, empty, beat)
        if task is not None:
            self.queues[task.module].append(self.dispatched)
            self.dispatched += 1

    def step(
        self,
        module: int,
        cycle: int,
        waiting: int | None,
        tokens: dict[str, int],
        empty: list[bool],
        beat: tuple[int, bool] | None,
    ) -> None:
        """One cycle of a module."""
        running = self.running[module]
        if running is None:
            if waiting is not None:
                self.try_start(module, cycle, waiting, tokens)
            return
        i, work = running
        if isinstance(work, Loader):
            own = beat is not None and beat[0] == work.client
            done = work.clock(self.memory, empty[work.client], own)
        else:
            self.running[module] = (i, work - 1)
            done = work == 1
        if done:
            self.running[module] = None
            self.done += 1
            self.queues[module].popleft()
            self.times[i] = (self.times[i][0], cycle + 1)
            for name, pushed in zip(PUSHES[module], self.tasks[i].pushes, strict=True):
                if name and pushed:
                    self.tokens[name] += 1

    def try_start(self, module: int, cycle: int, i: int, tokens: dict[str, int]) -> None:
        """Start an instruction if its tokens are there."""
        task = self.tasks[i]
        names = [n for n, pop in zip(POPS[module], task.pops, strict=True) if n and pop]
        if any(tokens[name] == 0 for name in names):
            return
        for name in names:
            self.tokens[name] -= 1
        self.times[i] = (cycle, -1)
        if task.kind == "load":
            self.running[module] = (i, Loader(self.build, task, CLIENTS[task.memory]))
        else:
            cycles = store_cycles(self.build, task) if task.kind == "store" else task.cycles
            self.running[module] = (i, cycles - 1)
