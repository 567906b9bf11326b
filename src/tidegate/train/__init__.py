"""The training loop: clipping, early stopping on validation, checkpoints, exact resume."""

from tidegate.train.checkpoint import Checkpoint
from tidegate.train.loop import Outcome, Plan, evaluate, train

__all__ = ["Checkpoint", "Outcome", "Plan", "evaluate", "train"]
