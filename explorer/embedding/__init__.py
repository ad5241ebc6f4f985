"""What can be: every embedding of an operator into an instruction, by answer sets.

In: `isa.computation.Computation` of operator and instruction, and wishes as typed values
(`metrics`). Out: `digits.Embedding`, and the virtual loops it stands for (`virtual_loops.Nest`).
Imports `isa` and `operators`; clingo is imported here and nowhere before.
"""
