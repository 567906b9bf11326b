"""What a trained model gives away about the rows that it learnt from.

``run`` audits a model. The parts work by themselves: ``guessed`` bounds epsilon from scores and coins, ``exposure``
ranks secrets, ``membership`` measures an attack, and ``ratio`` compares a model with its shadows.
"""

from tidegate.errors import explain_missing

with explain_missing():
    from tidegate.audit.answer import Audit, run
    from tidegate.audit.bound import guessed, lower_bound, p_value
    from tidegate.audit.exposure import exposure
    from tidegate.audit.likelihood import confidence, ratio
    from tidegate.audit.membership import membership

__all__ = ["Audit", "confidence", "exposure", "guessed", "lower_bound", "membership", "p_value", "ratio", "run"]
