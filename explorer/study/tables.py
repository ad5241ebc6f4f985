"""Tables of a store: results, one row a point; totals, one row a workload and configuration."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from explorer.study.parameters import PARAMETERS
from explorer.study.sandbox import answer
from explorer.study.store import UNITS, Store, read_part
from explorer.study.unit import OK
from isa.errors import InputError
from isa.files import parsing, read_bytes

if TYPE_CHECKING:
    import pandas as pd

ALL = "all"
MAX_FILE = 2**30
"""Bytes of a table's file; in memory it takes a few times as much."""

_SUMS = ("cycles", "reference_cycles", "steps", "instructions", "dram_bytes", "energy")
_SHARED = ("mac_units", "on_chip_bytes", "area")
_ROW = "__row"
_WORKLOADS = pa.schema(
    {"workload": pa.string(), "operator": pa.string(), "repeat": pa.int64(), "layer": pa.string()}
)


def results(store: Store, model: str | None = None) -> tuple[pd.DataFrame, int]:
    """The rows of all units, each under every name that a workload has for its layer.

    Args:
        store: where they are.
        model: the model version whose rows are wanted; None for that of the latest sweep, and
            `ALL` for every version.

    Returns:
        The table, sorted by operator, configuration and point, and the number of units that
        were left out because another version of the model evaluated them.

    Raises:
        InputError: a part is damaged, or there is no unit of that version.
    """
    import pandas as pd  # noqa: PLC0415 - slow to import, and only tables need it

    wanted = model or store.model
    tables, versions = [], set()
    left_out = 0
    for path in store.parts():
        table = read_part(path)
        version = table["model"][0].as_py()
        versions.add(version)
        if wanted in (ALL, version):
            tables.append(table.replace_schema_metadata(None))
        else:
            left_out += 1
    if model and not tables:
        allowed = f"the store has {', '.join(sorted(versions)) or 'no units yet'}"
        raise InputError(str(store.path), "--model", model, allowed)
    table = pa.concat_tables(tables) if tables else UNITS.schema.empty_table()
    frame = _frame(table)
    names = {
        (layer.layer, layer.operator): None
        for layers in store.workloads().values()
        for layer in layers
    }
    named = pd.DataFrame(list(names), columns=["layer", "operator"], dtype=object)
    frame = frame.merge(named, on="layer", how="left")
    frame["operator"] = frame["operator"].fillna(frame["layer"])
    order = ["operator", *PARAMETERS, "model", "point"]
    frame = frame.sort_values(order, kind="stable", ignore_index=True)
    return frame[["operator", *(name for name in frame.columns if name != "operator")]], left_out


def totals(store: Store, frame: pd.DataFrame) -> pd.DataFrame:
    """What each workload takes on each configuration, every layer as often as it runs.

    Of each layer the first point counts. Where a layer has no result, the totals are missing and
    `missing` says how many layers have none. The speedup is over the layers that have a reference,
    and `with_reference` says how many those are.

    Args:
        store: where the workloads are.
        frame: its `results`.
    """
    import pandas as pd  # noqa: PLC0415 - slow to import, and only tables need it

    first = frame[frame["point"].fillna(0) == 0]
    rows = first.drop_duplicates("unit")  # a layer may have several names
    parts = []
    for workload, layers in store.workloads().items():
        listed = pd.DataFrame(
            {"layer": [n.layer for n in layers], "repeat": [n.repeat for n in layers]}
        )
        repeats = listed.groupby("layer", as_index=False)["repeat"].sum()
        part = rows.merge(repeats, on="layer").assign(workload=workload)
        parts.append(totalled(part, len(repeats)))
    return pd.concat(parts, ignore_index=True) if parts else totalled(rows.head(0), 0)


def totalled(part: pd.DataFrame, layers: int) -> pd.DataFrame:
    """The totals of one workload of so many layers, from its `results` with `repeat`."""
    keys = ["workload", "model", "configuration", *PARAMETERS]
    part = part.assign(
        **{name: part[name] * part["repeat"] for name in (*_SUMS, "macs")},
        missing=(part["status"] != OK).astype("int64"),
        with_reference=part["reference_cycles"].notna().astype("int64"),
        layers=1,
    )
    # A layer without a reference has cycles, but nothing that they could be compared with.
    part["compared_cycles"] = part["cycles"].where(part["reference_cycles"].notna(), 0)
    grouped = part.groupby(keys, sort=True, as_index=False)
    found = grouped.agg(
        {
            **dict.fromkeys(_SHARED, "first"),
            "layers": "sum",
            "missing": "sum",
            "with_reference": "sum",
            **dict.fromkeys(("macs", *_SUMS, "compared_cycles"), "sum"),
        }
    )
    found["missing"] += layers - found["layers"]
    found["layers"] = layers
    found.loc[found["missing"] > 0, ["macs", *_SUMS]] = None
    found["utilisation"] = found["macs"] / (found["steps"] * found["mac_units"])
    compared = found.pop("compared_cycles")
    whole = (found["missing"] == 0) & (found["with_reference"] > 0)
    found["speedup"] = (found["reference_cycles"] / compared).where(whole)
    found.loc[found["with_reference"] == 0, "reference_cycles"] = None
    return found


