"""From the intermediate representation to text that Python runs and Numba compiles."""
