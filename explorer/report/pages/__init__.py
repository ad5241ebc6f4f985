"""Pages that one explores in a browser: one HTML file each, which needs nothing but itself.

In: rankings and fronts. Out: HTML. Vega-Lite draws; what surrounds the pictures is in the ``.js``
files here. All data travels compressed and in base 64, so that no text of a user's can become
markup or script, and what a page shows of it is set as text. A policy in each page forbids the
browser to load anything.
"""
