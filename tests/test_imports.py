"""What importing and using chainrule imports: NumPy, and nothing that is not needed.

Each program runs in a process of its own and prints the packages that are loaded at its end.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import chainrule

SOURCE = str(Path(chainrule.__file__).parents[1])
HEAVY = {
    *("numba", "llvmlite", "scipy", "optree", "sympy", "mpmath", "torch", "jax", "autograd", "dask", "pandas"),
    *("matplotlib", "sklearn", "hypothesis", "IPython"),
}


def run(program: str, *options: str) -> str:
    environment = {**os.environ, "PYTHONPATH": SOURCE}
    done = subprocess.run(
        [sys.executable, *options, "-c", program], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def loaded(program: str) -> set[str]:
    """The names of the packages that `program` leaves loaded."""
    tail = "\nimport sys, json; print(json.dumps(sorted({name.partition('.')[0] for name in sys.modules})))"
    return set(json.loads(run(program + tail).splitlines()[-1]))


def test_import_takes_nothing_but_the_package_itself() -> None:
    modules = json.loads(run("import chainrule, sys, json; print(json.dumps(sorted(sys.modules)))"))
    assert [name for name in modules if name.startswith("chainrule")] == ["chainrule"]
    assert not HEAVY & {name.partition(".")[0] for name in modules}
    assert "numpy" not in modules  # imported when the first function is used


@pytest.mark.parametrize(
    "use",
    [
        "cr.grad(lambda x: np.sum(np.sin(x) * x))(x)",
        "cr.grad(lambda a, b: a * b, (0, 1))(1.0, 2.0)",
        "cr.hessian(lambda x: np.sum(x ** 3))(x)",
        "cr.jvp(np.tanh, (x,), (x,)); cr.vjp(np.tanh, x)[1](x); cr.linearize(np.tanh, x)[1](x)",
        "cr.jacrev(lambda x: np.linalg.solve(np.diag(x), x))(x)",
        "v = cr.variable(x); np.sum(v * v).backward()",
        "cr.grad(lambda x: np.sort(x)[0] + np.max(x) + np.linalg.norm(x) + np.cumsum(x)[1])(x)",
        "cr.numpy.array([1.0]); cr.errors.ArgumentError; cr.numerical.gradient(np.sum, x)",
        "cr.grad(lambda x: np.sum(cr.stop_gradient(x) * x))(x)",
    ],
)
def test_plain_functions_of_arrays_import_no_optional_package(use: str) -> None:
    packages = loaded(f"import chainrule as cr, numpy as np; x = np.array([1.0, 2.0]); {use}")
    assert not HEAVY & packages


def test_containers_import_optree_and_nothing_else() -> None:
    packages = loaded("import chainrule as cr; cr.grad(lambda p: p['a'] * p['b'])({'a': 1.0, 'b': 2.0})")
    assert HEAVY & packages == {"optree"}


def test_scipy_is_imported_by_those_who_use_it() -> None:
    program = "import chainrule as cr, numpy as np, scipy.special as sc; cr.grad(lambda x: np.sum(sc.erf(x)))(1.0)"
    assert HEAVY & loaded(program) == {"scipy"}


def test_every_name_is_there_and_an_unknown_one_is_not() -> None:
    run(
        "import chainrule as cr\n"
        "for name in cr.__all__: getattr(cr, name)\n"
        "assert set(cr.__all__) <= set(dir(cr))\n"
        "from chainrule import *\n"
        "grad, jvp, vmap, testing\n"
        "try: cr.gradient\n"
        "except AttributeError as error: assert 'gradient' in str(error)\n"
        "else: raise SystemExit('an unknown name was found')\n"
    )


def test_importing_warns_of_nothing() -> None:
    run("import chainrule as cr\nfor name in cr.__all__: getattr(cr, name)", "-W", "error")


def test_python_without_assertions_works_the_same() -> None:
    out = run("import chainrule as cr, numpy as np; print(cr.grad(cr.grad(lambda x: x ** 3))(2.0))", "-O")
    assert out.strip() == "12.0"


def test_the_cost_of_the_import_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    """No assertion on time: machines differ. The aim is 0.15 s more than NumPy for the first gradient."""
    program = (
        "import time; a = time.perf_counter(); import numpy; b = time.perf_counter(); import chainrule; "
        "chainrule.grad; c = time.perf_counter(); print(b - a, c - b)"
    )
    times = [tuple(map(float, run(program).split())) for _ in range(3)]
    with capsys.disabled():
        print(f"\nimport numpy {min(t[0] for t in times):.3f} s, chainrule.grad {min(t[1] for t in times):.3f} s more")
