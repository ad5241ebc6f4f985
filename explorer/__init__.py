"""Every way to embed a tensor operator into an accelerator's instruction, ranked.

The Python API mirrors the command line: ``explorer.enumerate("gemm:m=4,n=4,k=4")`` gives
embeddings, ``explorer.rank(...)`` a `Ranking` whose ``frame()`` is the table that the command
prints.

In: operators, configurations and wishes. Out: embeddings, rankings, programs, studies. The stages
import `isa` and `simulator`, and one another in the order in which data flows, from `operators` to
`cli`; each says in its ``__init__`` what comes in and what goes out.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from explorer.api import *  # noqa: F403 - the one list of the names is `explorer.api.__all__`

    __version__: str


def __getattr__(name: str) -> Any:
    """The API's functions, imported when first used: the command line must start quickly."""
    if name == "__version__":
        from importlib.metadata import version  # noqa: PLC0415 - see above

        return version("vta-explorer")
    # Of a stage that is not imported yet, Python asks here first.
    if name == "__all__" or not (name.startswith("_") or find_spec(f"{__name__}.{name}")):
        from explorer import api  # noqa: PLC0415 - see above

        if name in ("__all__", *api.__all__):
            return getattr(api, name)
    raise AttributeError(f"module 'explorer' has no attribute {name!r}")


def __dir__() -> list[str]:
    """What there is, functions of the API included."""
    from explorer import api  # noqa: PLC0415 - see above

    return sorted({*globals(), *api.__all__})
