"""The programs that tools for derivatives are measured on, written as a numeric Python user would write them.

Each module has `objective`, the plain Python function, `data(size)`, its arguments, `SIZES`, and `SMALL`, sizes for
tests. `ARGNUMS` tells which gradient is wanted; where it is none, `derivative(*args)` returns a function without
arguments that computes what is. Definitions follow the public suites ADBench, GradBench and cmpad.
"""
