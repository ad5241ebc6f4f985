"""The instruction set as data: computations, configurations, binary encoding, programs."""
