"""How it lies in memory: the packed layout of every tensor, and what may be chosen there.

In: an `Embedding` with its `Nest`. Out: `packed.Layout` of each tensor, and `design.Design`, one
embedding with all of them. Imports `isa`, `simulator` and the stages before: operators, embedding.
"""
