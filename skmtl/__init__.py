"""Multi-task and transfer learning as scikit-learn estimators."""

from skmtl.multitask import MultiTaskClassifier
from skmtl.source import as_source, make_transfer_pipeline
from skmtl.tasks import stack_tasks
from skmtl.transfer import TransferClassifier

__all__ = [
    "MultiTaskClassifier",
    "TransferClassifier",
    "as_source",
    "make_transfer_pipeline",
    "stack_tasks",
]
