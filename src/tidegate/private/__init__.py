"""Training with differential privacy: gradients of single units, clipped, summed and hidden in noise."""

from tidegate.private.account import epsilon_of, sigma_for
from tidegate.private.gradient import Gradients
from tidegate.private.noise import add_noise
from tidegate.private.recurrent import LayerUses, Recorder
from tidegate.private.sampler import PoissonSampler, check_participation
from tidegate.private.step import Step
from tidegate.private.stream import SecretStream
from tidegate.private.use import Use

__all__ = [
    "Gradients",
    "LayerUses",
    "PoissonSampler",
    "Recorder",
    "SecretStream",
    "Step",
    "Use",
    "add_noise",
    "check_participation",
    "epsilon_of",
    "sigma_for",
]
