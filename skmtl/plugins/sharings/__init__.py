"""Ways in which tasks share the trunk."""

from skmtl.plugins.sharings.fixed import Hard, Pooled, Separate
from skmtl.plugins.sharings.learned import CrossStitch, LearnedGroups
from skmtl.plugins.sharings.of_input import CGC, MMoE

__all__ = ["CGC", "CrossStitch", "Hard", "LearnedGroups", "MMoE", "Pooled", "Separate"]
