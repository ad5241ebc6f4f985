"""The instruction set as data: computations, configurations, binary encoding, programs.

In: documents and binaries that users have (`schema`, `json`, `intrinsics`, `folder`). Out:
`computation.Computation` and `computation.Operator`, which say what is computed; `config.Config`,
which says on which machine; decoded tables of instructions (`fields`, `codec`, `listing`); and
`program_image.Program`, which says where all of it lies in DRAM.

Imports nothing of this project. Every error that a user can cause is an `errors.InputError`.
"""
