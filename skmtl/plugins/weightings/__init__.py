"""Task weightings."""

from skmtl.plugins.weightings.uniform import Uniform

__all__ = ["Uniform"]
