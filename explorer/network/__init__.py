"""Which candidate of every node makes the whole network best? Plans, with proof.

In: a network's nodes with candidates and what lies between them (`problem.Problem`). Out: a
`planning.Planned`: a plan, its costs, and what is proven. Imports the stages before.
"""
