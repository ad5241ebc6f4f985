"""Every way to embed a tensor operator into an accelerator's instruction, ranked.

The Python API mirrors the command line: ``explorer.enumerate("gemm:m=4,n=4,k=4")`` gives
embeddings, ``explorer.rank(...)`` a `Ranking` whose ``frame()`` is the table that the command
prints.

In: operators, configurations and wishes. Out: embeddings, rankings, programs, studies. The stages
import `isa` and `simulator`, and one another in the order in which data flows, from `operators` to
`cli`; each says in its ``__init__`` what comes in and what goes out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    __version__: str
    from explorer.api import (
        bench,
        count,
        disasm,
        emit,
        enumerate,
        evaluate,
        execute,
        lint,
        map,
        network_emit,
        network_map,
        network_plan,
        network_run,
        network_timeline,
        network_trace,
        network_verify,
        network_why,
        optimize,
        pareto,
        rank,
        results,
        run,
        schema,
        show,
        sweep,
        template,
        trace,
        verify,
        why,
    )

__all__ = [
    "bench",
    "count",
    "disasm",
    "emit",
    "enumerate",
    "evaluate",
    "execute",
    "lint",
    "map",
    "network_emit",
    "network_map",
    "network_plan",
    "network_run",
    "network_timeline",
    "network_trace",
    "network_verify",
    "network_why",
    "optimize",
    "pareto",
    "rank",
    "results",
    "run",
    "schema",
    "show",
    "sweep",
    "template",
    "trace",
    "verify",
    "why",
]


def __getattr__(name: str) -> Any:
    """The API's functions, imported when first used: the command line must start quickly."""
    if name == "__version__":
        from importlib.metadata import version  # noqa: PLC0415 - see above

        return version("vta-explorer")
    if name in __all__:
        from explorer import api  # noqa: PLC0415 - see above

        return getattr(api, name)
    raise AttributeError(f"module 'explorer' has no attribute {name!r}")
