"""Random statements without control flow: assignments of every kind, stores, views, calls."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from tests.fuzz.expressions import Expressions, Scope, Shape, Variable

__all__ = ["Statements"]

_REFERENCE = re.compile(r"\(*(\w+)\)*(\.T|\.reshape\(.*\))?(\[.*\])?(\.T)?")


class Statements(Expressions):
    """Writes statements; `depth` is how much deeper loops and branches may be nested."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self.lines: list[str] = []
        self.indent = 0
        self.count = 0
        self.nested = 0  # branches and loops of this function around the statement
        self.careful = self.chance(0.8)

    def write(self, line: str) -> None:
        self.lines.append("    " * self.indent + line)

    def new_array(self, name: str, shape: Shape, scope: Scope, text: str = "") -> Variable:
        """An array that `text` is assigned to."""
        if not self.careful:
            return Variable(name, "array", shape, stores=text != "W")
        same = _REFERENCE.fullmatch(text)
        if same and same[1] in scope.variables:
            return Variable(name, "array", shape, stores=scope.variables[same[1]].stores, rebinds=False)
        stores = self.chance(0.5)
        called = any(text.startswith(h.name + "(") for h in scope.helpers)  # it may return its argument
        return Variable(name, "array", shape, stores=stores and not called, rebinds=not stores and not called)

    def own(self, text: str) -> str:
        """`text`, or a copy where it is an array that has a name."""
        return f"({text}).copy()" if self.careful and not text.startswith("np.") else text

    @contextmanager
    def block(self, header: str) -> Iterator[None]:
        self.write(header)
        self.indent += 1
        self.nested += 1
        yield
        self.nested -= 1
        self.indent -= 1

    def fresh(self, letter: str) -> str:
        self.count += 1
        return f"{letter}{self.count}"

    # -- numbers

    def number_target(self, scope: Scope) -> str:
        old = [v.name for v in scope.of("float") if not v.fixed]
        return self.pick(old) if old and self.chance(0.6) else self.fresh("s")

    def assign_number(self, scope: Scope, depth: int) -> None:
        text = self.moderate(self.number(scope))
        name = self.number_target(scope)
        self.write(f"{name} = {text}")
        scope.add(Variable(name, "float"))

    def moderate(self, text: str) -> str:
        return f"{self.pick(['np.sin', 'np.tanh', '0.5 * np.cos'])}({text})" if self.chance(0.4) else text

    def augment_number(self, scope: Scope, depth: int) -> None:
        old = [v.name for v in scope.of("float") if not v.fixed]
        if not old:
            self.assign_number(scope, depth)
            return
        op = self.pick(["+=", "+=", "-=", "*=", "/="])
        text = self.number(scope)
        if op in ("*=", "/="):
            text = f"1.2 + 0.4 * np.sin({text})"
        self.write(f"{self.pick(old)} {op} {text}")

    def assign_test(self, scope: Scope, depth: int) -> None:
        name = self.fresh("c")
        self.write(f"{name} = {self.test(scope)}")
        scope.add(Variable(name, "bool"))

    def assign_integer(self, scope: Scope, depth: int) -> None:
        old = [v.name for v in scope.of("int") if not v.fixed]
        if old and self.chance(0.6):
            name = self.pick(old)
            self.write(self.pick([f"{name} += 1", f"{name} = ({name} + {self.integer(scope)}) % 4", f"{name} -= 1"]))
        else:
            name = self.fresh("m")
            self.write(f"{name} = {self.integer(scope)}")
        scope.add(Variable(name, "int"))

    def assign_array(self, scope: Scope, depth: int) -> None:
        shape = self.some_shape(scope)
        name = self.fresh("w")
        text = self.array(scope, shape)
        if self.chance(0.3):
            some = scope.of("array", shape)
            options = [f"np.zeros({self.shape_text(scope, shape)})", f"np.ones({self.shape_text(scope, shape)})"]
            options += [f"np.{f}({v.name})" for v in some for f in ("zeros_like", "copy", "empty_like")]
            options += [f"{v.name}.copy()" for v in some]
            text = self.pick(options)
        self.write(f"{name} = {text}")
        if "empty_like" in text and text.startswith("np.empty"):
            self.write(f"{name}[:] = {self.number(scope, 1)}")
        scope.add(self.new_array(name, shape, scope, text))

    def rebind_array(self, scope: Scope, depth: int) -> None:
        old = [v for v in scope.of("array") if not v.fixed and (v.rebinds or self.nested <= 0)]
        if not old:
            self.assign_array(scope, depth)
            return
        v = self.pick(old)
        text = self.array(scope, v.shape)
        if self.chance(0.25):
            text = self.view(scope, v.shape) or text
        text = self.pick([text, text, f"{v.name} + 0.2 * {self.wrapped(text)}"])
        if self.nested > 0:
            self.write(f"{v.name} = {self.own(text)}")
        else:
            self.write(f"{v.name} = {text}")
            scope.add(self.new_array(v.name, v.shape, scope, text))

    def view_array(self, scope: Scope, depth: int) -> None:
        n, m = self.extents
        shape = self.pick([(n,), (m,), (n - 1,), (max(n - 2, 1),), (m, n), (n, m)])
        text = self.view(scope, shape)
        if text is None or text.startswith("W"):
            self.assign_array(scope, depth)
            return
        name = self.fresh("v")
        self.write(f"{name} = {text}")
        scope.add(self.new_array(name, shape, scope, text))

    def swap(self, scope: Scope, depth: int) -> None:
        arrays = [v for v in scope.of("array") if not v.fixed and (v.rebinds or self.nested <= 0)]
        pairs = [(v, w) for v in arrays for w in arrays if v.name < w.name and v.shape == w.shape]
        numbers = [v.name for v in scope.of("float") if not v.fixed]
        if pairs and self.chance(0.6):
            v, w = self.pick(pairs)
            other = self.pick([v.name, v.name, self.own(self.array(scope, v.shape))])
            self.write(f"{v.name}, {w.name} = {w.name}, {other}")
            scope.add(replace(v, stores=w.stores, rebinds=w.rebinds))
            scope.add(replace(w, stores=v.stores, rebinds=v.rebinds))
        elif len(numbers) > 1:
            v, w = self.random.sample(numbers, 2)
            right = self.pick([f"{w}, {v}", f"{w}, {v} + {self.number(scope, 1)}"])
            self.write(f"{v}, {w} = {right}")
        elif pairs:
            self.write(
                f"{pairs[0][0].name}[0], {pairs[0][1].name}[-1] = {pairs[0][1].name}[-1], {pairs[0][0].name}[0]"
                if len(pairs[0][0].shape) == 1
                else "pass"
            )
        else:
            self.assign_number(scope, depth)

    def writable(self, scope: Scope) -> Variable | None:
        arrays = [v for v in scope.of("array") if v.stores]
        return self.pick(arrays) if arrays else None

    def store(self, scope: Scope, depth: int) -> None:
        """``a[...] = value`` by numbers and slices."""
        v = self.writable(scope)
        if v is None:
            self.assign_array(scope, depth)
            return
        if self.chance(0.6):
            target = self.element(scope, v)
            op = self.pick(["=", "=", "+=", "-=", "*="])
            text = (
                self.moderate(self.number(scope))
                if op in ("=", "+=", "-=")
                else f"1.1 - 0.3 * np.cos({self.number(scope)})"
            )
            self.write(f"{target} {op} {text}")
            return
        n, m = self.extents
        shape = self.pick([(n,), (m,), (n - 1,), (m, n), v.shape])
        found = [t for t in self.views_of(scope, v, shape) if not t.endswith(".T")]
        target = self.pick(found) if found else f"{v.name}[:]"
        shape = shape if found else v.shape
        value = self.operand(scope, shape, 1)
        op = self.pick(["=", "=", "+=", "-=", "*="])
        self.write(f"{target} {op} {f'1.2 - 0.3 * np.sin({value})' if op == '*=' else value}")

    def augment_array(self, scope: Scope, depth: int) -> None:
        v = self.writable(scope)
        if v is None or v.fixed:
            self.assign_array(scope, depth)
            return
        op = self.pick(["+=", "-=", "*=", "/="])
        value = self.operand(scope, v.shape, 1)
        # Arrays that double in loops would drown what is compared in rounding.
        value = f"1.4 - 0.3 * np.cos({value})" if op in ("*=", "/=") else f"0.3 * {value}"
        self.write(f"{v.name} {op} {value}")

    def masked(self, scope: Scope, depth: int) -> None:
        v = self.writable(scope)
        if v is None:
            return self.assign_number(scope, depth)
        test = f"{self.array_leaf(scope, v.shape)} {self.pick('<>')} {self.pick(['0.2', '0.6', '-0.3'])}"
        if self.chance(0.4):
            name = self.fresh("k")
            self.write(f"{name} = {test}")
            scope.add(Variable(name, "mask", v.shape))
            test = name
        others = list(scope.of("array", v.shape))
        right = self.pick([self.number(scope, 1), self.number(scope, 1), f"{self.pick(others).name}[{test}]"])
        op = self.pick(["=", "+=", "*="])
        return self.write(f"{v.name}[{test}] {op} {f'1.1 + 0.2 * np.sin({right})' if op == '*=' else right}")

    def gathered(self, scope: Scope, depth: int) -> None:
        """Stores through an index array, in which an index may come twice."""
        pairs = [
            (v, t)
            for t in scope.of("index")
            for v in scope.of("array")
            if v.stores and v.shape[0] > t.high and len(v.shape) == 1
        ]
        if not pairs:
            if self.chance(0.5) and not scope.of("index"):
                name, (n, _) = self.fresh("i"), self.extents
                items = [self.random.randrange(n) for _ in range(self.random.choice(self.extents))]
                self.write(f"{name} = np.array({items})")
                scope.add(Variable(name, "index", (len(items),), 0, n - 1))
            else:
                self.store(scope, depth)
            return
        v, t = self.pick(pairs)
        value = self.operand(scope, t.shape, 1)
        if self.chance(0.2):
            self.write(f"np.add.at({v.name}, {t.name}, {value})")
        elif len(set(t.shape)) and self.chance(0.7):
            self.write(f"{v.name}[{t.name}] {self.pick(['+=', '=', '-='])} {value}")
        else:
            self.write(f"{v.name}[{t.name}] *= 1.2 - 0.4 * np.sin({value})")

    def pair(self, scope: Scope, depth: int) -> None:
        helper = [h for h in scope.helpers if h.result[0] in ("pair", "mixed")]
        if helper and self.chance(0.7):
            h = self.pick(helper)
            text = self.call(Scope(scope.variables, [h]), h.result, 1)
            if h.result[0] == "pair":
                names = [self.fresh("s"), self.fresh("s")]
                scope.add(Variable(names[1], "float"))
            else:
                names = [self.fresh("s"), self.fresh("w")]
                scope.add(self.new_array(names[1], h.result[1], scope, text))
            scope.add(Variable(names[0], "float"))
            self.write(f"{', '.join(names)} = {text}")
            return
        if self.chance(0.5):
            name = self.fresh("t")
            self.write(f"{name} = ({self.number(scope)}, {self.number(scope)})")
            scope.add(Variable(name, "pair"))
            return
        a, b = self.fresh("s"), self.fresh("s")
        self.write(f"{a}, {b} = {self.number(scope)}, {self.number(scope)}")
        scope.add(Variable(a, "float"))
        scope.add(Variable(b, "float"))

    def call_statement(self, scope: Scope, depth: int) -> None:
        """A call for its effect, or of a function that returns a number."""
        text = self.call(scope, ("float", ()), 1)
        if text is None:
            self.assign_number(scope, depth)
            return
        name = self.fresh("s")
        self.write(f"{name} = {text}")
        scope.add(Variable(name, "float"))
