"""Weights of a source's rows."""

from skmtl.plugins.source_weightings.boosting import TrAdaBoost
from skmtl.plugins.source_weightings.classes import Balanced, Uniform
from skmtl.plugins.source_weightings.discriminator import DiscriminatorRatio
from skmtl.plugins.source_weightings.kliep import KLIEP
from skmtl.plugins.source_weightings.kmm import KMM

__all__ = ["KLIEP", "KMM", "Balanced", "DiscriminatorRatio", "TrAdaBoost", "Uniform"]
