"""How does a planned network run? Programs joined into segments, in one memory, with the host.

In: a network, its constants, and a plan of `explorer.network`. Out: `image.Deployment`, plain data
that `folder` writes and reads, `execution` executes, and `verification` compares with the integers
that the network has to compute. Imports `isa`, `simulator` and the stages before it.
"""
