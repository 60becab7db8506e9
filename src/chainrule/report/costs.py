"""What derivatives cost, counted on the primitives that are really evaluated.

A function is run on watched values, then the forward and the reverse sweep are run on watched values: what is
counted is the arithmetic of the derivative as it happens, not an estimate. An elementwise operation counts one
per element of its result, a sum one per addition, a product of matrices two per inner product's term less one,
matrix factorisations their textbook leading terms; moving elements counts nothing.
"""

from __future__ import annotations

import tracemalloc
from collections import Counter
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from chainrule.core.dispatch import dtype_of, innermost, shape_of
from chainrule.core.live import dense
from chainrule.core.primitive import Primitive
from chainrule.eager.drivers import run_forward, trace_reverse
from chainrule.leaves import result_leaves
from chainrule.report.problem import Problem
from chainrule.report.words import plural
from chainrule.view.record import record

__all__ = ["Costs", "Counted", "costs", "count", "residual_bytes"]


# -- operations of a primitive ------------------------------------------------------------------------

# They compute nothing: numbers are moved, chosen or renamed.
_MOVES = frozenset({"index", "join"})
_FREE = frozenset({"astype", "positive", "real", "conjugate", "imaginary", "level", "frozen", "where", "copy"})
_SUMS = frozenset({"sum", "max", "min", "prod", "any", "all", "count_nonzero"})
# Leading terms for an m by n matrix (Golub and Van Loan, Matrix Computations, 4th ed.; n <= m).
_FACTORISATIONS: dict[str, Callable[[int, int], float]] = {
    "inv": lambda m, n: 2 * n**3,
    "det": lambda m, n: 2 * n**3 / 3,
    "slogdet": lambda m, n: 2 * n**3 / 3,
    "cholesky": lambda m, n: n**3 / 3,
    "qr": lambda m, n: 4 * (m * m * n - m * n * n + n**3 / 3),
    "eigh": lambda m, n: 9 * n**3,
    "eig": lambda m, n: 25 * n**3,
    "svd": lambda m, n: 4 * m * m * n + 8 * m * n * n + 9 * n**3,
    "pinv": lambda m, n: 4 * m * m * n + 8 * m * n * n + 9 * n**3,
}


def operations(primitive: Primitive, values: tuple[Any, ...], params: dict[str, Any], y: Any) -> int:
    """How many arithmetic operations one evaluation of a primitive takes."""
    name, size = primitive.name, _size(y)
    if name in _SUMS:
        return max(_size(values[0]) - size, 0)
    if name == "matmul":
        terms = shape_of(values[0])[-1]
        return size * max(2 * terms - 1, 0)
    if name == "einsum":
        return _einsum(values, params["subscripts"], size)
    if name == "convolve":
        return max(2 * _size(values[0]) * _size(values[1]) - size, 0)
    if name == "scatter_last":
        return _size(values[0])
    if name == "scatter":
        return _scattered(values, params["indices"])
    if name in _FACTORISATIONS:
        return _matrices(values[0], _FACTORISATIONS[name])
    if name == "solve":
        m = shape_of(values[0])[-1]
        return _matrices(values[0], lambda m, n: 2 * n**3 / 3) + 2 * m * size
    if primitive.kind in _MOVES or name in _FREE or (primitive.kind == "linear" and name != "cumsum"):
        return 0
    return size


def _scattered(values: tuple[Any, ...], indices: tuple[Any, ...]) -> int:
    """Contributions added into a buffer; the first one to all of it is the buffer."""
    whole = [_size(v) for v, index in zip(values, indices, strict=True) if index is ...]
    return sum(map(_size, values)) - (whole[0] if whole else 0)


def _size(value: Any) -> int:
    return sum(map(_size, value)) if isinstance(value, tuple) else int(np.prod(shape_of(value), dtype=np.int64))


def _einsum(values: tuple[Any, ...], subscripts: str, size: int) -> int:
    lengths: dict[str, int] = {}
    for term, value in zip(subscripts.split("->")[0].split(","), values, strict=True):
        lengths.update(zip(term, shape_of(value), strict=True))
    products = int(np.prod(list(lengths.values()), dtype=np.int64))
    return products + max(products - size, 0)


def _matrices(a: Any, leading: Callable[[int, int], float]) -> int:
    *stack, m, n = shape_of(a)
    return round(leading(max(m, n), min(m, n))) * int(np.prod(stack, dtype=np.int64))


class Counted(NamedTuple):
    """Operations by primitive, and how many primitives were evaluated."""

    by_primitive: Counter[str]
    length: int

    @property
    def total(self) -> int:
        """All operations."""
        return self.by_primitive.total()


def count(function: Callable[[list[Any]], Any], values: list[Any]) -> Counted:
    """Run a function of leaves and count."""
    with np.errstate(all="ignore"):
        steps = record(function, values, [""] * len(values), function).steps
    by_primitive: Counter[str] = Counter()
    for step in steps:
        by_primitive[step.primitive.name] += operations(step.primitive, step.values, step.params, step.y)
    return Counted(+by_primitive, len(steps))


