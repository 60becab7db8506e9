"""How each tool differentiates: one small class for each, all with the same methods.

Comes in: programs as plain functions of the tool's own arrays (`array` makes them from NumPy's). Goes out:
functions that give derivatives, compiled at most once, finished when they return. Every tool works as its
manual advises. `kept` tells how many bytes a tool keeps between the evaluation of ``f`` and the sweep back
through it, the result of ``f`` not counted.
"""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

Function = Callable[[Any], Any]
Arrays = Sequence[Any]
Training = Callable[[], Arrays]


def scalar_chain(steps: int) -> Function:
    def f(x: Any) -> Any:
        y = x
        for _ in range(steps):
            y = y * x + 0.5
        return y

    return f


def mlp_loss(xp: Any) -> Callable[..., Any]:
    relu = xp.relu if hasattr(xp, "relu") else lambda h: xp.maximum(h, 0)

    def loss(parameters: Arrays, x: Any, target: Any) -> Any:
        w1, b1, w2, b2 = parameters
        return xp.mean((relu(x @ w1 + b1) @ w2 + b2 - target) ** 2)

    return loss


def array_bytes() -> int:
    """Return the bytes of NumPy arrays allocated since tracing began and still alive."""
    arrays = tracemalloc.DomainFilter(inclusive=True, domain=np.lib.tracemalloc_domain)
    return sum(trace.size for trace in tracemalloc.take_snapshot().filter_traces([arrays]).traces)


class NumPyTool:
    """What tools that work on NumPy's arrays have in common."""

    xp: Any = np
    gradient: Callable[[Function], Function]

    def array(self, x: Any) -> Any:
        return x

    def scalar_chain(self, steps: int) -> Function:
        return self.gradient(scalar_chain(steps))

    def training(self, start: Arrays, x: Any, target: Any, steps: int, rate: float) -> Training:
        gradient = self.gradient(mlp_loss(self.xp))

        def train() -> Arrays:
            parameters = [p.copy() for p in start]
            for _ in range(steps):
                for p, g in zip(parameters, gradient(parameters, x, target), strict=True):
                    p -= rate * g
            return parameters

        return train

    def kept(self, f: Function, x: Any) -> int:
        self._vjp(f, x)  # what a first call leaves in caches is no part of it
        gc.collect()
        tracemalloc.start()
        try:
            _pullback, y = self._vjp(f, x)
            return array_bytes() - y.nbytes
        finally:
            tracemalloc.stop()

    def _vjp(self, f: Function, x: Any) -> tuple[Any, Any]:
        raise NotImplementedError


class ChainRule(NumPyTool):
    def __init__(self) -> None:
        import chainrule

        self.cr = chainrule
        self.gradient = chainrule.grad

    def jacobian(self, f: Function, mode: str) -> Function:
        return {"forward": self.cr.jacfwd, "reverse": self.cr.jacrev}[mode](f)

    def _vjp(self, f: Function, x: Any) -> tuple[Any, Any]:
        y, pullback = self.cr.vjp(f, x)
        return pullback, y


class Autograd(NumPyTool):
    def __init__(self) -> None:
        import autograd
        import autograd.numpy

        self.autograd = autograd
        self.gradient = autograd.grad
        self.xp = autograd.numpy

    def jacobian(self, f: Function, mode: str) -> Function:
        return self.autograd.jacobian(f)  # it has reverse mode only

    def _vjp(self, f: Function, x: Any) -> tuple[Any, Any]:
        return self.autograd.differential_operators.make_vjp(f)(x)


