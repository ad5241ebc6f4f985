"""The command that lists the kinds of operator and the arguments that they take."""

from __future__ import annotations

from dataclasses import asdict

from explorer.cli.common import say, wants_json
from explorer.cli.output import OutputOption, show_table, table_of
from explorer.operators.assembly import EpilogueOptions
from explorer.operators.kinds import kinds as known_kinds


def kinds(output: OutputOption = None) -> None:
    """List the kinds of operator, with the arguments that they take."""
    found = known_kinds()
    if output or wants_json():
        rows = [
            {name: ",".join(v) if isinstance(v, tuple) else v for name, v in asdict(kind).items()}
            for kind in found
        ]
        show_table(table_of(rows), output)
        return
    for kind in found:
        also = f" (also {', '.join(kind.aliases)})" if kind.aliases else ""
        say(f"{kind.name}{also}")
        arguments = [f"{name}=" for name in kind.required] + [f"[{x}]" for x in kind.optional]
        say(f"  {' '.join(arguments)}")
        say(f"  {kind.summary}")
    options = ", ".join(EpilogueOptions.__annotations__)
    say(f"All take what makes the output: {options}. See docs/reference/operators.md.")