# -- the report ---------------------------------------------------------------------------------------


class Costs:
    """Operations of a function and of its two sweeps, and the memory of the reverse one.

    Attributes
    ----------
    inputs, outputs : int
        How many numbers go in and come out.
    length : int
        Primitives evaluated: the length of the trace.
    function : int
        Operations of the function.
    forward, reverse : int
        Operations of the function together with one tangent, and with one cotangent.
    memory : int
        Bytes that the tape holds between the two halves of reverse mode.
    by_primitive : dict
        The function's operations by the primitive's name.
    """

    def __init__(self, name: str, inputs: int, outputs: int, counted: tuple[Counted, ...], memory: int) -> None:
        function, forward, reverse = counted
        self.name = name
        self.inputs, self.outputs = inputs, outputs
        self.length = function.length
        self.function, self.forward, self.reverse = function.total, forward.total, reverse.total
        self.memory = memory
        self.by_primitive = dict(function.by_primitive.most_common())

    def jacobian(self, mode: str) -> int:
        """Operations of a whole Jacobian: the function once, and one sweep per input (forward) or output (reverse)."""
        one, sweeps = (self.forward, self.inputs) if mode == "forward" else (self.reverse, self.outputs)
        return self.function + sweeps * (one - self.function)

    def rows(self) -> list[tuple[str, int, float]]:
        """The table: what, operations, and their ratio to the function's."""
        rows = [
            ("function", self.function),
            ("function and one tangent (forward)", self.forward),
            ("function and one cotangent (reverse)", self.reverse),
            (f"Jacobian, forward: sweeps {self.inputs}", self.jacobian("forward")),
            (f"Jacobian, reverse: sweeps {self.outputs}", self.jacobian("reverse")),
        ]
        return [(what, n, n / self.function if self.function else float("nan")) for what, n in rows]

    def __str__(self) -> str:
        counted = (self.inputs, "input"), (self.outputs, "output"), (self.length, "primitive")
        lines = [
            f"{self.name}: {', '.join(plural(*c) for c in counted)}; the tape holds {self.memory:,} bytes",
            f"{'':38}{'operations':>12}{'ratio':>8}",
            *(f"{what:38}{n:12,}{ratio:8.2f}" for what, n, ratio in self.rows()),
        ]
        return "\n".join(lines)

    __repr__ = __str__


def costs(f: Callable[..., Any], *args: Any) -> Costs:
    """Count the operations of a function, of a forward and of a reverse sweep through it.

    Parameters
    ----------
    f : callable
    *args : numbers, arrays or containers
        The point; all numbers in it are differentiated.

    Returns
    -------
    Costs
        Counts, the memory of reverse mode, and what a whole Jacobian takes either way; ``print`` it.

    References
    ----------
    Griewank and Walther, *Evaluating Derivatives*, 2nd ed., sections 3.1-3.4: a gradient costs at most a small
    multiple of the function, whatever the number of inputs. Baur and Strassen, *The complexity of partial
    derivatives*, 1983.

    Examples
    --------
    >>> import numpy as np, chainrule as cr
    >>> report = cr.costs(lambda x: np.sum(np.sin(x) * x), np.ones(10))
    >>> report.function, report.forward, report.reverse
    (29, 88, 79)
    """
    problem = Problem(f, args, "costs")
    seeds: list[Any] = []

    def function(values: list[Any]) -> Any:
        result = problem.run(values)
        seeds[:] = [np.ones(shape_of(y), _float(y))[()] for y in result_leaves(result)[0]]
        return result

    def forward(values: list[Any]) -> Any:
        half = len(values) // 2
        return [dense(t) for t in run_forward(problem.run, values[:half], values[half:], f)[2]]

    def reverse(values: list[Any]) -> Any:
        given = len(problem.values)
        trace = trace_reverse(problem.run, values[:given], f)
        return [dense(ct) for ct in trace.pull(values[given:], free=True)]

    tangents = [np.ones(shape_of(v), dtype_of(v))[()] for v in problem.values]
    primal = count(function, problem.values)
    counted = (primal, count(forward, problem.values + tangents), count(reverse, problem.values + seeds))
    outputs = sum(map(_size, seeds))
    return Costs(problem.name, problem.size, outputs, counted, residual_bytes(problem))


def _float(y: Any) -> Any:
    return dtype_of(y) if dtype_of(y).kind in "fc" else np.float64


def residual_bytes(problem: Problem) -> int:
    """The bytes that a tape of the function holds, measured on the allocator."""
    with np.errstate(all="ignore"):
        trace_reverse(problem.run, problem.values, problem.function)  # what is allocated once, is now
        running = tracemalloc.is_tracing()
        if not running:
            tracemalloc.start()
        try:
            before = tracemalloc.get_traced_memory()[0]
            trace = trace_reverse(problem.run, problem.values, problem.function)
            trace.leaves = [innermost(y) for y in trace.leaves]
            return tracemalloc.get_traced_memory()[0] - before
        finally:
            if not running:
                tracemalloc.stop()
