"""Studies: operators under many configurations, and what is kept of each.

In: workloads, a grid of configurations, objectives. Out: a results store, tables, Pareto fronts
(`dominance`). Imports the stages before, up to ranking.

`study` says what is asked, `unit` answers one operator under one configuration with what those
before it have found (`shared`), `backends` run units on any executor, `store` keeps each answer,
and `tables` puts them together.
"""
