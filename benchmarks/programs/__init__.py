"""The programs that tools for derivatives are measured on, written as a numeric Python user would write them.

Each module has `objective`, the plain Python function, `data(size)`, its arguments, and `SIZES`. Definitions follow
the public suites ADBench, GradBench and cmpad.
"""
