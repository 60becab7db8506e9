"""Machine code by Numba: the one package that imports Numba and LLVM."""
