"""Products of two tensors as other tools write them: loops, and the loops that address each tensor.

Such files say nothing of how a tensor lies in memory. A product that is a convolution or a matrix
product becomes the kind of that name, with its order of dimensions (`constructors`); any other is
an operator whose tensors have their dimensions in the order of the file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from string import ascii_uppercase

from explorer.operators.kinds import construct
from explorer.operators.validate import check
from isa.computation import Affine, Computation, Dimension, Operator, Role, Tensor, Term
from isa.errors import InputError
from isa.schema import MAX_RANK

_AXES = {1: ("w",), 2: ("h", "w"), 3: ("d", "h", "w")}
_TAPS = {"d": "t", "h": "r", "w": "s"}


@dataclass(frozen=True, slots=True)
class Row:
    """One dimension of a tensor.

    Attributes:
        index: the loops that address it, with their steps; it starts at element 0 of the border.
        border: elements of zero before and after it.
        size: its extent without the border; None if it is what the loops reach.
    """

    index: Affine
    border: tuple[int, int] = (0, 0)
    size: int | None = None

    @property
    def loop(self) -> str | None:
        """The loop that the dimension is, None where it is a window or has steps."""
        terms = self.index.terms
        return terms[0][0] if len(terms) == 1 and terms[0][1] == 1 else None

    def extent(self, loops: Mapping[str, int]) -> int:
        """Its elements, the border not counted."""
        return self.size or self.index.bounds(loops)[1] + 1 - sum(self.border)


@dataclass(frozen=True, slots=True)
class Product:
    """``out[…] += data[…] * weight[…]`` in every iteration of the loops.

    Attributes:
        loops: their extents.
        data: the rows of the input with windows, else of the first.
        weight: of the other input.
        out: of the output.
        constant: whether the weights are known offline.
    """

    loops: Mapping[str, int]
    data: tuple[Row, ...]
    weight: tuple[Row, ...]
    out: tuple[Row, ...]
    constant: bool = True


@dataclass(frozen=True, slots=True)
class _Window:
    """A row of the data that an output position and a kernel tap address."""

    row: Row
    position: str
    tap: str


def operator(product: Product, name: str, source: str) -> Operator:
    """The operator that a product is.

    Args:
        product: as a file gives it; every loop stands in a row.
        name: the operator's.
        source: the file and the layer in it, for errors.

    Raises:
        InputError: its extents contradict each other, or it cannot be embedded.
    """
    if len(product.loops) > MAX_RANK:
        raise InputError(source, "", len(product.loops), f"at most {MAX_RANK} loops")
    found = _named(product, source) or _custom(product, source)
    constants: frozenset[Role] = frozenset({"in1"} if product.constant else ())
    term, *steps = found.stages
    assert isinstance(term, Term)  # kinds begin with their product
    return Operator(name, found.kind, (replace(term, constants=constants), *steps))


def _named(product: Product, source: str) -> Operator | None:
    """The product as one of the kinds; None if it is none of them."""
    windows = _windows(product)
    if windows is None or len(windows) > max(_AXES):
        return None
    data, weight, out = (
        {row.loop for row in rows if row.loop}
        for rows in (product.data, product.weight, product.out)
    )
    spatial = {w.position for w in windows}, {w.tap for w in windows}
    roles = {
        "batch": (data & out) - weight,
        "group": data & weight & out,
        "k": (weight & out) - data,
        "c": (data & weight) - out,
    }
    named = set().union(*roles.values(), *spatial)
    # A loop that runs once is no dimension: whatever role it has, there is room for it.
    large = {role: {x for x in loops if product.loops[x] > 1} for role, loops in roles.items()}
    if {x for x, extent in product.loops.items() if extent > 1} - named:
        return None
    if any(len(loops) > 1 for loops in large.values()):
        return None
    sizes = {
        role: max([product.loops[x] for x in loops], default=1) for role, loops in large.items()
    }
    return _convolution(product, windows, sizes, source) if windows else _matrix(sizes, source)


def _windows(product: Product) -> list[_Window] | None:
    """The windows, in the order in which the output has their positions; None if a row is odd."""
    positions = [row.loop for row in product.out]
    taps = {row.loop for row in product.weight}
    if None in positions or None in taps:
        return None
    found = []
    for row in product.data:
        if (
            row.loop
            and row.border == (0, 0)
            and row.size is None
            and row.loop in {*positions, *taps}
        ):
            continue
        names = [n for n, _ in row.index.terms]
        at, over = [n for n in names if n in positions], [n for n in names if n in taps]
        if len(names) != 2 or len(at) != 1 or len(over) != 1 or at == over:
            return None
        found.append(_Window(row, at[0], over[0]))
    return sorted(found, key=lambda w: positions.index(w.position))


def _convolution(
    product: Product, windows: list[_Window], sizes: Mapping[str, int], source: str
) -> Operator | None:
    """A convolution of one to three axes, grouped or depthwise where there are groups."""
    groups, axes, rank = sizes["group"], _AXES[len(windows)], len(windows)
    depthwise = groups > 1 == sizes["c"] == sizes["k"] and rank < max(_AXES)
    arguments: dict[str, object] = {"n": sizes["batch"], "c": sizes["c"] * groups}
    if not depthwise:
        arguments |= {"k": sizes["k"] * groups, "groups": groups}
    for axis, window in zip(axes, windows, strict=True):
        arguments |= {axis: window.row.extent(product.loops)}
        arguments |= {_TAPS[axis]: product.loops[window.tap]}
    rows = [(w.row.index.coefficient(w.position), w.row.index.coefficient(w.tap)) for w in windows]
    arguments["stride"] = [stride for stride, _ in rows]
    arguments["dilation"] = [dilation for _, dilation in rows]
    arguments["pad"] = [end for w in windows for end in w.row.border]
    if rank == 1:  # one number for the axis, of which a list of one is no way to write it
        arguments |= {"stride": rows[0][0], "dilation": rows[0][1]}
    found = construct(source, f"{'depthwise' if depthwise else 'conv'}{rank}d", arguments)
    extents = found.computation.extents
    for axis, window in zip(axes, windows, strict=True):
        wanted, given = product.loops[window.position], extents[f"o{axis}"]
        if wanted != given:
            size = window.row.extent(product.loops)
            allowed = f"an input of {size} with border {window.row.border} has {given} positions"
            raise InputError(source, window.position, wanted, allowed)
    return found


def _matrix(sizes: Mapping[str, int], source: str) -> Operator:
    """A matrix product, or one for each group."""
    arguments = {"m": sizes["batch"], "n": sizes["k"], "k": sizes["c"]}
    if sizes["group"] > 1:
        return construct(source, "batched_matmul", {"b": sizes["group"], **arguments})
    return construct(source, "gemm", arguments)


def _custom(product: Product, source: str) -> Operator:
    """The product by its loops and access maps."""
    loops = product.loops
    dims = tuple(Dimension(n, extent) for n, extent in loops.items())
    data = _tensor("data", product.data, loops)
    weight = _tensor("weight", product.weight, loops)
    out = _tensor("output", product.out, loops)
    computation = Computation("custom", dims, data, weight, out)
    check(computation, source)
    return Operator.of("custom", "custom", computation)


def _tensor(name: str, rows: tuple[Row, ...], loops: Mapping[str, int]) -> Tensor:
    return Tensor(
        name,
        tuple(row.extent(loops) for row in rows),
        tuple(replace(row.index, const=row.index.const - row.border[0]) for row in rows),
        ascii_uppercase[: len(rows)],
    )
