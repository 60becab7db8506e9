"""Small user programs, as data: what native mode is checked on, item by item of its language.

Plain Python and NumPy, written as people write it. `from tests.programs import PROGRAMS`.
"""

from tests.programs import (
    arrays,
    branches,
    calls,
    everyday,
    grown,
    kernels,
    linalg,
    loops,
    models,
    nested,
    rebound,
    records,
    recursions,
    scalars,
    traps,
    views,
    writes,
)
from tests.programs.table import Program, flatten, programs_of, rebuild

__all__ = ["MODULES", "PROGRAMS", "Program", "flatten", "rebuild"]

MODULES = (scalars, branches, loops, writes, views, arrays, linalg, calls, recursions, records, nested, traps, models)
MODULES += (rebound, everyday, kernels, grown)
PROGRAMS: list[Program] = [program for module in MODULES for program in programs_of(module)]
