"""NumPy functions on traced values; importing this package enters them all, see `arrays.protocols`."""

from chainrule.arrays.functions import products, reductions, shapes

__all__ = ["products", "reductions", "shapes"]
