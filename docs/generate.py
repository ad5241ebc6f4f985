"""Pages that are made from the sources when the site is built, so that they cannot fall behind.

MkDocs calls `on_files`. Tests call `pages` as well: what stands in the site is what they look at.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from enum import Enum
from typing import Any, get_args

import typer
from typer.main import get_command

from explorer.cli import EVERY
from explorer.cli.common import extended
from explorer.schemas import ENTRIES
from explorer.study.parameters import PARAMETERS
from isa.config import PRESETS, Config, Timing


def pages() -> dict[str, str]:
    """The text of each page, by its path in the site's sources."""
    return {
        "reference/commands.md": "\n".join(_commands()),
        "reference/isa-parameters.md": "\n".join(_parameters()),
        "reference/outputs.md": "\n".join(_outputs()),
        "reference/schemas.md": "\n".join(_schemas()),
    }


def on_files(files: Any, config: Any) -> Any:
    """Add the pages to those that were written by hand (MkDocs looks for this name)."""
    from mkdocs.structure.files import File  # noqa: PLC0415 - tests of the pages need no MkDocs

    for path, text in pages().items():
        files.append(File.generated(config, path, content=text))
    return files


def _cell(text: object) -> str:
    """A text as it can stand in a table."""
    return " ".join(str(text).split()).replace("|", "\\|").replace("<", "&lt;")


def _table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield f"|{'---|' * len(head)}"
    yield from (f"| {' | '.join(map(_cell, row))} |" for row in rows)
    yield ""


def _commands() -> Iterator[str]:
    """Every command with its arguments and options, as `explorer COMMAND --help` has them."""
    yield "# Commands\n"
    yield (
        "What `explorer COMMAND --help` says. The exit status is 0, 1 where the answer is no (a "
        "wrong bit, a finding, a conflict), 2 for bad input and 130 after Ctrl-C. "
        "[What each command writes](outputs.md) is a page of its own.\n"
    )
    for name, entry in EVERY.items():
        single = typer.Typer(add_completion=False)
        single.command(name)(extended(entry.load()))
        command = get_command(single)
        yield f"## explorer {name}\n"
        yield f"{inspect.cleandoc(command.help or entry.summary)}\n"
        options: list[Any] = [p for p in command.params if p.param_type_name == "option"]
        arguments: list[Any] = [p for p in command.params if p.param_type_name == "argument"]
        words = [_metavar(p) if p.required else f"[{_metavar(p)}]" for p in arguments]
        yield f"```text\n{' '.join(['explorer', name, *words, '[OPTIONS]'])}\n```\n"
        rows = [(f"`{_metavar(p)}`", p.help or "") for p in arguments]
        if rows:
            yield from _table(("argument", "what it is"), rows)
        rows = [(f"`{', '.join(p.opts)}`{_value(p)}", p.help or "") for p in options]
        yield from _table(("option", "what it does"), [r for r in rows if r[0] != "`--help`"])


def _metavar(parameter: Any) -> str:
    """What stands for an argument in a usage line."""
    return str(parameter.metavar or parameter.name.upper()).strip("[]").replace("]...", "...")


def _value(parameter: Any) -> str:
    """What an option takes, and what it is without being given."""
    if parameter.is_flag:
        return ""
    kind = parameter.type_descriptor.annotation
    listed = list(kind) if isinstance(kind, type) and issubclass(kind, Enum) else get_args(kind)
    texts = [str(x) for x in listed if isinstance(x, str)]  # the values of an enumeration
    taken = "|".join(texts) or parameter.metavar or getattr(kind, "__name__", "value").upper()
    default = parameter.default
    given = "" if default is None or default == "" else f", by default {default}"
    return f" {taken}{given}"


