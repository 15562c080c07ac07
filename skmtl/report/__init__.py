"""What a fit, a transfer or sharing between tasks is worth: reports, scores and pictures.

Matplotlib and pandas are imported where they are used: ``pip install skmtl[report]``.
"""

from skmtl.report.affinity import TaskAffinityDisplay
from skmtl.report.ladder import transfer_report
from skmtl.report.ladder_report import TransferReport
from skmtl.report.lambda_mu import LambdaMuDisplay
from skmtl.report.learning_curve import LearningCurveDisplay
from skmtl.report.loss_curve import LossCurveDisplay
from skmtl.report.sharing import multitask_report
from skmtl.report.sharing_report import MultiTaskReport
from skmtl.report.transferability import h_score, leep, log_me, proxy_a_distance

__all__ = [
    "LambdaMuDisplay",
    "LearningCurveDisplay",
    "LossCurveDisplay",
    "MultiTaskReport",
    "TaskAffinityDisplay",
    "TransferReport",
    "h_score",
    "leep",
    "log_me",
    "multitask_report",
    "proxy_a_distance",
    "transfer_report",
]
