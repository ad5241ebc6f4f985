"""What is shipped and proven: program folders, and execution bit for bit.

In: `schedule.lowering.Code` and data. Out: files of a program folder (`emission`), verdicts of
executing it (`verification`); `stepwise` executes embeddings on instructions that have no programs.
Imports `isa`, `simulator`, and the stages before, up to schedule.
"""
