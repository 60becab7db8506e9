"""What makes a traced value pass for a NumPy array: operators, methods, protocols, writes."""

from chainrule.arrays import buffers, functions, methods, protocols

__all__ = ["buffers", "functions", "methods", "protocols"]
