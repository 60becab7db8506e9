"""The symbolic approach: derivatives as formulae, by SymPy (the extra ``symbolic``)."""

from chainrule.symbolic.derivation import Derivation, Step
from chainrule.symbolic.gradients import Gradient, Hessian, OperationCounts, gradient, hessian

__all__ = ["Derivation", "Gradient", "Hessian", "OperationCounts", "Step", "gradient", "hessian"]
