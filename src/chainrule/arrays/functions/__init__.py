"""NumPy functions on traced values; importing this package enters them all, see `arrays.protocols`."""

from chainrule.arrays.functions import (
    creation,
    differences,
    joins,
    linalg,
    parts,
    products,
    reductions,
    rounding,
    selection,
    shapes,
    sorting,
    statistics,
    ufuncs,
)

__all__ = [
    "creation",
    "differences",
    "joins",
    "linalg",
    "parts",
    "products",
    "reductions",
    "rounding",
    "selection",
    "shapes",
    "sorting",
    "statistics",
    "ufuncs",
]
