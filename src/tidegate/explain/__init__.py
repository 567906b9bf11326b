"""What a recurrent network remembers, where its gradients die, and what to do about it.

``run`` explains trained models of any task and needs the packages of the tasks; its parts need torch alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tidegate.errors import explain_missing
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

if TYPE_CHECKING:
    from tidegate.explain.answer import Explanation, run

__all__ = [
    "Ablation",
    "Attribution",
    "Bound",
    "Change",
    "ContextCurve",
    "Explanation",
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
    "run",
    "settle",
    "textbook_form",
    "try_remedy",
    "verdicts",
]


def __getattr__(name: str) -> Any:
    if name in ("Explanation", "run"):
        with explain_missing():
            from tidegate.explain import answer
        return getattr(answer, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