_FILES = {
    "emit": "`--out DIR`: a program folder ([Programs on disk](programs.md)).",
    "show": "`--out FILE.png` or `.svg`: the timeline as a figure.",
    "bench": "`--out DIR`: for each suite a table (`.csv`), a figure (`.svg`) and a page (`.md`).",
    "sweep": "`--out DIR`: a store of results ([the store](sweeps.md#the-store)).",
    "pareto": "`--plot FILE`: of a table's rows, a figure (`.png`, `.svg`) or a page (`.html`).",
    "map": "`--out FILE.html`: the page.",
    "network map": "`--out FILE.html`: the page.",
    "network import": "`--out FILE.yaml` or `.json`: the document of the network.",
    "network plan": "`--certificate FILE.json`: what a plan over all embeddings claims.",
    "schema": "`NAME --out FILE`: the schema.",
}


def _outputs() -> Iterator[str]:
    """What each command writes: files, and the keys of its JSON and of its tables."""
    yield "# What each command writes\n"
    yield (
        "Text for people goes to standard output; with `--json` it is one JSON document instead, "
        "and what else is to be said goes to standard error. Tables "
        "have the same columns in JSON, and with `--out FILE` in CSV (`.csv`, or `-`), JSON "
        "(`.json`) and Parquet (`.parquet`). The same input gives the same bytes. "
        "`explorer schema NAME` prints the schema of each output.\n"
    )
    yield (
        "Text and tables are as wide as the terminal, or 80 columns where there is none; the "
        "variable `COLUMNS` overrides both. Long cells go on in the next line, columns that can be "
        "done without are left out, and a table for which that is not enough is printed as a list "
        "for each row: what other programs read are `--out` and `--json`, which have all columns, "
        "whole.\n"
    )
    yield (
        "Work that takes more than two seconds tells on standard error how far it is: in a bar on "
        "a terminal, and else in lines, ever more seldom (after 2, 4, 8 … seconds, and each minute "
        "in the end). `--quiet` has neither.\n"
    )
    for command in EVERY:
        yield f"## explorer {command}\n"
        if command in _FILES:
            yield f"{_FILES[command]}\n"
        for entry in ENTRIES:
            if entry.command == command:
                yield f"Schema `{entry.name}`: {entry.what}.\n"
                for form in _forms(entry.build()):
                    yield from _table(("key", "type", "meaning"), form)


def _forms(schema: Mapping[str, Any]) -> Iterator[list[tuple[str, str, str]]]:
    """The keys of an object, or of the items of a list; several where there are several forms."""
    definitions = schema.get("$defs", {})

    def found(part: Mapping[str, Any]) -> Mapping[str, Any]:
        name = part.get("$ref", "").rpartition("/")[2]
        return definitions[name] if name else part

    top = found(schema.get("items", schema))
    for each in map(found, top.get("anyOf", [top])):
        form = found(each.get("items", each))
        rows = [
            (f"`{key}`", _type(value), value.get("description", ""))
            for key, value in form.get("properties", {}).items()
        ]
        more = form.get("additionalProperties")
        if more:
            kind = _type(more) if isinstance(more, dict) else "any"
            rows.append(("…", kind, form.get("description", "")))
        if rows:
            yield rows


def _type(part: Mapping[str, Any]) -> str:
    """The type of a value, in a word or two."""
    if "anyOf" in part:
        return " or ".join(_type(each) for each in part["anyOf"])
    if "$ref" in part:
        return str(part["$ref"]).rpartition("/")[2].lower()
    if "enum" in part or "const" in part:
        return " or ".join(map(str, part.get("enum", [part.get("const")])))
    if part.get("type") == "array":
        return f"list of {_type(part['items'])}" if "items" in part else "list"
    if part.get("type") == "object":
        more = part.get("additionalProperties")
        return f"object of {_type(more)}" if isinstance(more, dict) else "object"
    return str(part.get("type", "any"))


