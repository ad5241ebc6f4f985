"""The layouts of a network's tensors by numbers, each with its vectors, and costs between them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from explorer.layout.canonical import form
from explorer.layout.held import Held
from explorer.layout.packed import Layout
from explorer.network.candidates.listing import Option
from explorer.network.graph import Accelerated, View, operand
from explorer.network.plan.assembly import PLAIN, Desk
from explorer.network.plan.laying import held
from explorer.network.plan.transitions import Host
from explorer.network.proof.vectors import Read, Wide, Written, cycles


@dataclass(slots=True)
class Layouts:
    """The layouts of all tensors by their numbers, and what it costs to pass them on.

    Attributes:
        desk, host: what the costs depend on.
        written, read: the layouts that are known, those of the same vectors once.
        numbers: their numbers, by what they are known by.
        costs: of transitions, as far as those were asked for.
        free: where the host writes what suits its readers, a layout that is read as one written.
    """

    desk: Desk
    host: Host
    written: list[Written] = field(default_factory=list)
    read: list[Read] = field(default_factory=list)
    numbers: dict[tuple[object, ...], int] = field(default_factory=dict)
    costs: dict[tuple[int, int], int] = field(default_factory=dict)
    free: dict[int, int] = field(default_factory=dict)

    def writing(self, layout: Layout, view: View) -> int:
        """The number of a layout in which a tensor is written."""
        key = ("writes", *self._key(layout, view, False))
        if key not in self.numbers:
            found = self._held(layout, view, strict=False)
            size = layout.entries * self.desk.vector(layout)
            self.numbers[key] = self._written(Written.of(found, size, alike=self._alike))
        return self.numbers[key]

    def reading(self, layout: Layout, view: View, *, strict: bool = False) -> int:
        """The number of a layout in which a tensor is read."""
        key = ("reads", *self._key(layout, view, strict))
        if key not in self.numbers:
            lanes, vector = self._held(layout, view, strict=strict), self.desk.vector(layout)
            found = Read.of(lanes, layout.entries * vector, vector, alike=self._alike)
            self.numbers[key] = self._read(found)
            if self.desk.rule.border != PLAIN:
                written = Written.of(lanes, found.size, alike=self._alike)
                self.free[self.numbers[key]] = self._written(written)
        return self.numbers[key]

    def widened(self, node: Accelerated, option: Option, view: View) -> int:
        """The number of what the host makes of a tensor as int32.

        What is made of other tensors counts by how they lie, not by which they are: should two
        nodes add different ones, they seem to share what they do not.
        """
        vector = next(
            v for v in option.origin.alu.dense if view.operand in {p.name for p in v.parts}
        )
        parts, varying, besides, own = [], list[str](), 0, 0
        for part in vector.parts:
            seen = node.views[part.name]
            tensor = self.desk.tensor(seen.tensor)
            if tensor.constant:
                besides += tensor.bytes
            else:
                varying.append(tensor.name)
            laid = replace(
                option.layouts[part.name], role=None, tensor=operand(node.operator, part.name)
            )
            number = self.reading(laid, seen)
            parts.append((part.form, part.number, number))
            own = number if part.name == view.operand else own
        first = view.tensor == varying[0]
        wide = Wide(tuple(parts), vector.const, besides if first else None)
        made = self._read(replace(self.read[own], wide=wide))
        if own in self.free:
            self.free[made] = self.free[own]
        return made

    @property
    def _alike(self) -> bool:
        return self.desk.rule.empty == "alike"

    def _held(self, layout: Layout, view: View, *, strict: bool) -> Held:
        """What lanes hold, as elements of the network's tensor."""
        return held(layout, view, strict=strict or self._alike)

    def _key(self, layout: Layout, view: View, strict: bool) -> tuple[object, ...]:
        moved = (view.split, view.order, view.tensor) if view.transposes else ()
        return form(layout), layout.port, strict, *moved

    def plain_written(self, size: int) -> int:
        """The number of a plain tensor that is written."""
        return self._written(Written(size))

    def plain_read(self, size: int) -> int:
        """The number of a plain tensor that is read."""
        return self._read(Read(size))

    def _written(self, found: Written) -> int:
        number = self.numbers.setdefault(("written", *found.key()), len(self.written))
        if number == len(self.written):
            self.written.append(found)
        return number

    def _read(self, found: Read) -> int:
        number = self.numbers.setdefault(("read", *found.key()), len(self.read))
        if number == len(self.read):
            self.read.append(found)
        return number

    def cost(self, written: int, read: int) -> int:
        """Cycles of the transition."""
        key = (written, read)
        if key not in self.costs:
            self.costs[key] = cycles(self.written[written], self.read[read], self.host)
        return self.costs[key]
