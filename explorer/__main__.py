"""The command `explorer`: from here on, Ctrl-C ends it without a traceback, also while it loads."""

from __future__ import annotations

import gc
import os
import signal


def _end(*_: object) -> None:
    os.write(2, b"explorer: interrupted\n")
    os._exit(130)


def main() -> None:
    """Run the command line."""
    signal.signal(signal.SIGINT, _end)  # first of all: imports take as long as some commands
    gc.disable()  # what is loaded stays: see `explorer.cli.common.loaded`
    from explorer.cli import main as run  # noqa: PLC0415 - see above

    run()


if __name__ == "__main__":
    main()
