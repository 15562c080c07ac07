"""Feature maps g from the source's columns to the target's."""

from skmtl.plugins.feature_maps.aligned import Orthogonal, SubspaceAlignment
from skmtl.plugins.feature_maps.diagonal import Diagonal
from skmtl.plugins.feature_maps.linear import Affine, Identity, Linear
from skmtl.plugins.feature_maps.low_rank import LowRank
from skmtl.plugins.feature_maps.mlp import MLPMap, ResidualMLP

__all__ = [
    "Affine",
    "Diagonal",
    "Identity",
    "Linear",
    "LowRank",
    "MLPMap",
    "Orthogonal",
    "ResidualMLP",
    "SubspaceAlignment",
]
