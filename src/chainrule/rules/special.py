"""Derivative rules of scipy.special's ufuncs, entered when they are first met."""
