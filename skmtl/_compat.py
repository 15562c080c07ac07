"""The one place that touches scikit-learn's private names, and its differences from 1.6 to 1.9.

Parameter constraints come from ``sklearn.utils._param_validation``; ``fit_context`` checks them
and, from scikit-learn 1.9 on, tears the callbacks down when the fit ends or fails.

``QuickParameters`` spares fits and clones what scikit-learn does with a constructor's signature.

Callbacks (``sklearn.callback``, scikit-learn 1.9) see a fit as a tree: the fit, its stages if it
has several, the epochs. An estimator inherits from ``CallbackMixin`` and tells the tree like this;
with no callback set, or before 1.9, the calls do nothing::

    class Estimator(CallbackMixin, ClassifierMixin, BaseEstimator):
        @fit_context(prefer_skip_nested_validation=True)
        def fit(self, X, y, sample_weight=None):
            ...  # validate, encode, lay out
            task = begin_fit(self, self.max_iter, X=X, y=y, sample_weight=sample_weight)
            for epoch in range(self.max_iter):
                task.epoch_begin()
                ...  # train one epoch
                if task.epoch_end(lambda: fitted_attributes(theta.copy())):
                    break  # a callback asks to stop
            ...  # store the fitted attributes
            task.end()
            return self
"""

import functools
from inspect import signature

import numpy as np
from sklearn.base import _fit_context as fit_context
from sklearn.utils import _safe_indexing as safe_indexing
from sklearn.utils._param_validation import (
    HasMethods,
    Hidden,
    Interval,
    InvalidParameterError,
    Options,
    StrOptions,
    validate_parameter_constraints,
    validate_params,
)
from sklearn.utils.validation import _check_sample_weight, _get_feature_names, _num_samples

try:
    from sklearn.callback import CallbackSupportMixin as CallbackMixin
except ImportError:  # scikit-learn < 1.9

    class CallbackMixin:
        """Stand-in without ``set_callbacks``: this scikit-learn has no callbacks."""


__all__ = [
    "CallbackMixin",
    "HasMethods",
    "Hidden",
    "Interval",
    "InvalidParameterError",
    "Options",
    "QuickParameters",
    "StrOptions",
    "begin_fit",
    "callback_state",
    "check_sample_weight",
    "fit_context",
    "get_feature_names",
    "n_samples",
    "safe_indexing",
    "validate_params",
]


class QuickParameters:
    """Goes before BaseEstimator: the signature is read once, and defaults are taken as valid.

    With some thirty parameters, scikit-learn's own way takes 0.3 ms of every fit.
    """

    @classmethod
    @functools.cache
    def _get_param_names(cls):
        return super()._get_param_names()

    @classmethod
    @functools.cache
    def _defaults(cls):
        return {name: parameter.default for name, parameter in signature(cls).parameters.items()}

    def _validate_params(self):
        defaults, values = self._defaults(), self.get_params(deep=False)
        given = {name: value for name, value in values.items() if value is not defaults[name]}
        validate_parameter_constraints(
            self._parameter_constraints, given, caller_name=type(self).__name__
        )


def n_samples(X):
    """Return the number of rows of any container that scikit-learn accepts."""
    return _num_samples(X)


def get_feature_names(X):
    """Return the names of the columns of X, or None where there are none that are strings."""
    return None if isinstance(X, np.ndarray) else _get_feature_names(X)


def check_sample_weight(sample_weight, X, dtype=None):
    """Return one finite weight >= 0 per row of X, not all zero, as float32 or float64.

    None means ones, a number means that number for every row.
    """
    if sample_weight is None:
        return np.ones(n_samples(X), dtype)
    weight = _check_sample_weight(sample_weight, X, dtype=dtype, ensure_non_negative=True)
    if not weight.any():  # before 1.9, scikit-learn lets this through
        raise ValueError("Sample weights must contain at least one non-zero number.")
    return weight


