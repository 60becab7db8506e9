"""The imperative style of tutorials: values that know their parents, ``.backward()`` and ``.grad``.

A `Variable` is a traced value whose transformation never ends. Instead of a tape each value has a node
with the linear maps to its parents, so that what is no longer used is freed. ``backward`` orders the
nodes it reaches and runs the same sweep as reverse mode, without recursion.
"""

from __future__ import annotations

import itertools
import weakref
from typing import Any

import numpy as np

import chainrule.eager.reverse as reverse
from chainrule.arrays.buffers import set_traced
from chainrule.arrays.protocols import array_function, array_ufunc
from chainrule.core.dispatch import Tracer, bind, dtype_of, shape_of
from chainrule.core.linear import LinearMap
from chainrule.core.primitive import Primitive
from chainrule.core.quiet import quiet
from chainrule.core.views import link
from chainrule.eager.drivers import filled
from chainrule.eager.sweep import collected, pull_small
from chainrule.errors import ArgumentError, LostDerivativeError, user_line
from chainrule.leaves import checked

__all__ = ["Variable", "variable"]


class Graph:
    """What takes the place of the tape for all variables: the outermost level, and nothing recorded."""

    level = 0
    open = True
    inputs: tuple[Any, ...] = ()

    @staticmethod
    def snapshot(array: Any) -> Any:
        """A private copy of a plain array."""
        return array if not array.flags.writeable and array.base is None else array.copy()


_GRAPH = Graph()
_order = itertools.count()


class Node:
    """One operation: its place in the order of evaluation and its maps to the nodes of its operands."""

    __slots__ = ("edges", "order", "owner")

    def __init__(self, edges: Any) -> None:
        self.order = next(_order)
        self.edges: list[tuple[Node, LinearMap]] | None = edges
        self.owner: Any = None  # weak reference to the variable


class Variable(reverse.ReverseArray):
    """A value of the imperative style; make one with `variable`.

    Attributes
    ----------
    value : number or array
        The present value. Assign to it to update a parameter; arrays are copied and read-only.
    grad : None, number or array
        What `backward` has added up.
    parents : tuple of Variable
        The operands, as far as they are still alive.
    """

    __slots__ = ("_content", "grad")

    def __init__(self, value: Any, node: Node) -> None:
        super().__init__(value, _GRAPH, node, True)  # type: ignore[arg-type]
        self.grad: Any = None
        node.owner = weakref.ref(self)

    @property
    def value(self) -> Any:
        """The present value."""
        return self._content

    @value.setter
    def value(self, value: Any) -> None:
        self._content = _frozen(value)

    @property
    def parents(self) -> tuple[Any, ...]:
        """The variables this one was computed from, as far as they are still alive."""
        alive = (node.owner() for node, _ in self.slot.edges or ())  # type: ignore[attr-defined]
        return tuple(v for v in alive if v is not None)

    def process(self, primitive: Primitive, args: tuple[Any, ...], params: dict[str, Any]) -> Any:
        values = [a.value if a.__class__ is Variable else a for a in args]
        y = bind(primitive, *values, **params)
        edges, _ = reverse.record(primitive, args, values, params, y, _GRAPH)
        if not edges:
            return y
        if y.__class__ is tuple:
            raise LostDerivativeError(
                f"{primitive.name} has several results, which variables do not support (at {user_line()}); use "
                "chainrule.grad"
            )
        made = Variable(y if not isinstance(y, np.ndarray) or y.ndim else y[()], Node(edges))
        if primitive.views:
            link(made, args[0], primitive, args, params)
        return made

    def twin(self) -> Variable:
        # Without a claim to the node: the gradient belongs to this variable.
        other = Variable.__new__(Variable)
        reverse.ReverseArray.__init__(other, self.value, _GRAPH, self.slot, True)
        other.grad = None
        return other

    def set(self, index: Any, value: Any) -> None:
        """Write to a computed array; a leaf's content is replaced by assigning to ``value``."""
        if not self.slot.edges:  # type: ignore[attr-defined]
            raise LostDerivativeError(
                f"writing into a leaf variable (at {user_line()}): assign a new content to its attribute value, or "
                "compute with a copy"
            )
        self.captured = True  # the content is read-only
        set_traced(self, index, value)

    def replace(self, value: Any) -> None:
        self.set(..., value)

    def adopt(self, other: Any) -> None:
        self.value = other.value
        self.slot = other.slot
        self.slot.owner = weakref.ref(self)  # type: ignore[attr-defined]

    def backward(self, gradient: Any = None, retain_graph: bool = False) -> None:
        """Add the derivatives of this value to the ``grad`` of every variable it depends on.

        Parameters
        ----------
        gradient : number or array, optional
            The cotangent of this value; 1 for a number.
        retain_graph : bool
            Keep the graph for another call; otherwise it is freed.

        Raises
        ------
        ArgumentError
            If this is not a number and no `gradient` is given, or the graph has been freed.
        """
        if gradient is None:
            if shape_of(self.value) != ():
                raise ArgumentError(
                    f"backward() of an array of shape {self.shape} needs a gradient of that shape; or reduce it"
                )
            gradient = 1.0 if self.value.__class__ is float else dtype_of(self.value).type(1)
        else:
            gradient = checked(gradient, self.value, "gradient")
        _sweep(self.slot, gradient, retain_graph)  # type: ignore[arg-type]

    def zero_grad(self) -> None:
        """Forget ``grad``."""
        self.grad = None

    def __repr__(self) -> str:
        return f"variable({self.value!r}, grad={self.grad!r})"

    __str__ = __repr__


