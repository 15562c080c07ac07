"""Losses, penalties, feature maps, weightings, optimizers and so on, built-in and installed."""

from skmtl.plugins.registry import available, resolve

__all__ = ["available", "resolve"]
