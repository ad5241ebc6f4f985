"""The candidates of every node: which embeddings, and the cycles of their best programs."""
