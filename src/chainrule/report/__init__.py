"""Reports on one evaluation of a function: approaches compared, operations counted, kinks and NaNs found."""
