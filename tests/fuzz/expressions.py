"""Random expressions of the language of native mode, in bounds and of moderate size by construction.

The extents of every array are known while a program is made; what is written may name them (`len(x)`, `x.shape[1]`).
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Expressions", "Helper", "Scope", "Shape", "Variable"]

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Variable:
    """A name: kind "float", "int", "bool", "array", "index" (an int array), "mask" (a bool array) or "pair".

    `low` and `high` bound an int, or the elements of an index array; None if not known. In a program that takes care,
    an array is either written to or bound to another one in branches and loops: where both happen, and another name
    may be the same array, native mode refuses.
    """

    name: str
    kind: str
    shape: Shape = ()
    low: int | None = None
    high: int | None = None
    fixed: bool = False  # it may not be assigned to: a loop's variable, a counter
    stores: bool = True
    rebinds: bool = True


@dataclass(frozen=True)
class Helper:
    """A function that can be called: the kinds of its parameters, which may be left out, and what it returns."""

    name: str
    params: tuple[tuple[str, str, Shape], ...]  # name, kind, shape
    defaults: int
    result: tuple[str, Shape]
    stores: frozenset[str] = frozenset()  # the parameters it may write to


@dataclass
class Scope:
    """What is visible at one place."""

    variables: dict[str, Variable] = field(default_factory=dict)
    helpers: list[Helper] = field(default_factory=list)

    def inner(self) -> Scope:
        return Scope(dict(self.variables), list(self.helpers))

    def add(self, variable: Variable) -> Variable:
        self.variables[variable.name] = variable
        return variable

    def of(self, kind: str, shape: Shape | None = None) -> list[Variable]:
        return [v for v in self.variables.values() if v.kind == kind and shape in (None, v.shape)]


class Expressions:
    """Makes the text of expressions from what a scope holds."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.extents = self.random.choice([(3, 2), (4, 3), (3, 3), (2, 4)])

    def chance(self, p: float) -> bool:
        return self.random.random() < p

    def pick(self, items: Any) -> Any:
        return self.random.choice(list(items))

    def constant(self) -> str:
        return str(self.pick([0.3, 0.5, 0.7, 0.9, 1.1, 1.3, 1.7, 0.2, 0.4]))

    # -- integers

    def extent(self, scope: Scope, n: int) -> str:
        """The number n, as a user would write it."""
        names = [f"len({v.name})" for v in scope.of("array") if v.shape[0] == n]
        names += [f"{v.name}.shape[{k}]" for v in scope.of("array") for k, d in enumerate(v.shape) if d == n]
        return self.pick(names) if names and self.chance(0.5) else str(n)

    def integer(self, scope: Scope) -> str:
        """Any integer, of any size."""
        names = [v.name for v in scope.of("int")]
        tables = scope.of("index")
        match self.random.randrange(7):
            case 0 if tables:
                return self.element(scope, self.pick(tables))
            case 1 if len(names) > 1:
                return f"({self.pick(names)} {self.pick('+-*')} {self.pick(names)})"
            case 2 if names:
                return f"({self.pick(names)} {self.pick(['+ 1', '- 1', '* 2', '// 2', '+ 3'])})"
            case 3 | 4 | 5 if names:
                return self.pick(names)
        return str(self.random.randrange(5))

    def index(self, scope: Scope, n: int) -> str:
        """An integer from -n to n - 1."""
        safe = [v for v in scope.of("int") if v.low is not None and v.low >= 0 and v.high is not None and v.high < n]
        match self.random.randrange(10):
            case 0 | 1 | 2 | 3 if safe:
                return self.pick(safe).name
            case 4 if safe:
                return f"{self.pick(['-1 - ', f'{n - 1} - '])}{self.pick(safe).name}"
            case 5 if safe:
                near = [v for v in safe if v.high + 1 < n]
                return f"{near[0].name} + 1" if near else f"{self.pick(safe).name} - 1"
            case 6:
                tables = [t for t in scope.of("index") if t.high < n]
                if tables:
                    return self.element(scope, self.pick(tables))
            case 7 | 8:
                return f"{self.integer(scope)} % {n}"
        return str(self.random.randrange(-n, n))

    # -- numbers

    def element(self, scope: Scope, array: Variable) -> str:
        items = [self.index(scope, n) for n in array.shape]
        if len(items) == 2 and self.chance(0.2):
            return f"{array.name}[{items[0]}][{items[1]}]"
        return f"{array.name}[{', '.join(items)}]"

    def leaf(self, scope: Scope) -> str:
        numbers, arrays = scope.of("float"), scope.of("array")
        match self.random.randrange(10):
            case 0 | 1 | 2 | 3 if numbers:
                return self.pick(numbers[-4:] if self.chance(0.6) else numbers).name
            case 4 | 5 | 6 | 7 if arrays:
                return self.element(scope, self.pick(arrays))
            case 8:
                names = scope.of("int")
                if names:
                    name = self.pick(names).name
                    return self.pick([f"0.1 * {name}", f"float({name})", f"{name} / 3"])
            case 9:
                pairs = scope.of("pair")
                if pairs:
                    return f"{self.pick(pairs).name}[{self.pick([0, 1, -1])}]"
        if numbers and self.chance(0.7):
            return self.pick(numbers).name
        return self.constant()

    def number(self, scope: Scope, depth: int = 2) -> str:
        """A float."""
        if depth <= 0:
            return self.leaf(scope)
        n = depth - 1
        match self.random.randrange(24):
            case 0 | 1 | 2:
                return f"({self.number(scope, n)} {self.pick('+-')} {self.number(scope, n)})"
            case 3 | 4 | 5:
                return f"{self.number(scope, n)} * {self.factor(scope, n)}"
            case 6:
                b = self.leaf(scope)
                return f"({self.number(scope, n)}) / (1.5 + {self.wrapped(b)} ** 2)"
            case 7 | 8:
                return f"{self.pick(['np.sin', 'np.cos', 'np.tanh', 'math.sin', 'np.arctan'])}({self.number(scope, n)})"
            case 9:
                return self.pick(
                    [
                        f"np.exp(-({self.number(scope, n)}) ** 2)",
                        f"np.sqrt(1.0 + ({self.number(scope, n)}) ** 2)",
                        f"math.log(1.2 + ({self.number(scope, n)}) ** 2)",
                        f"(1.3 + ({self.number(scope, n)}) ** 2) ** {self.pick(['0.5', '-1', '1.5'])}",
                        f"abs({self.number(scope, n)})",
                        f"-{self.factor(scope, n)}",
                        f"np.sin({self.number(scope, n)}) ** {self.pick([2, 3])}",
                    ]
                )
            case 10:
                f = self.pick(["max", "min", "np.maximum", "np.minimum"])
                return f"{f}({self.number(scope, n)}, {self.number(scope, n)})"
            case 11:
                return f"({self.number(scope, n)} if {self.test(scope)} else {self.number(scope, n)})"
            case 12 | 13 | 14:
                return self.call(scope, ("float", ()), n) or self.leaf(scope)
            case 15 | 16 | 17:
                return self.reduction(scope, n)
            case 18:
                k = f"k{self.random.randrange(3)}"
                inner = self.with_counter(scope, k, 3)
                count = self.extent(scope, 3)
                return self.pick(["sum({0} for {1} in range({2}))", "sum([{0} for {1} in range({2})])"]).format(
                    self.number(inner, 1), k, count
                )
        return self.leaf(scope)

    def factor(self, scope: Scope, depth: int) -> str:
        return self.wrapped(self.number(scope, depth))

    @staticmethod
    def wrapped(text: str) -> str:
        return text if text.isidentifier() else f"({text})"

    @staticmethod
    def with_counter(scope: Scope, name: str, n: int) -> Scope:
        inner = scope.inner()
        inner.add(Variable(name, "int", (), 0, n - 1, True))
        return inner

    def reduction(self, scope: Scope, depth: int) -> str:
        shape = self.some_shape(scope)
        a = self.array(scope, shape, depth)
        match self.random.randrange(8):
            case 0 | 1 | 2:
                return f"np.sum({a})"
            case 3:
                return f"np.mean({a})"
            case 4 if len(shape) == 1:
                b = self.array(scope, shape, depth - 1)
                return self.pick([f"np.dot({a}, {b})", f"({a}) @ ({b})"])
            case 5:
                return f"np.{self.pick(['max', 'min'])}({a})"
            case 6:
                return f"np.prod(1.0 + 0.1 * ({a}))"
            case 7:
                return self.pick(
                    [f"np.var({a})", f"np.linalg.norm({a} + 2.0)"] + [f"np.median({a})"] * (len(shape) == 1)
                )
        return f"({a}).sum()"

    def call(self, scope: Scope, result: tuple[str, Shape], depth: int) -> str | None:
        """A call of a helper that returns `result`."""
        found = [h for h in scope.helpers if h.result == result]
        if not found:
            return None
        helper = self.pick(found)
        args: list[str] = []
        left_out = self.random.randint(0, helper.defaults)
        for k, (name, kind, shape) in enumerate(helper.params[: len(helper.params) - left_out]):
            text = self.argument(scope, kind, shape, depth, name in helper.stores)
            keyword = k >= len(helper.params) - helper.defaults and self.chance(0.3)
            args.append(f"{name}={text}" if keyword or (args and "=" in args[-1].split("(")[0]) else text)
        return f"{helper.name}({', '.join(args)})"

    def argument(self, scope: Scope, kind: str, shape: Shape, depth: int, stores: bool) -> str:
        if kind == "float":
            return self.number(scope, min(depth, 1))
        if kind == "int":
            return str(self.random.randint(1, 3))
        arrays = [v for v in scope.of("array", shape) if v.stores or not stores]
        if arrays and self.chance(0.6):
            return self.pick(arrays).name
        if stores:
            return f"({self.array(scope, shape, 1)}).copy()"
        return self.view(scope, shape) or self.array(scope, shape, 1)

    # -- tests

    def test(self, scope: Scope, depth: int = 1) -> str:
        ints, tests = scope.of("int"), scope.of("bool")
        match self.random.randrange(10):
            case 0 | 1 if ints:
                i = self.pick(ints).name
                return self.pick([f"{i} % 2 == 0", f"{i} > 1", f"{i} == {self.integer(scope)}", f"{i} != 2"])
            case 2 if tests:
                return self.pick(tests).name
            case 3 if depth:
                both = [self.test(scope, depth - 1) for _ in range(2)]
                return f"({both[0]} {self.pick(['and', 'or'])} {both[1]})"
            case 4 if depth:
                return f"not ({self.test(scope, depth - 1)})"
            case 5:
                return f"-0.6 < {self.number(scope, 1)} < {self.pick([0.8, 1.5])}"
            case 6:
                return f"{self.number(scope, 1)} {self.pick(['<', '>='])} {self.number(scope, 1)}"
        return f"{self.number(scope, 1)} {self.pick(['<', '>', '<=', '>='])} {self.pick(['0.1', '0.5', '-0.2', '0.9'])}"

    # -- arrays

    def some_shape(self, scope: Scope) -> Shape:
        shapes = [v.shape for v in scope.of("array")]
        if shapes and self.chance(0.85):
            return self.pick(shapes)
        n, m = self.extents
        return self.pick([(n,), (m,), (m, n)])

    def view(self, scope: Scope, shape: Shape) -> str | None:
        """A view of shape `shape` of a variable, by basic indexing."""
        found: list[str] = []
        for v in scope.of("array"):
            found += self.views_of(scope, v, shape)
        return self.pick(found) if found else None

    def views_of(self, scope: Scope, v: Variable, shape: Shape) -> list[str]:
        a, found = v.name, []
        if len(v.shape) == len(shape) == 1:
            n, k = v.shape[0], shape[0]
            if n == k:
                found += [f"{a}[:]", f"{a}[::-1]"]
            elif n > k:
                found += [f"{a}[:{k}]", f"{a}[{n - k}:]", f"{a}[-{k}:]", f"{a}[1:{k + 1}]"]
                if (n + 1) // 2 == k:
                    found += [f"{a}[::2]", f"{a}[::-2]"]
        if len(v.shape) == 2 and len(shape) == 1:
            if v.shape[1] == shape[0]:
                found += [f"{a}[{self.index(scope, v.shape[0])}]", f"{a}[{self.index(scope, v.shape[0])}, :]"]
            if v.shape[0] == shape[0]:
                found += [f"{a}[:, {self.index(scope, v.shape[1])}]", f"{a}.T[{self.index(scope, v.shape[1])}]"]
        if len(v.shape) == 2 and len(shape) == 2:
            if v.shape == shape:
                found += [f"{a}[::-1]", f"{a}[:, ::-1]"]
            if v.shape == shape[::-1]:
                found.append(f"{a}.T")
            if v.shape[0] > shape[0] and v.shape[1] == shape[1]:
                found.append(f"{a}[:{shape[0]}]")
        return found

    def array(self, scope: Scope, shape: Shape, depth: int = 2) -> str:
        """A float array of the shape `shape`."""
        if depth <= 0:
            return self.array_leaf(scope, shape)
        n = depth - 1
        match self.random.randrange(22):
            case 0 | 1 | 2:
                return f"({self.array(scope, shape, n)} {self.pick('+-')} {self.operand(scope, shape, n)})"
            case 3 | 4 | 5:
                return f"{self.operand(scope, shape, n)} * {self.wrapped(self.array(scope, shape, n))}"
            case 6:
                return f"({self.array(scope, shape, n)}) / (1.5 + ({self.array(scope, shape, 0)}) ** 2)"
            case 7 | 8:
                return f"{self.pick(['np.sin', 'np.cos', 'np.tanh'])}({self.array(scope, shape, n)})"
            case 9:
                return f"np.exp(-({self.array(scope, shape, n)}) ** 2)"
            case 10:
                test = f"{self.array_leaf(scope, shape)} {self.pick('<>')} {self.operand(scope, shape, 0)}"
                masks = [v.name for v in scope.of("mask", shape)]
                chosen = self.pick([test, *masks])
                return f"np.where({chosen}, {self.operand(scope, shape, n)}, {self.array(scope, shape, n)})"
            case 11:
                f = self.pick(["np.maximum", "np.minimum"])
                return f"{f}({self.array(scope, shape, n)}, {self.operand(scope, shape, n)})"
            case 12:
                return self.call(scope, ("array", shape), n) or self.array_leaf(scope, shape)
            case 13 | 14:
                return self.shaped(scope, shape, n)
            case 15 | 16:
                return self.built(scope, shape, n)
        return self.array_leaf(scope, shape)

    def operand(self, scope: Scope, shape: Shape, depth: int) -> str:
        """What broadcasts to `shape`."""
        match self.random.randrange(6):
            case 0:
                return self.factor(scope, min(depth, 1))
            case 1 if len(shape) == 2:
                if self.chance(0.5):
                    return self.wrapped(self.array(scope, shape[1:], min(depth, 1)))
                return f"({self.array(scope, shape[:1], min(depth, 1))})[:, None]"
        return self.wrapped(self.array(scope, shape, depth))

    def array_leaf(self, scope: Scope, shape: Shape) -> str:
        arrays = scope.of("array", shape)
        if arrays and self.chance(0.65):
            return self.pick(arrays[-3:]).name
        view = self.view(scope, shape)
        if view and self.chance(0.8):
            return view
        if arrays:
            return self.pick(arrays).name
        return f"np.full({self.shape_text(scope, shape)}, {self.leaf(scope)})"

    def shape_text(self, scope: Scope, shape: Shape) -> str:
        items = [self.extent(scope, n) for n in shape]
        return items[0] if len(items) == 1 else f"({', '.join(items)})"

    def shaped(self, scope: Scope, shape: Shape, depth: int) -> str:
        """Reductions along an axis, products, gathered elements."""
        k = self.random.randint(2, 3)
        if len(shape) == 1:
            n = shape[0]
            options = [
                lambda: f"np.{self.pick(['sum', 'mean'])}({self.array(scope, (k, n), depth)}, axis=0)",
                lambda: f"({self.array(scope, (n, k), depth)}).sum(axis=1)",
                lambda: f"np.{self.pick(['max', 'min'])}({self.array(scope, (n, k), depth)}, axis=1)",
                lambda: f"({self.array(scope, (n, k), depth)}) @ ({self.array(scope, (k,), depth)})",
                lambda: f"({self.array(scope, (k,), depth)}) @ ({self.array(scope, (k, n), depth)})",
                lambda: f"np.{self.pick(['cumsum', 'sort', 'cumsum'])}({self.array(scope, shape, depth)})",
                lambda: f"np.{self.pick(['flip', 'abs', 'copy', 'square'])}({self.array(scope, shape, depth)})",
                lambda: f"np.roll({self.array(scope, shape, depth)}, {self.pick([1, -1, 2])})",
            ]
            tables = [t for t in scope.of("index") if t.shape == shape]
            arrays = scope.of("array")
            for t in tables:
                options += [
                    lambda v=v, t=t: f"{v.name}[{t.name}]" for v in arrays if v.shape[0] > t.high and len(v.shape) == 1
                ] * 2
            return self.pick(options)()
        m, n = shape
        return self.pick(
            [
                lambda: f"np.outer({self.array(scope, (m,), depth)}, {self.array(scope, (n,), depth)})",
                lambda: f"({self.array(scope, (m, k), depth)}) @ ({self.array(scope, (k, n), depth)})",
                lambda: f"({self.array(scope, (n, m), depth)}).T",
                lambda: f"({self.array(scope, (m,), depth)})[:, None] + ({self.array(scope, (n,), depth)})",
                lambda: f"({self.array(scope, shape, depth)}).copy()",
            ]
        )()

    def built(self, scope: Scope, shape: Shape, depth: int) -> str:
        """Arrays put together of others."""
        if len(shape) == 2:
            m, n = shape
            rows = [self.array(scope, (n,), min(depth, 1)) for _ in range(m)]
            columns = [self.array(scope, (m,), 0) for _ in range(n)]
            return self.pick(
                [
                    f"np.stack(({', '.join(rows)}))",
                    f"np.stack(({', '.join(columns)}), axis=1)",
                    f"np.array([{', '.join(rows)}])",
                    f"({self.array(scope, (m * n,), depth)}).reshape({m}, {n})",
                ]
            )
        n = shape[0]
        k = f"k{self.random.randrange(3)}"
        inner = self.with_counter(scope, k, n)
        options = [
            f"np.array([{self.number(inner, depth)} for {k} in range({self.extent(scope, n)})])",
            f"np.array([{', '.join(self.number(scope, 1) for _ in range(n))}])",
            f"np.linspace({self.leaf(scope)}, {self.leaf(scope)}, {n})",
            f"0.2 * np.arange({n})",
        ]
        if n > 1:
            first = self.random.randint(1, n - 1)
            parts = f"({self.array(scope, (first,), depth)}, {self.array(scope, (n - first,), depth)})"
            options += [f"np.concatenate({parts})"] * 2
        options += [
            f"{v.name}.reshape(-1)" for v in scope.of("array") if len(v.shape) == 2 and v.shape[0] * v.shape[1] == n
        ]
        return self.pick(options)
