"""What is asked: operators as data, from the texts and documents that users write.

In: a shipped workload's name, an inline text, a YAML document. Out: `isa.computation.Operator`.
Imports `isa` only.
"""

from explorer.operators.workloads import Entry, catalogue, resolve

__all__ = ["Entry", "catalogue", "resolve"]