def _schemas() -> Iterator[str]:
    """The list of schemas, and how to use them."""
    yield "# JSON Schemas\n"
    yield (
        "Every document that is read and every JSON output has a schema (draft 2020-12). "
        "`explorer schema NAME` prints it, `explorer.schema(NAME)` gives it in Python; the tests "
        "validate every output against its own.\n"
    )
    rows = [
        (f"`{e.name}`", e.what, f"`explorer {e.command} --json`" if e.command else "is read")
        for e in ENTRIES
    ]
    yield from _table(("name", "of", "where"), rows)
    yield "## In an editor\n"
    yield (
        "Editors that know the YAML language server complete and check a document whose first "
        "line names its schema. Those that ship have such a line; for one of your own:\n"
    )
    yield "```sh\nexplorer schema study --out study.schema.json\n```\n"
    yield "```yaml\n# yaml-language-server: $schema=study.schema.json\nname: mine\n```\n"
    listed = [e.name for e in ENTRIES if not e.command]
    links = ", ".join(f"[{name}](../schemas/{name}.json)" for name in listed)
    yield f"Schemas of documents, as files: {links}.\n"


_MEANINGS = {
    "LOG_INP_WIDTH": "bits of an input; 3 means int8, the only value",
    "LOG_WGT_WIDTH": "bits of a weight; 3 means int8, the only value",
    "LOG_ACC_WIDTH": "bits of an accumulator; 5 means int32, the only value",
    "LOG_BATCH": "lanes of axis x: rows of an input element",
    "LOG_BLOCK_IN": "lanes of axis z: what one step adds up",
    "LOG_BLOCK_OUT": "lanes of axis y: outputs of one step",
    "LOG_UOP_BUFF_SIZE": "bytes of the micro-op scratchpad",
    "LOG_INP_BUFF_SIZE": "bytes of the INP scratchpad",
    "LOG_WGT_BUFF_SIZE": "bytes of the WGT scratchpad",
    "LOG_ACC_BUFF_SIZE": "bytes of the ACC scratchpad; OUT has a quarter of it",
    "BUS_BITS": "width of the DRAM data bus; `LOG_BUS_WIDTH` in a file, as a logarithm",
    "BURST_BEATS": "beats of the longest burst",
    "MEMORY_LATENCY": "cycles from a read command to its first beat",
    "FETCH_BATCH": "instructions that the fetch unit reads at a time",
    "QUEUE_DEPTH": "instructions that a module's queue holds",
}


def _parameters() -> Iterator[str]:
    """The parameters of the ISA and of the cycle model, and what the presets set them to."""
    yield "# ISA parameters\n"
    yield (
        "The keys of VTA's `vta_config.json`; a name that begins with `LOG_` is a base-2 "
        "logarithm. `LOG_BLOCK` sets both sides of the block. `--config` takes a preset or such a "
        "file, `explorer sweep --vary` a range of values.\n"
    )
    default = _values(Config.default())
    rows = [
        (f"`{key}`", _MEANINGS[key], value, "yes" if key in PARAMETERS else "no")
        for key, value in default.items()
    ]
    yield from _table(("parameter", "what it sets", "default", "can be swept"), rows)
    yield "## Presets\n"
    yield "What differs from the default:\n"
    presets = []
    for name in PRESETS:
        config = Config.load(name)
        other = {k: v for k, v in _values(config).items() if v != default[k]}
        shown = ", ".join(f"`{key}` {value}" for key, value in other.items())
        presets.append((f"`{name}`", f"{config.batch}×{config.block_in}×{config.block_out}", shown))
    yield from _table(("preset", "lanes x×z×y", "what differs"), presets)
    yield "## How wide the fields are\n"
    yield (
        "Depths of scratchpads follow from bytes and element sizes, and the widths of index fields "
        "from depths. A micro-op has 32 bits, an instruction 128, and `sram_base` 16: a "
        "configuration whose fields do not fit is refused, with the field that is too wide.\n"
    )


def _values(config: Config) -> Mapping[str, int]:
    """The parameters of a configuration that are numbers, by the names that sweeps use."""
    own = {f.name.upper(): getattr(config, f.name) for f in fields(Config) if "log_" in f.name}
    return own | {f.name.upper(): getattr(config.timing, f.name) for f in fields(Timing)}
