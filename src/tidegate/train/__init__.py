"""The training loop: clipping, schedules, early stopping, exact resume, several processes, logs."""

from tidegate.train.checkpoint import Checkpoint
from tidegate.train.log import Log
from tidegate.train.loop import Outcome, evaluate, train
from tidegate.train.plan import Plan
from tidegate.train.precision import doubled
from tidegate.train.world import World, launched

__all__ = ["Checkpoint", "Log", "Outcome", "Plan", "World", "doubled", "evaluate", "launched", "train"]
