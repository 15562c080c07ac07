"""Multi-task and transfer learning as scikit-learn estimators."""

from skmtl.multitask_classifier import MultiTaskClassifier
from skmtl.multitask_classifier_cv import MultiTaskClassifierCV
from skmtl.multitask_estimator import MultiTaskEstimator
from skmtl.multitask_regressor import MultiTaskRegressor
from skmtl.multitask_regressor_cv import MultiTaskRegressorCV
from skmtl.self_training import SelfTraining
from skmtl.source import as_source, make_transfer_pipeline
from skmtl.tasks import stack_tasks
from skmtl.transfer_classifier import TransferClassifier
from skmtl.transfer_classifier_cv import TransferClassifierCV
from skmtl.transfer_regressor import TransferRegressor
from skmtl.transfer_regressor_cv import TransferRegressorCV

__all__ = [
    "MultiTaskClassifier",
    "MultiTaskClassifierCV",
    "MultiTaskEstimator",
    "MultiTaskRegressor",
    "MultiTaskRegressorCV",
    "SelfTraining",
    "TransferClassifier",
    "TransferClassifierCV",
    "TransferRegressor",
    "TransferRegressorCV",
    "as_source",
    "make_transfer_pipeline",
    "stack_tasks",
]