class Torch:
    def __init__(self) -> None:
        import torch

        torch.set_num_threads(1)
        self.xp = torch

    def array(self, x: Any) -> Any:
        return self.xp.tensor(x, dtype=getattr(self.xp, np.asarray(x).dtype.name), requires_grad=True)

    def gradient(self, f: Function) -> Function:
        return lambda x: self.xp.autograd.grad(f(x), x)[0]

    def scalar_chain(self, steps: int) -> Function:
        return self.gradient(scalar_chain(steps))

    def jacobian(self, f: Function, mode: str) -> Function:
        derive = {"forward": self.xp.func.jacfwd, "reverse": self.xp.func.jacrev}[mode](f)
        return lambda x: derive(x.detach())

    def training(self, start: Arrays, x: Any, target: Any, steps: int, rate: float) -> Training:
        loss = mlp_loss(self.xp)
        x, target = x.detach(), target.detach()

        def train() -> Arrays:
            parameters = [p.detach().clone().requires_grad_() for p in start]
            for _ in range(steps):
                loss(parameters, x, target).backward()
                with self.xp.no_grad():
                    for p in parameters:
                        p.sub_(p.grad, alpha=rate)
                        p.grad = None
            return parameters

        return train

    def kept(self, f: Function, x: Any) -> int:
        """Add up the storages of the tensors that the graph saves."""
        saved = {}

        def pack(tensor: Any) -> Any:
            storage = tensor.untyped_storage()
            saved[storage.data_ptr()] = storage.nbytes()
            return tensor

        with self.xp.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            _y = f(x)
        return sum(saved.values())


class Jax:
    def __init__(self) -> None:
        import jax

        jax.config.update("jax_enable_x64", True)
        self.jax = jax
        self.xp = jax.numpy

    def array(self, x: Any) -> Any:
        return self.xp.asarray(x)

    def gradient(self, f: Function) -> Function:
        return self._waiting(self.jax.grad(f))

    def scalar_chain(self, steps: int) -> Function:
        return self.gradient(scalar_chain(steps))

    def jacobian(self, f: Function, mode: str) -> Function:
        return self._waiting({"forward": self.jax.jacfwd, "reverse": self.jax.jacrev}[mode](f))

    def training(self, start: Arrays, x: Any, target: Any, steps: int, rate: float) -> Training:
        gradient = self.jax.grad(mlp_loss(self.xp))

        def step(parameters: Arrays) -> Arrays:
            return [p - rate * g for p, g in zip(parameters, gradient(parameters, x, target), strict=True)]

        ready = self._ready(step)

        def train() -> Arrays:
            parameters = start
            for _ in range(steps):
                parameters = ready(parameters)
            return self.jax.block_until_ready(parameters)

        return train

    def kept(self, f: Function, x: Any) -> int:
        """Add up the arrays alive, as the runtime counts them."""
        gc.collect()
        before = self._alive()
        y, _pullback = self.jax.vjp(f, x)
        return self._alive() - before - y.nbytes

    def _alive(self) -> int:
        return sum(array.nbytes for array in self.jax.live_arrays())

    def _ready(self, f: Function) -> Function:
        return f

    def _waiting(self, f: Function) -> Function:
        ready = self._ready(f)
        return lambda x: self.jax.block_until_ready(ready(x))


class JaxJit(Jax):
    def scalar_chain(self, steps: int) -> Function:
        """A compiled loop: unrolled, the chain would take minutes to compile."""
        return self.gradient(lambda x: self.jax.lax.fori_loop(0, steps, lambda _, y: y * x + 0.5, x))

    def kept(self, f: Function, x: Any) -> int:
        return super().kept(self.jax.jit(f), x)

    def _ready(self, f: Function) -> Function:
        return self.jax.jit(f)


TOOLS: dict[str, Callable[[], Any]] = {
    "chainrule": ChainRule,
    "torch": Torch,
    "autograd": Autograd,
    "jax": Jax,
    "jax jit": JaxJit,
}


def installed(names: Sequence[str]) -> dict[str, Any]:
    """Return the tools among ``names`` that can be imported."""
    tools = {}
    for name in names:
        try:
            tools[name] = TOOLS[name]()
        except ModuleNotFoundError as error:
            if error.name not in ("torch", "autograd", "jax"):
                raise
    return tools
