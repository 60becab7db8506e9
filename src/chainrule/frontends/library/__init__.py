"""The functions of Python, math and NumPy that are more than elementwise. Importing this package fills the table."""

from chainrule.frontends.library import algebra, creation, functions, python, rearranging, reductions, shapes, special
from chainrule.frontends.library.table import find

__all__ = ["algebra", "creation", "find", "functions", "python", "rearranging", "reductions", "shapes", "special"]