def query(store: Store, sql: str, model: str | None = None) -> tuple[pd.DataFrame, int]:
    """What DuckDB answers; the tables are ``results``, ``totals`` and ``workloads``.

    Returns:
        The answer, and the number of units left out (see `results`).

    Raises:
        InputError: the query is wrong, or as `results`.
    """
    frame, left_out = results(store, model)
    listed = [
        {"workload": workload, "operator": n.operator, "repeat": n.repeat, "layer": n.layer}
        for workload, layers in store.workloads().items()
        for n in layers
    ]
    tables = {
        "results": pa.Table.from_pandas(frame, preserve_index=False),
        "totals": pa.Table.from_pandas(totals(store, frame), preserve_index=False),
        "workloads": pa.Table.from_pylist(listed, _WORKLOADS),
    }
    return _frame(answer(tables, sql, "--sql")), left_out


def read(path: Path) -> pd.DataFrame:
    """The table in a ``.csv`` or ``.parquet`` file.

    Raises:
        InputError: it cannot be read, is too large, or no table with one name a column.
    """
    import pandas as pd  # noqa: PLC0415 - slow to import, and only tables need it

    readers: dict[str, Callable[[BytesIO], pd.DataFrame]] = {
        ".csv": pd.read_csv,
        ".parquet": pd.read_parquet,
    }
    if path.suffix not in readers:
        raise InputError(str(path), "", path.suffix, "one of .csv, .parquet, or a sweep's folder")
    data = read_bytes(path, "a sweep's directory, or a .csv or .parquet file", MAX_FILE)
    with parsing(str(path), "a table", "unreadable"), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # columns of mixed types, which have no use as objectives
        frame = readers[path.suffix](BytesIO(data))
    names = [str(name) for name in frame.columns]
    for name in names:
        if names.count(name) > 1:
            raise InputError(str(path), "", name, "a column's name may stand once")
    frame.columns = pd.Index(names)
    table: pd.DataFrame = frame
    return table


def where(frame: pd.DataFrame, condition: str) -> pd.DataFrame:
    """The rows of a table for which an SQL condition holds, in their order.

    Raises:
        InputError: the condition is wrong.
    """
    try:
        numbered = pa.Table.from_pandas(frame, preserve_index=False)
    except (pa.ArrowException, OverflowError, ValueError) as error:
        raise InputError("--where", "", condition, f"SQL cannot hold the table: {error}") from None
    numbered = numbered.append_column(_ROW, pa.array(range(len(frame)), pa.int64()))
    sql = f"SELECT {_ROW} FROM rows WHERE ({condition}\n) ORDER BY {_ROW}"
    found = answer({"rows": numbered}, sql, "--where", condition)
    rows: list[int] = found.column(0).to_pylist()
    # A text that closes the parenthesis may go on with anything, and give other rows than these.
    if rows != sorted({row for row in rows if type(row) is int and 0 <= row < len(frame)}):
        raise InputError("--where", "", condition, "a condition on a row, as cycles < 1000")
    return frame.iloc[rows].reset_index(drop=True)


def _frame(table: pa.Table) -> pd.DataFrame:
    """An Arrow table in pandas; whole numbers stay whole where some are missing."""
    import pandas as pd  # noqa: PLC0415 - slow to import, and only tables need it

    kinds = {pa.int64(): pd.Int64Dtype(), pa.bool_(): pd.BooleanDtype()}
    columns = [_plain_numbers(column) for column in table.columns]
    plain = pa.table(columns, names=table.column_names)
    frame: pd.DataFrame = plain.to_pandas(types_mapper=kinds.get)
    return frame


def _plain_numbers(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """SQL's decimals, which sums of integers are, as integers where they fit, else as floats."""
    if not pa.types.is_decimal(column.type):
        return column
    if column.type.scale == 0:
        with suppress(pa.ArrowInvalid):  # beyond 64 bits
            return column.cast(pa.int64())
    return column.cast(pa.float64())
