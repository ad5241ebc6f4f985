"""Execution: the direct reference, the functional simulator of the binary, the cycle model.

In: an `isa` computation with its tensors, or a `Program` and its decoded table. Out: every bit of
the result (`reference`, `functional`), cycles and where they go (`timing`, `roofline`), and what
may go wrong on other implementations of VTA (`lint`, `races`). Imports `isa` only: nothing here
knows how a program came about, so that the explorer's programs are judged from outside.
"""
