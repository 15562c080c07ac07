"""Losses of the tasks."""

from skmtl.plugins.losses.classification import LogLoss

__all__ = ["LogLoss"]
