"""Losses, penalties, feature maps, task weightings and optimizers, built-in and installed."""

from skmtl.plugins.registry import available, resolve

__all__ = ["available", "resolve"]
