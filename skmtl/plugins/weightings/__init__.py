"""Task weightings."""

from skmtl.plugins.weightings.auxiliary import ARML
from skmtl.plugins.weightings.impartial import IMTLG, AlignedMTL, NashMTL
from skmtl.plugins.weightings.learned import FAMO, IMTLL, GradNorm, Uncertainty
from skmtl.plugins.weightings.loss_based import DWA, RLW, GeometricMean, SmoothTchebycheff
from skmtl.plugins.weightings.min_norm import MGDA, CAGrad
from skmtl.plugins.weightings.surgery import GradVac, PCGrad
from skmtl.plugins.weightings.uniform import Uniform
from skmtl.plugins.weightings.upgrad import UPGrad

__all__ = [
    "ARML",
    "DWA",
    "FAMO",
    "IMTLG",
    "IMTLL",
    "MGDA",
    "RLW",
    "AlignedMTL",
    "CAGrad",
    "GeometricMean",
    "GradNorm",
    "GradVac",
    "NashMTL",
    "PCGrad",
    "SmoothTchebycheff",
    "UPGrad",
    "Uncertainty",
    "Uniform",
]
