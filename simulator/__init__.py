"""Execution: the direct reference, the functional simulator of the binary, the cycle model."""
