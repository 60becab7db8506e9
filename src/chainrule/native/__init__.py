"""Native mode: from a function and its arguments to a compiled program, and back."""
