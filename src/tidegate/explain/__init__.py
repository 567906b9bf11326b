"""What a recurrent network remembers, where its gradients die, and what to do about it."""

from tidegate.explain.bound import Bound, textbook_form
from tidegate.explain.curve import GradientByLag, LagCurve
from tidegate.explain.dynamics import Exponents, jacobian, lyapunov
from tidegate.explain.fixed import FixedPoints, fixed_points
from tidegate.explain.flow import gradient_by_lag
from tidegate.explain.probe import LayerCall, Probe, Trajectory, captured, probe
from tidegate.explain.step import StepFunction

__all__ = [
    "Bound",
    "Exponents",
    "FixedPoints",
    "GradientByLag",
    "LagCurve",
    "LayerCall",
    "Probe",
    "StepFunction",
    "Trajectory",
    "captured",
    "fixed_points",
    "gradient_by_lag",
    "jacobian",
    "lyapunov",
    "probe",
    "textbook_form",
]
