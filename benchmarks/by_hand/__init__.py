"""Derivatives written by hand in Numba: how fast a gradient of the programs can be on this machine.

Each module has `gradient`, which takes the arguments of the program's `objective` and does what its reverse sweep
would, as well as we could write it: results of elementary functions are kept, arithmetic is repeated, elementary
functions stand in loops of their own and run in vectors, indices are unsigned, no views are made in inner loops.
"""
