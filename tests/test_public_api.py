"""The public names: complete, documented, with the signatures that the design fixes."""

from __future__ import annotations

import ast
import importlib
import inspect
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import chainrule as cr

PACKAGE = Path(cr.__file__).parent

SIGNATURES = {
    "grad": "(f, argnums=0, has_aux=False, holomorphic=False)",
    "value_and_grad": "(f, argnums=0, has_aux=False, holomorphic=False)",
    "jvp": "(f, primals, tangents, has_aux=False)",
    "jit": "(f=None, *, fastmath='sums', parallel=False, cache=True, backend='numba', verify=False, memory=None, "
    "checkpoint=False)",
    "plan": "(f, *args, **kwargs)",
    "source": "(g, *args, stage='derivative', **kwargs)",
    "vjp": "(f, *primals, has_aux=False)",
    "linearize": "(f, *primals)",
    "jacobian": "(f, argnums=0, mode='auto', has_aux=False, holomorphic=False)",
    "jacfwd": "(f, argnums=0, has_aux=False)",
    "jacrev": "(f, argnums=0, has_aux=False)",
    "hessian": "(f, argnums=0, has_aux=False)",
    "hvp": "(f, primals, tangents)",
    "derivative": "(f, n=1)",
    "vmap": "(f, in_axes=0, out_axes=0)",
    "checkpoint": "(f)",
    "stop_gradient": "(x)",
    "custom_jvp": "(f, nondiff_argnums=())",
    "custom_vjp": "(f, nondiff_argnums=())",
    "trace": "(f, *args, mode='reverse', seed=None, argnums=None)",
    "variable": "(x)",
    "compare": "(f, *args, manual=None)",
    "costs": "(f, *args)",
    "explain": "(f, *args)",
    "elementwise": "(name, impl, *partials, functions=(), samples=None, tie=None)",
    "multilinear": "(name, impl, *transposes, functions=(), samples=None)",
    "linear": (
        "(name, impl, *transposes, zeros=None, dense=False, variadic=False, views=False, functions=(), samples=None)"
    ),
    "general": "(name, impl, *maps, outputs=1, functions=(), samples=None, tie=None)",
    "nondifferentiable": "(name, impl, *, functions=(), tie=None)",
    "primitive": "(name, impl)",
}
IN_MODULES = {
    "testing.check_grads": "(f, args, order=2, modes=('fwd', 'rev'), atol=None, rtol=None, eps=None, seed=0)",
    "symbolic.gradient": "(f, *args, steps=False)",
    "symbolic.hessian": "(f, *args, steps=False)",
    "testing.check_rule": "(primitive, *args, order=2, seed=0, **params)",
}


def signature(function: Any) -> str:
    """The signature without annotations."""
    bare = inspect.signature(function)
    parameters = [p.replace(annotation=p.empty) for p in bare.parameters.values()]
    return str(bare.replace(parameters=parameters, return_annotation=bare.empty))


@pytest.mark.parametrize("name", SIGNATURES)
def test_signatures(name: str) -> None:
    assert signature(getattr(cr, name)) == SIGNATURES[name]


@pytest.mark.parametrize("name", IN_MODULES)
def test_signatures_in_modules(name: str) -> None:
    module, function = name.split(".")
    assert signature(getattr(getattr(cr, module), function)) == IN_MODULES[name]


def test_every_public_function_has_its_signature_here() -> None:
    assert set(SIGNATURES) | set(cr._MODULES) == set(cr.__all__)


@pytest.mark.parametrize("name", SIGNATURES)
def test_docstrings_are_numpydoc_with_an_example(name: str) -> None:
    function = getattr(cr, name)
    text = inspect.getdoc(function)
    assert text, f"{name} has no docstring"
    first = text.splitlines()[0]
    assert first.endswith(".") or "; see `" in first or ":" in first
    assert "\nExamples\n--------\n" in text, f"{name} has no example"
    assert ">>> " in text
    for section in ("Parameters", "Returns", "Raises", "Notes", "References"):
        if f"\n{section}\n" in text:
            assert f"\n{section}\n{'-' * len(section)}\n" in text
    assert function.__name__ == name
    assert function.__module__ == cr._NAMES[name]


def public(module: ModuleType) -> list[Any]:
    return [getattr(module, name) for name in module.__all__]


@pytest.mark.parametrize("name", ["errors", "numerical", "testing", "trees"])
def test_modules_are_documented(name: str) -> None:
    module = getattr(cr, name)
    assert module.__doc__
    assert sorted(module.__all__) == list(module.__all__) or name == "errors"
    for thing in public(module):
        assert inspect.getdoc(thing), f"{name}.{thing.__name__} has no docstring"
        if inspect.isfunction(thing):
            assert ">>> " in (thing.__doc__ or ""), f"{name}.{thing.__name__} has no example"


def test_the_stub_names_what_the_package_gives() -> None:
    tree = ast.parse((PACKAGE / "__init__.pyi").read_text())
    stub: dict[str, str] = {}
    for node in tree.body:
        if isinstance(node, ast.ImportFrom):
            for alias in node.names:
                assert alias.asname == alias.name  # an explicit re-export
                stub[alias.name] = node.module or ""
    assert stub == {**cr._NAMES, **dict.fromkeys(cr._MODULES, "chainrule")}
    (listed,) = [
        ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"
    ]
    assert sorted(listed) == sorted(cr.__all__)
    assert listed == sorted(listed)


def test_all_is_complete_and_every_name_is_where_the_table_says() -> None:
    assert len(set(cr.__all__)) == len(cr.__all__)
    for name, module in cr._NAMES.items():
        assert name in importlib.import_module(module).__all__
    assert set(cr.__all__) <= set(dir(cr))
    assert cr.__version__


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_every_module_says_what_it_is_and_what_it_gives(path: Path) -> None:
    tree = ast.parse(path.read_text())
    doc = ast.get_docstring(tree)
    assert doc, "no module docstring"
    assert doc.splitlines()[0].rstrip().endswith((".", ":", "`", ")")), doc.splitlines()[0]
    assert len(doc.splitlines()) <= 24
    listed = [
        node.value for node in tree.body if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"
    ]
    for value in listed:
        if isinstance(value, ast.List) and all(isinstance(e, ast.Constant) for e in value.elts):
            names = [ast.literal_eval(e) for e in value.elts]
            assert len(set(names)) == len(names)


def test_the_package_is_typed() -> None:
    assert (PACKAGE / "py.typed").exists()
