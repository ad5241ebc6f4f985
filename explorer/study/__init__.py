"""Studies: operators under many configurations, and what is kept of each.

`study` says what is asked, `unit` answers one operator under one configuration, `execute` runs
units on any executor, `store` keeps each answer, and `tables` puts them together.
"""
