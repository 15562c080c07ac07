"""What candidates are compared by, unless the user says."""

import numpy as np
from scipy.special import softmax

from skmtl.tasks import encode_labels

#: Part of the uniform distribution that is mixed into what an estimator says.
SMOOTHING = 0.1

#: What log-probabilities are divided by: the best of these counts, for each task and fold.
TEMPERATURES = np.geomspace(0.05, 5, 15)


def log_score(estimator, X, y):
    """Mean log-probability of the true labels at the best temperature, over tasks.

    It tells more of a few test rows than the share of labels that are right. How sure an estimator
    is hangs on how strongly it is penalised more than on what it knows, so its log-probabilities
    are divided by the temperature [1]_ that suits the test rows best: estimators are compared by
    which labels they find more probable than others. Then probabilities are mixed with a tenth of
    the uniform distribution over the labels that the estimator knows: in small folds, training
    rows may lack a class, and a single label of which an estimator is wrongly sure would outweigh
    many others.

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
    """
    labels = encode_labels(y, missing_label=estimator.missing_label, estimator=estimator)
    probabilities, classes = estimator.predict_proba(X), estimator.classes_
    if labels.is_1d:
        probabilities, classes = [probabilities], [classes]
    means = [
        _log_probability(p, known, observed[codes[codes >= 0]], codes >= 0)
        for p, known, observed, codes in zip(
            probabilities, classes, labels.classes, labels.codes.T, strict=True
        )
        if (codes >= 0).any()
    ]
    return float(np.mean(means)) if means else np.nan


def _log_probability(probabilities, known, labels, rows):
    """Mean over the rows, given the classes that columns stand for, at the best temperature."""
    columns = {label: j for j, label in enumerate(known.tolist())}
    column = np.array([columns.get(label, -1) for label in labels.tolist()])
    given = np.asarray(probabilities[rows], np.float64)
    logs = np.log(np.maximum(given, np.finfo(given.dtype).tiny))
    scaled = softmax(logs / TEMPERATURES[:, None, None], axis=2)
    of_labels = np.where(column < 0, 0.0, scaled[:, np.arange(len(column)), column])
    return np.log((1 - SMOOTHING) * of_labels + SMOOTHING / len(known)).mean(axis=1).max()
