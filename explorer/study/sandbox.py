"""SQL that a user writes, answered from the tables it is about and from nothing else.

DuckDB reads and writes files, loads extensions and sees Python's variables as soon as a query asks
for it. A query may come from anywhere, so each runs in a database of its own, in memory, that holds
the tables and has no way out: no files, no network, no extensions, and no statement but a query.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from isa.errors import InputError

if TYPE_CHECKING:
    import duckdb

MAX_ROWS = 5_000_000
"""Rows of an answer; what takes more is summed up in SQL."""

# The last one keeps a query from taking the others back.
_CONFINED = (
    "SET python_enable_replacements = false",
    "SET temp_directory = ''",
    "SET enable_external_access = false",
    "SET autoinstall_known_extensions = false",
    "SET autoload_known_extensions = false",
    "SET lock_configuration = true",
)


def answer(tables: Mapping[str, pa.Table], sql: str, option: str, shown: str = "") -> pa.Table:
    """What one query on these tables gives.

    Args:
        tables: what it may name.
        sql: the query.
        option: where it comes from, for errors.
        shown: what the user wrote of it, for errors; all of it by default.

    Raises:
        InputError: it is no query, has an error, reaches for anything but the tables, or its answer
            has two columns of one name or more than `MAX_ROWS` rows.
    """
    with _failures(option, shown or sql), _database(tables) as database:
        kinds = [statement.type.name for statement in database.extract_statements(sql)]
        if kinds != ["SELECT"]:
            allowed = "one query, as SELECT or FROM: tables are read here, and --out writes answers"
            raise InputError(option, "", shown or sql, allowed)
        batches, rows = [], 0
        reader: Any = database.sql(sql).to_arrow_reader()
        for batch in reader:
            batches.append(batch)
            rows += batch.num_rows
            if rows > MAX_ROWS:
                allowed = f"an answer has at most {MAX_ROWS:,} rows: use LIMIT, or sum them up"
                raise InputError(option, "", shown or sql, allowed)
        found = pa.Table.from_batches(batches, reader.schema)
    for name in found.column_names:
        if found.column_names.count(name) > 1:
            allowed = f"two columns of the answer are called {name}: name them with AS"
            raise InputError(option, "", shown or sql, allowed)
    return found


@contextmanager
def _database(tables: Mapping[str, pa.Table]) -> Iterator[duckdb.DuckDBPyConnection]:
    """A database in memory that holds views of the tables and cannot reach anything else."""
    import duckdb  # noqa: PLC0415 - slow to import, and only queries need it

    with duckdb.connect() as database:
        for name, table in tables.items():
            database.register(name, table)
        for statement in _CONFINED:
            database.execute(statement)
        yield database


@contextmanager
def _failures(option: str, shown: str) -> Iterator[None]:
    """Turn whatever goes wrong with a query into one error about it."""
    try:
        yield
    except InputError:
        raise
    # Not only DuckDB's own: values that Arrow cannot hold, and memory, fail in their own ways.
    except Exception as error:
        text = str(error).partition("\n")[0] or type(error).__name__
        raise InputError(option, "", shown, f"DuckDB says: {text}") from None
