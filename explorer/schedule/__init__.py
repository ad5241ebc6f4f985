"""When it happens: tiles, their order and the scratchpads' contexts, down to instructions.

In: a `Design`. Out: the best `space.Schedule` of the space with its cycles and a proof (`search`),
and its instructions (`lowering.Code`). Imports `isa`, `simulator`, and the stages before, up to
layout.
"""
