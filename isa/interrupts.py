"""Ctrl-C as a flag: what takes long may look at it, and nothing is torn out of a call.

An exception that comes at any moment ends in crashes where compiled code or a solver calls back
into Python. The command line therefore catches the signal in a thread that does nothing else
(`explorer.cli.interrupts`), and sets this.
"""

from __future__ import annotations

from threading import Event, RLock

pressed = Event()
"""Whether the user of the command line has asked it to stop."""

unbroken = RLock()
"""Held while something is done that must be done whole, as a file and the account of it.

It must not take long: the end of the process waits for it, and then never lets it go.
"""
