"""Random well-typed programs of the language of native mode, as source text: a seed gives the same program always.

A program is a module: global numbers and arrays, functions that call each other, and `f`, which returns a number.
Loops of every kind, branches, jumps, stores, views, arrays that are rebound, closures, recursion.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

from tests.fuzz.expressions import Helper, Scope, Shape, Variable
from tests.fuzz.statements import Statements

__all__ = ["Program", "make"]


class Program(NamedTuple):
    """The text of a module that defines `f`, and for each parameter of `f` its kind and its shape."""

    seed: int
    text: str
    params: tuple[tuple[str, str, Shape], ...]
    size: int


def make(seed: int, size: int = 12) -> Program:
    """The program of `seed`; `size` bounds the number of statements of `f`."""
    return _Maker(seed, size).program()


class _Maker(Statements):
    def __init__(self, seed: int, size: int) -> None:
        super().__init__(seed)
        self.seed, self.size = seed, size
        self.left = 0
        self.loops: list[str] = []  # what a jump out of each open loop may be
        self.returns: list[Callable[[Scope], str]] = []

    # -- functions

    def program(self) -> Program:
        n, m = self.extents
        top = Scope()
        if self.chance(0.4):
            self.write(f"C = {self.constant()}")
            top.add(Variable("C", "float", fixed=True))
        if self.chance(0.3):
            self.write(f"W = np.array({[round(self.random.uniform(-1, 1), 2) for _ in range(n)]})")
            top.add(Variable("W", "array", (n,), fixed=True, stores=False))
        for _ in range(self.random.choice([0, 0, 1, 1, 2])):
            self.helper(top)
        if self.chance(0.25):
            self.recursive(top)
        params = [("x", "array", (n,))]
        options = [
            ("y", "array", (n,)),
            ("A", "array", (m, n)),
            ("a", "float", ()),
            ("b", "float", ()),
            ("idx", "index", (self.pick([n, m]),)),
            ("n", "int", ()),
            ("flag", "bool", ()),
        ]
        params += [p for p in options if self.chance(0.45)]
        scope = top.inner()
        for name, kind, shape in params:
            high = n - 1 if kind == "index" else 3 if kind == "int" else None
            low = None if kind in ("array", "float", "bool") else 0
            if kind == "array":
                scope.add(self.new_array(name, shape, scope))
            else:
                scope.add(Variable(name, kind, shape, low, high, kind in ("index", "int", "bool")))
        self.function("f", [name for name, _, _ in params], scope, ("float", ()), self.size)
        return Program(self.seed, "\n".join(self.lines) + "\n", tuple(params), self.size)

    def function(self, name: str, params: list[str], scope: Scope, result: tuple[str, Shape], size: int) -> None:
        saved = self.left, self.loops, self.returns, self.nested
        self.left, self.loops, self.nested = size, [], -1
        self.returns = [lambda s: self.result(s, result, 1)]
        with self.block(f"def {name}({', '.join(params)}):"):
            while self.left > 0:
                self.statement(scope, 3)
            self.write(f"return {self.result(scope, result, 2, every=True)}")
        self.left, self.loops, self.returns, self.nested = saved

    def result(self, scope: Scope, result: tuple[str, Shape], depth: int, every: bool = False) -> str:
        kind, shape = result
        if kind == "array":
            return self.array(scope, shape, depth)
        if kind == "pair":
            return f"{self.number(scope, depth)}, {self.number(scope, depth)}"
        if kind == "mixed":
            return f"{self.number(scope, depth)}, {self.array(scope, shape, depth)}"
        if not every:
            return self.number(scope, depth)
        terms = [f"np.sum({v.name} * {self.constant()})" for v in scope.of("array") if self.chance(0.8)]
        terms += [f"{self.constant()} * {v.name}" for v in scope.of("float") if self.chance(0.8)]
        if self.chance(0.5):
            terms = [f"np.sin({t})" if self.chance(0.5) else t for t in terms]
        return " + ".join([self.number(scope, depth), *terms])

    def helper(self, top: Scope) -> None:
        """A function of the module."""
        n, m = self.extents
        name = self.fresh("h")
        params: list[tuple[str, str, Shape]] = [("p", "float", ())]
        if self.chance(0.6):
            params.append(("u", "array", self.pick([(n,), (m,), (m, n)])))
        defaults = 0
        if self.chance(0.5):
            params.append(("q", "float", ()))
            defaults = self.random.randint(0, 1)
        shapes = [p[2] for p in params if p[1] == "array"]
        result: tuple[str, Shape] = self.pick(
            [
                ("float", ()),
                ("float", ()),
                ("pair", ()),
                *[("array", s) for s in shapes],
                *[("mixed", s) for s in shapes],
            ]
        )
        scope = top.inner()
        for p, kind, shape in params:
            scope.add(self.new_array(p, shape, scope) if kind == "array" else Variable(p, kind, shape))
        texts = [p for p, _, _ in params]
        if defaults:
            texts[-1] += f"={self.constant()}"
        stores = frozenset(v.name for v in scope.of("array") if v.stores)
        self.function(name, texts, scope, result, self.random.randint(1, 4))
        top.helpers.append(Helper(name, tuple(params), defaults, result, stores))

    def recursive(self, top: Scope) -> None:
        """A function that calls itself, once or twice, with stores between at times."""
        n, _ = self.extents
        name = self.fresh("r")
        takes = self.chance(0.5)
        params: list[tuple[str, str, Shape]] = [("k", "int", ()), ("p", "float", ())]
        params += [("u", "array", (n,))] * takes
        scope = top.inner()
        for q, kind, shape in params:
            scope.add(Variable(q, kind, shape, fixed=kind == "int", rebinds=not self.careful))
        with self.block(f"def {name}({', '.join(q for q, _, _ in params)}):"):
            with self.block(self.pick(["if k <= 0:", "if k < 1:", "if k <= 0 or p > 5.0:"])):
                self.write(f"return {self.number(scope, 1)}")
            self.left, self.loops, self.returns = self.random.randint(1, 3), [], []
            while self.left > 0:
                self.statement(scope, 1)
            extra = ", u" * takes
            first = f"{name}(k - 1, {self.number(scope, 1)}{extra})"
            if self.chance(0.4):
                self.write(f"t = {first}")
                scope.add(Variable("t", "float"))
                first = "t"
                if takes and self.chance(0.5):
                    self.store(scope, 0)
            second = f" + 0.3 * {name}(k - 2, {self.number(scope, 1)}{extra})" if self.chance(0.4) else ""
            self.write(f"return {first} * {self.constant()}{second} + {self.number(scope, 1)}")
        top.helpers.append(Helper(name, tuple(params), 0, ("float", ()), frozenset("u")))

    # -- statements

    def statement(self, scope: Scope, depth: int) -> None:
        self.left -= 1
        kinds: list[tuple[float, Callable[[Scope, int], None]]] = [
            (4, self.assign_number),
            (3, self.augment_number),
            (0.7, self.assign_test),
            (1, self.assign_integer),
            (3, self.assign_array),
            (1.5, self.rebind_array),
            (2, self.view_array),
            (0.6, self.swap),
            (5, self.store),
            (3, self.augment_array),
            (1.2, self.masked),
            (1, self.gathered),
            (0.7, self.pair),
            (0.5, self.call_statement),
            (0.5, self.closure),
        ]
        if depth:
            kinds += [(6, self.loop), (1.5, self.while_loop), (4, self.branch)]
        if self.loops and depth:
            kinds += [(1.3, self.jump)]
        if self.returns and depth and not self.loops:
            kinds += [(0.3, self.early_return)]
        weights, functions = zip(*kinds, strict=True)
        self.random.choices(functions, weights)[0](scope, depth)

    def body(self, scope: Scope, depth: int, most: int = 3) -> None:
        for _ in range(self.random.randint(1, most)):
            self.statement(scope, depth)

    def closure(self, scope: Scope, depth: int) -> None:
        name = self.fresh("g")
        inner = scope.inner()
        inner.add(Variable("p", "float"))
        if self.chance(0.3):
            self.write(f"{name} = lambda p: {self.number(inner)}")
        else:
            # What it reads of the enclosing function must not be assigned inside.
            for v in list(inner.variables.values()):
                if v.name != "p":
                    inner.variables[v.name] = replace(v, fixed=True)
            self.function(name, ["p"], inner, ("float", ()), self.random.randint(1, 2))
        scope.helpers.append(Helper(name, (("p", "float", ()),), 0, ("float", ())))

    # -- control

    def branch(self, scope: Scope, depth: int) -> None:
        joint = self.fresh("j") if self.chance(0.3) else None
        shape = self.some_shape(scope) if self.chance(0.5) else None
        arms = [f"if {self.test(scope)}:"]
        if self.chance(0.25):
            arms.append(f"elif {self.test(scope)}:")
        if joint or self.chance(0.5):
            arms.append("else:")
        for arm in arms:
            inner = scope.inner()
            with self.block(arm):
                if joint:
                    if self.chance(0.4):
                        self.body(inner, depth - 1, 1)
                    text = self.own(self.array(inner, shape, 1)) if shape else self.number(inner)
                    self.write(f"{joint} = {text}")
                else:
                    self.body(inner, depth - 1)
        if joint:
            scope.add(self.new_array(joint, shape, scope) if shape else Variable(joint, "float"))

    def loop(self, scope: Scope, depth: int) -> None:
        inner = scope.inner()
        self.forget(inner)
        headers = [
            self.over_range,
            self.over_range,
            self.over_range,
            self.over_arrays,
            self.over_arrays,
            self.over_tuple,
        ]
        header = self.pick(headers)(scope, inner)
        self.loops.append("for")
        late = self.fresh("s") if self.chance(0.15) else None
        with self.block(header):
            if late and header.count("range(2)") + header.count("in (") == 0:
                late = None
            if late:
                self.write(f"{late} = {self.number(inner)}")
                inner.add(Variable(late, "float"))
            self.body(inner, depth - 1)
        self.loops.pop()
        if self.chance(0.12):
            with self.block("else:"):
                self.body(scope.inner(), depth - 1, 1)
        if late:
            scope.add(Variable(late, "float"))

    def forget(self, scope: Scope) -> None:
        """In a loop the bounds of ints that may be assigned to are not known."""
        for v in scope.of("int"):
            if not v.fixed:
                scope.add(Variable(v.name, "int"))

    def over_range(self, outer: Scope, inner: Scope) -> str:
        i = self.fresh("i")
        n = self.pick(self.extents)
        e = self.extent(outer, n)
        counters = [v for v in outer.of("int") if v.fixed and v.low is not None and v.high is not None and v.low >= 0]
        options = [
            (f"range({e})", 0, n - 1),
            (f"range({e})", 0, n - 1),
            (f"range(1, {e})", 1, n - 1),
            (f"range({e} - 1, -1, -1)", 0, n - 1),
            (f"range(0, {e}, 2)", 0, n - 1),
            (f"range({e}, 0, -2)", 1, n),
            (f"reversed(range({e}))", 0, n - 1),
            ("range(2)", 0, 1),
        ]
        for v in counters:
            options += [
                (f"range({v.name})", 0, v.high - 1),
                (f"range({v.name} + 1)", 0, v.high),
                (f"range({v.name}, {max(v.high + 1, n)})", v.low, max(v.high, n - 1)),
                (f"range({v.name}, -1, -1)", 0, v.high),
            ]
        text, low, high = self.pick(options)
        inner.add(Variable(i, "int", (), low, max(high, low), True))
        return f"for {i} in {text}:"

    def over_arrays(self, outer: Scope, inner: Scope) -> str:
        arrays = list(outer.of("array"))
        tables = outer.of("index")
        if not arrays:
            return self.over_range(outer, inner)
        if tables and self.chance(0.3):
            t, i = self.pick(tables), self.fresh("i")
            inner.add(Variable(i, "int", (), t.low, t.high, True))
            return f"for {i} in {t.name}:"
        v = self.pick(arrays)
        item = self.item(inner, v)
        match self.random.randrange(4):
            case 0:
                i = self.fresh("i")
                inner.add(Variable(i, "int", (), 0, v.shape[0] - 1, True))
                return f"for {i}, {item} in enumerate({v.name}):"
            case 1:
                same = [w for w in arrays if w.shape[0] == v.shape[0]]
                w = self.pick(same)
                other = self.item(inner, w)
                if self.chance(0.3):
                    i = self.fresh("i")
                    inner.add(Variable(i, "int", (), 0, v.shape[0] - 1, True))
                    return f"for {i}, ({item}, {other}) in enumerate(zip({v.name}, {w.name})):"
                return f"for {item}, {other} in zip({v.name}, {w.name}):"
        return f"for {item} in {v.name}:"

    def item(self, inner: Scope, v: Variable) -> str:
        if len(v.shape) == 1:
            return inner.add(Variable(self.fresh("e"), "float")).name
        return inner.add(Variable(self.fresh("row"), "array", v.shape[1:], stores=v.stores)).name

    def over_tuple(self, outer: Scope, inner: Scope) -> str:
        name = self.fresh("e")
        inner.add(Variable(name, "float"))
        return f"for {name} in ({self.leaf(outer)}, {self.leaf(outer)}):"

    def while_loop(self, scope: Scope, depth: int) -> None:
        counter = self.fresh("m")
        self.write(f"{counter} = 0")
        inner = scope.inner()
        self.forget(inner)
        inner.add(Variable(counter, "int", (), None, None, True))
        trips = self.random.randint(2, 5)
        test = self.test(scope)
        forever = self.chance(0.2)
        header = f"while {counter} < {trips}" + (f" and {test}" if self.chance(0.6) else "")
        self.loops.append("while")
        with self.block("while True:" if forever else f"{header}:"):
            self.write(f"{counter} += 1")
            if forever:
                with self.block(f"if {counter} > {trips} or {test}:"):
                    self.write("break")
            self.body(inner, depth - 1)
        self.loops.pop()
        scope.add(Variable(counter, "int"))

    def jump(self, scope: Scope, depth: int) -> None:
        options = ["break", "continue", "break"] + ["return"] * bool(self.returns)
        kind = self.pick(options)
        with self.block(f"if {self.test(scope)}:"):
            if self.chance(0.3):
                self.body(scope.inner(), 0, 1)
            self.write(kind if kind != "return" else f"return {self.returns[-1](scope)}")

    def early_return(self, scope: Scope, depth: int) -> None:
        with self.block(f"if {self.test(scope)}:"):
            self.write(f"return {self.returns[-1](scope)}")
