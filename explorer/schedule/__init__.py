"""Schedules: how the outer loops of a design are tiled, ordered and buffered.

`space` says what a schedule is and which there are, `dma` how a box of entries is moved, `search`
finds the best one with a compiled cost model.
"""
