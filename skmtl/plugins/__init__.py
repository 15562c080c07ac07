"""Losses, penalties, sharings, feature maps and all other plugins, built-in and installed."""

from skmtl.plugins.registry import available, resolve

__all__ = ["available", "resolve"]
