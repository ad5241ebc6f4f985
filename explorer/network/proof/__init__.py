"""Plans that are optimal over all embeddings: bounds by jokers, and what remains to be evaluated.

`marginals` says what the best plan costs that has a given candidate, `ways` are the candidates with
their floors, `relaxation` is a network of them, and `search` closes the gap between both bounds.
"""
