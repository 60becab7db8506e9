"""The command line `chainrule`: the only part of the package that prints."""
