"""Feature maps g from the source's columns to the target's."""

from skmtl.plugins.feature_maps.linear import Affine, Identity, Linear

__all__ = ["Affine", "Identity", "Linear"]
