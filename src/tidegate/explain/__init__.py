"""What a recurrent network remembers, where its gradients die, and what to do about it."""

from tidegate.explain.ablation import Ablation, Change, ablate
from tidegate.explain.attribution import Attribution, attribute
from tidegate.explain.bound import Bound, textbook_form
from tidegate.explain.check import check_chunks, check_padding, check_resets
from tidegate.explain.context import ContextCurve, context_curve
from tidegate.explain.curve import GradientByLag, LagCurve
from tidegate.explain.dynamics import Exponents, jacobian, lyapunov
from tidegate.explain.fixed import FixedPoints, fixed_points
from tidegate.explain.flow import gradient_by_lag
from tidegate.explain.leak import check_leak
from tidegate.explain.measure import LayerMeasures, measure
from tidegate.explain.memory import HalfLife, Memory, half_life
from tidegate.explain.probe import LayerCall, Probe, Trajectory, captured, probe
from tidegate.explain.readout import ReadOut, read_out
from tidegate.explain.remedy import try_remedy
from tidegate.explain.silence import Silence, settle
from tidegate.explain.step import StepFunction
from tidegate.explain.verdict import Verdict, verdicts

__all__ = [
    "Ablation",
    "Attribution",
    "Bound",
    "Change",
    "ContextCurve",
    "Exponents",
    "FixedPoints",
    "GradientByLag",
    "HalfLife",
    "LagCurve",
    "LayerCall",
    "LayerMeasures",
    "Memory",
    "Probe",
    "ReadOut",
    "Silence",
    "StepFunction",
    "Trajectory",
    "Verdict",
    "ablate",
    "attribute",
    "captured",
    "check_chunks",
    "check_leak",
    "check_padding",
    "check_resets",
    "context_curve",
    "fixed_points",
    "gradient_by_lag",
    "half_life",
    "jacobian",
    "lyapunov",
    "measure",
    "probe",
    "read_out",
    "settle",
    "textbook_form",
    "try_remedy",
    "verdicts",
]
