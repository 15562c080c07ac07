"""Penalties R(theta) on weights, and R(g) on feature maps."""

from skmtl.plugins.penalties.maps import IdentityAnchor
from skmtl.plugins.penalties.norms import L1, L2, ElasticNet

__all__ = ["ElasticNet", "IdentityAnchor", "L1", "L2"]
