"""What the explorer's programs are compared with, besides the reference embedding.

TVM's own schedule template for VTA: `template` says what it may choose and what that moves,
`program` writes its instruction stream, `search` finds the choice that takes the fewest cycles, and
`tophub` holds the choices that TVM's users have published.
"""
