"""What candidates are compared by, unless the user says."""

import numpy as np
from scipy.special import softmax

from skmtl.targets import offset_and_scale, read_numbers
from skmtl.tasks import encode_labels, observed

#: Part of the uniform distribution that is mixed into what an estimator says.
SMOOTHING = 0.1

#: What log-probabilities may be divided by.
TEMPERATURES = np.geomspace(0.05, 5, 15)


def log_score(estimator, X, y):
    """Mean log-probability of the true labels, over tasks.

    It tells more of a few test rows than the share of labels that are right. Probabilities are
    mixed with a tenth of the uniform distribution over the labels that the estimator knows: in
    small folds, training rows may lack a class, and a single label of which an estimator is wrongly
    sure would outweigh many others.

    Parameters
    ----------
    estimator : MultiTaskClassifier or TransferClassifier
        Fitted.
    X : {array-like, sparse matrix} of shape (n_samples, n_features)
        Rows of a test fold.
    y : array-like of shape (n_samples,) or (n_samples, n_tasks)
        Their labels, with holes.

    Returns
    -------
    float
        NaN if there is no label.
    """
    return _mean_log_probability(estimator, X, y, np.ones(1))


def tempered_log_score(estimator, X, y):
    """Mean log-probability of the true labels, of each task at the best temperature.

    That is the temperature [1]_ that suits the test rows best; all else is as in ``log_score``. How
    sure an estimator is hangs on how strongly it is penalised more than on what it knows. With its
    log-probabilities divided by the best of some temperatures, it is judged by which labels it
    finds more probable than others.

    Parameters
    ----------
    estimator : MultiTaskClassifier or TransferClassifier
        Fitted.
    X : {array-like, sparse matrix} of shape (n_samples, n_features)
        Rows of a test fold.
    y : array-like of shape (n_samples,) or (n_samples, n_tasks)
        Their labels, with holes.

    Returns
    -------
    float
        NaN if there is no label.

    References
    ----------
    .. [1] Guo, Pleiss, Sun and Weinberger (2017). On calibration of modern neural networks. ICML,
       section 4.2.

    Examples
    --------
    >>> from skmtl import TransferClassifierCV
    >>> from skmtl.search import tempered_log_score
    >>> TransferClassifierCV(scoring=tempered_log_score).scoring.__name__
    'tempered_log_score'
    """
    return _mean_log_probability(estimator, X, y, TEMPERATURES)


def _mean_log_probability(estimator, X, y, temperatures):
    """Mean over the tasks that have labels, of each at the best of some temperatures."""
    labels = encode_labels(y, missing_label=estimator.missing_label, estimator=estimator)
    probabilities, classes = estimator.predict_proba(X), estimator.classes_
    if labels.is_1d:
        probabilities, classes = [probabilities], [classes]
    means = [
        _of_task(p[codes >= 0], known, observed[codes[codes >= 0]], temperatures)
        for p, known, observed, codes in zip(
            probabilities, classes, labels.classes, labels.codes.T, strict=True
        )
        if (codes >= 0).any()
    ]
    return float(np.mean(means)) if means else np.nan


def _of_task(probabilities, known, labels, temperatures):
    """Mean log-probability of the labels, given the classes that columns stand for."""
    columns = {label: j for j, label in enumerate(known.tolist())}
    column = np.array([columns.get(label, -1) for label in labels.tolist()])
    given = np.asarray(probabilities, np.float64)
    logs = np.log(np.maximum(given, np.finfo(given.dtype).tiny))
    scaled = softmax(logs / temperatures[:, None, None], axis=2)
    of_labels = np.where(column < 0, 0.0, scaled[:, np.arange(len(column)), column])
    return np.log((1 - SMOOTHING) * of_labels + SMOOTHING / len(known)).mean(axis=1).max()


class HeldOutR2:
    r"""R2 on a fold's rows in units of all numbers, mean over tasks.

    .. math:: 1 - \frac{1}{|F|} \sum_{i \in F} \frac{(y_i - \hat y_i)^2}{s^2}

    F are the rows of the fold that have a number, and :math:`s^2` is the variance of all numbers of
    the task that the search has, in the fold or not. Over folds of one size the mean is the R2 of
    all held-out predictions together. With the variance of the fold's own rows, which may be a
    handful, as the unit, a fold would weigh the more the less its numbers happen to differ, without
    bound; and of one row there is none.

    Parameters
    ----------
    numbers : ndarray of shape (n_samples, n_tasks)
        All numbers, NaN where missing.

    Attributes
    ----------
    scales : ndarray of shape (n_tasks,)
        Their standard deviations s; 1 where all numbers of a task are the same.
    """

    def __init__(self, numbers):
        there = observed(numbers).astype(float)
        units = [offset_and_scale(*of_task, centring=True) for of_task in zip(numbers.T, there.T)]
        self.scales = np.array([scale for _, scale in units])

    def __call__(self, estimator, X, y):
        """Score a fitted estimator; a task without number does not count, NaN if there is none."""
        y = read_numbers(y, missing_label=estimator.missing_label).codes
        errors = (y - estimator.predict(X).reshape(y.shape)) / self.scales
        means = [np.mean(e[observed(e)] ** 2) for e in errors.T if observed(e).any()]
        return float(1 - np.mean(means)) if means else np.nan
