"""Operators: constructors, YAML documents, one-line texts and the workloads that ship.

>>> resolve("resnet18:C2").computation.macs
115605504
"""

from explorer.operators.workloads import Entry, catalogue, resolve

__all__ = ["Entry", "catalogue", "resolve"]
