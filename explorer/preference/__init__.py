"""What is preferred: optima and fronts of embeddings with proof, and conflicts of requirements.

In: an `Operator`, a `Config` and a user's texts (`parsing`). Out: `outcome.Optima`. Imports the
stages before, up to ranking.
"""
