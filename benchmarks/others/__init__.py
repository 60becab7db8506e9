"""The programs as users of other tools write them: whole-array operations, and loops where the tool compiles them.

Each module has a function for each tool that can express the program sensibly: `jax`, `torch`, `autograd`, `casadi`.
It takes the arguments of the program's `objective` and returns a function without arguments that computes the
derivative and waits for it.
"""
