"""For people: descriptions, pictures and timelines of what the stages found.

In: evaluations, tables and fronts. Out: text, PNG, SVG and HTML. Imports the stages before.
"""
