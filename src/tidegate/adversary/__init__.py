"""Changes of inputs within a norm that make a model answer worst: found by gradients, by estimates, or by chance.

Everything here is about rows: sequences [T, B, ...] whose dimension 1 is the row, losses [B] to be raised, changes that
each stay within their own row's ball. Models and tasks are unknown here: a loss is a function of the inputs.
"""

from tidegate.adversary.ascent import Found, climb, projected_gradient
from tidegate.adversary.ball import Ball, free
from tidegate.adversary.loss import cross_entropy, margin
from tidegate.adversary.slope import by_gradient, by_queries

__all__ = [
    "Ball",
    "Found",
    "by_gradient",
    "by_queries",
    "climb",
    "cross_entropy",
    "free",
    "margin",
    "projected_gradient",
]
