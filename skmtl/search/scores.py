"""What candidates are compared by, unless the user says."""

import numpy as np

from skmtl.tasks import encode_labels

#: Part of the uniform distribution that is mixed into what an estimator says.
SMOOTHING = 0.1


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
    labels = encode_labels(y, missing_label=estimator.missing_label, estimator=estimator)
    probabilities, classes = estimator.predict_proba(X), estimator.classes_
    if labels.is_1d:
        probabilities, classes = [probabilities], [classes]
    means = [
        _log_probabilities(p, known, observed[codes[codes >= 0]], codes >= 0).mean()
        for p, known, observed, codes in zip(
            probabilities, classes, labels.classes, labels.codes.T, strict=True
        )
        if (codes >= 0).any()
    ]
    return float(np.mean(means)) if means else np.nan


def _log_probabilities(probabilities, known, labels, rows):
    """Those of the rows' labels, given the classes that columns stand for."""
    columns = {label: j for j, label in enumerate(known.tolist())}
    column = np.array([columns.get(label, -1) for label in labels.tolist()])
    of_labels = np.where(column < 0, 0.0, probabilities[np.flatnonzero(rows), column])
    return np.log((1 - SMOOTHING) * of_labels + SMOOTHING / len(known))
