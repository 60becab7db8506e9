"""The tables of derivative rules. Importing this package fills the registry."""

from chainrule.rules import batching, elementwise, indexing, linalg, reduce, shape

__all__ = ["batching", "elementwise", "indexing", "linalg", "reduce", "shape"]