for _name in ("add", "sub", "mul", "truediv", "pow"):
    for _method in (f"__{_name}__", f"__r{_name}__"):
        setattr(Variable, _method, getattr(Tracer, _method))
setattr(Variable, "__neg__", Tracer.__neg__)  # noqa: B010
for _method in ("sum", "mean"):
    setattr(Variable, _method, getattr(Tracer, _method))
setattr(Variable, "__array_function__", array_function)  # noqa: B010
setattr(Variable, "__array_ufunc__", array_ufunc)  # noqa: B010


def _frozen(value: Any) -> Any:
    """A content nobody can write to."""
    if isinstance(value, np.ndarray):
        if value.flags.writeable or value.base is not None:
            value = value.copy()
            value.flags.writeable = False
        return value if value.ndim else value[()]
    return value


def variable(x: Any) -> Variable:
    """A leaf of the imperative style: compute with it, call ``backward()`` on the result, read ``grad``.

    Parameters
    ----------
    x : number or array
        Integers are promoted to float64; arrays are copied.

    Returns
    -------
    Variable

    Examples
    --------
    >>> import chainrule as cr
    >>> a, b = cr.variable(2.0), cr.variable(3.0)
    >>> y = a * b + a
    >>> y.backward()
    >>> a.grad, b.grad
    (4.0, 2.0)
    """
    if isinstance(x, Tracer):
        raise ArgumentError("variable takes a plain number or array, not a traced value")
    array = np.asarray(x)
    if array.dtype.kind in "iu":
        x = float(x) if not array.ndim else array.astype(np.float64)
    elif array.dtype.kind not in "fc":
        raise ArgumentError(f"variable: {x!r} is not a number or an array of numbers")
    elif not isinstance(x, (float, complex, np.generic)):
        x = array
    return Variable(x, Node(()))


def _reachable(root: Node) -> list[Node]:
    """The nodes that `root` depends on, itself included, the latest first."""
    seen = {root.order: root}
    waiting = [root]
    while waiting:
        node = waiting.pop()
        if node.edges is None:
            raise ArgumentError(
                "backward() through a graph that an earlier backward() has freed; give that one retain_graph=True"
            )
        for parent, _ in node.edges:
            if parent.order not in seen:
                seen[parent.order] = parent
                waiting.append(parent)
    return [seen[order] for order in sorted(seen, reverse=True)]


def _sweep(root: Node, gradient: Any, retain_graph: bool) -> None:
    nodes = _reachable(root)
    slots = {node.order: k for k, node in enumerate(nodes)}
    cts: list[Any] = [None] * len(nodes)
    owned = bytearray(len(nodes))
    cts[0] = gradient
    with quiet():
        for k, node in enumerate(nodes):
            ct = collected(cts[k])
            cts[k] = None
            if ct is None:
                continue
            owner = node.owner()
            if owner is not None:
                part = filled(ct, owner.value)
                owner.grad = part if owner.grad is None else owner.grad + part
            if node.edges:
                entry: list[Any] = [k]
                for parent, linear in node.edges:
                    entry += (slots[parent.order], linear)
                pull_small(entry, ct, cts, owned)
            if not retain_graph and node.edges:
                node.edges = None
