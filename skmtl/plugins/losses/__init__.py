"""Losses of the tasks, on classes and on numbers."""

from skmtl.plugins.losses.focal import FocalLoss
from skmtl.plugins.losses.hinge import MulticlassHinge
from skmtl.plugins.losses.log_loss import LogLoss
from skmtl.plugins.losses.regression import Huber, Pinball, Poisson, SquaredError

__all__ = [
    "FocalLoss",
    "Huber",
    "LogLoss",
    "MulticlassHinge",
    "Pinball",
    "Poisson",
    "SquaredError",
]
