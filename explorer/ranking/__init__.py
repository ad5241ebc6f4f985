"""One operator's story from top to bottom: explore, rank, gains.

In: an `Operator` and a `Config`. Out: `explore.Evaluation` of an embedding, `best_first.Ranking` of
all, `gains` over the baselines. Imports the stages before, up to baselines.
"""
