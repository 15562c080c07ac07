"""Multi-task and transfer learning as scikit-learn estimators."""

from skmtl.multitask import MultiTaskClassifier
from skmtl.multitask_cv import MultiTaskClassifierCV
from skmtl.source import as_source, make_transfer_pipeline
from skmtl.tasks import stack_tasks
from skmtl.transfer import TransferClassifier
from skmtl.transfer_cv import TransferClassifierCV

__all__ = [
    "MultiTaskClassifier",
    "MultiTaskClassifierCV",
    "TransferClassifier",
    "TransferClassifierCV",
    "as_source",
    "make_transfer_pipeline",
    "stack_tasks",
]