def begin_fit(estimator, n_subtasks, *, X=None, y=None, sample_weight=None):
    """Tell the callbacks of an estimator that its fit begins; return its task.

    Parameters
    ----------
    estimator : estimator
        What is fitted. Its ``fit`` must be decorated with ``fit_context``.
    n_subtasks : int or None
        The most epochs the fit can have, or its number of stages if it has several; None where no
        bound is known.
    X, y : array-like
        What callbacks are shown, and score on: for transfer, the target.
    sample_weight : array-like or None, default=None
        Goes to the scorers of callbacks, with X and y.

    Returns
    -------
    task : FitTask or NoFitTask
        ``NoFitTask`` where no callback is set.
    """
    if not getattr(estimator, "_skl_callbacks", None):
        return _NO_TASK
    context = estimator._init_callback_context(max_subtasks=n_subtasks)
    metadata = None if sample_weight is None else {"sample_weight": sample_weight}
    return FitTask(estimator, context, {"X": X, "y": y, "metadata": metadata}, fitted_at_end={})


def callback_state(estimator):
    """Attributes that scikit-learn needs to tear an estimator's callbacks down after a fit."""
    names = ("_callback_fit_ctx", "_skl_callbacks_to_teardown")
    return {name: vars(estimator)[name] for name in names if name in vars(estimator)}


class FitTask:
    """A fit, or one stage of it, as the callbacks see it.

    ``fitted`` in the methods is a dict of fitted attributes, or a function returning one, that
    makes a copy of the estimator ready to predict. It is only called if a callback asks for that
    copy. Its arrays must not be written to afterwards.

    Parameters
    ----------
    estimator : estimator
        What is fitted.
    context : sklearn.callback.CallbackContext
        The node of the task tree.
    data : dict
        The X, y and metadata that every hook is shown.
    fitted_at_end : dict or None, default=None
        The default of ``fitted`` in ``end``; ``{}`` takes the estimator as it then stands.
    """

    listens = True

    def __init__(self, estimator, context, data, fitted_at_end=None):
        self._hook = {"estimator": estimator, **data}
        self._context = context
        self._fitted_at_end = fitted_at_end
        self._epoch = None
        context.call_on_fit_task_begin(**self._hook)

    def stage(self, name, max_epochs):
        """Begin a stage of a fit that has several; call ``end`` on it before the next one."""
        context = self._context.subcontext(task_name=name, max_subtasks=max_epochs)
        hook = dict(self._hook)
        return FitTask(hook.pop("estimator"), context, hook)

    def epoch_begin(self, fitted=None):
        """Begin an epoch."""
        self._epoch = self._context.subcontext(task_name="epoch")
        self._epoch.call_on_fit_task_begin(**self._hook, reconstruction_attributes=fitted)

    def epoch_end(self, fitted=None):
        """End the epoch; return True if a callback asks to stop the epochs.

        A solver that only tells when an iteration is over may leave out ``epoch_begin``.
        """
        if self._epoch is None:
            self.epoch_begin()
        epoch, self._epoch = self._epoch, None
        return epoch.call_on_fit_task_end(**self._hook, reconstruction_attributes=fitted)

    def end(self, fitted=None):
        """End the fit, after the fitted attributes are stored, or the stage.

        Return True if a callback asks to skip the stages that are left.
        """
        fitted = self._fitted_at_end if fitted is None else fitted
        return self._context.call_on_fit_task_end(**self._hook, reconstruction_attributes=fitted)


class NoFitTask:
    """The same calls with nobody listening."""

    listens = False

    def stage(self, name, max_epochs):
        """Return self."""
        return self

    def epoch_begin(self, fitted=None):
        """Do nothing."""

    def epoch_end(self, fitted=None):
        """Return False."""
        return False

    def end(self, fitted=None):
        """Return False."""
        return False


_NO_TASK = NoFitTask()
