# What `chainrule.__getattr__` imports on first use, for type checkers and editors; a test compares the two.
from chainrule import errors as errors
from chainrule import numerical as numerical
from chainrule import numpy as numpy
from chainrule import scipy as scipy
from chainrule import symbolic as symbolic
from chainrule import testing as testing
from chainrule import trees as trees
from chainrule.api import derivative as derivative
from chainrule.api import grad as grad
from chainrule.api import hvp as hvp
from chainrule.api import jvp as jvp
from chainrule.api import linearize as linearize
from chainrule.api import value_and_grad as value_and_grad
from chainrule.api import vjp as vjp
from chainrule.core.define import elementwise as elementwise
from chainrule.core.define import general as general
from chainrule.core.define import linear as linear
from chainrule.core.define import multilinear as multilinear
from chainrule.core.define import nondifferentiable as nondifferentiable
from chainrule.core.define import primitive as primitive
from chainrule.eager.checkpoint import checkpoint as checkpoint
from chainrule.eager.custom import custom_jvp as custom_jvp
from chainrule.eager.custom import custom_vjp as custom_vjp
from chainrule.eager.custom import stop_gradient as stop_gradient
from chainrule.eager.variable import variable as variable
from chainrule.jacobians import hessian as hessian
from chainrule.jacobians import jacfwd as jacfwd
from chainrule.jacobians import jacobian as jacobian
from chainrule.jacobians import jacrev as jacrev
from chainrule.native.jit import jit as jit
from chainrule.native.jit import source as source
from chainrule.native.plan import plan as plan
from chainrule.report.compare import compare as compare
from chainrule.report.costs import costs as costs
from chainrule.report.explain import explain as explain
from chainrule.vectorize import vmap as vmap
from chainrule.view.trace import trace as trace

__version__: str
__all__ = [
    "checkpoint",
    "compare",
    "costs",
    "custom_jvp",
    "custom_vjp",
    "derivative",
    "elementwise",
    "errors",
    "explain",
    "general",
    "grad",
    "hessian",
    "hvp",
    "jacfwd",
    "jacobian",
    "jacrev",
    "jit",
    "jvp",
    "linear",
    "linearize",
    "multilinear",
    "nondifferentiable",
    "numerical",
    "numpy",
    "plan",
    "primitive",
    "scipy",
    "source",
    "stop_gradient",
    "symbolic",
    "testing",
    "trace",
    "trees",
    "value_and_grad",
    "variable",
    "vjp",
    "vmap",
]
