"""NumPy functions on traced values; importing this package enters them all, see `arrays.protocols`."""

from chainrule.arrays.functions import creation, joins, products, reductions, selection, shapes

__all__ = ["creation", "joins", "products", "reductions", "selection", "shapes"]
