"""Derivatives while the program runs: dual numbers, the tape, and the imperative style."""
