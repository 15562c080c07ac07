"""Penalties R(theta) on weights, and R(g) on feature maps."""

from skmtl.plugins.penalties.anchors import EWC, L2SP
from skmtl.plugins.penalties.low_rank import SparseLowRank, TraceNorm
from skmtl.plugins.penalties.maps import IdentityAnchor, Orthogonality
from skmtl.plugins.penalties.norms import L1, L2, ElasticNet
from skmtl.plugins.penalties.structured import GroupLasso
from skmtl.plugins.penalties.task_relations import ClusteredTasks, MeanAnchored, TaskGraph

__all__ = [
    "ClusteredTasks",
    "EWC",
    "ElasticNet",
    "GroupLasso",
    "IdentityAnchor",
    "L1",
    "L2",
    "L2SP",
    "MeanAnchored",
    "Orthogonality",
    "SparseLowRank",
    "TaskGraph",
    "TraceNorm",
]
