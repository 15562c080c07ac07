"""Alignments of the distributions of source and target."""

from skmtl.plugins.alignments.coral import CORAL
from skmtl.plugins.alignments.dann import DANN
from skmtl.plugins.alignments.mmd import MMD, ConditionalMMD
from skmtl.plugins.alignments.sliced_wasserstein import SlicedWasserstein

__all__ = ["CORAL", "DANN", "MMD", "ConditionalMMD", "SlicedWasserstein"]
