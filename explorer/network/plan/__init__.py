"""The best candidate of every node: a problem, its exact reductions, and its solving."""
