"""What the explorer's programs are compared with, besides the reference embedding.

TVM's own schedule template for VTA: `template` says what it may choose, `template_tile` what a
choice moves, `template_program` writes the instruction stream, `template_search` finds the choice
that takes the fewest cycles, and `tophub` holds the choices that TVM's users have published.

In: an `Operator`. Out: its best tiling with a program and cycles. Imports `isa`, `simulator`, and
the stages before, up to schedule.
"""
