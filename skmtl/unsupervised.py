"""Scores of a transfer without labels of the target: to choose lambda and mu by."""

from numbers import Integral

import numpy as np
from scipy.special import xlogy
from sklearn.base import clone
from sklearn.pipeline import Pipeline
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_array, check_consistent_length

from skmtl.plugins.registry import resolve
from skmtl.rows import FLOATS
from skmtl.tasks import encode_labels
from skmtl.transfer_classifier import TransferClassifier

__all__ = [
    "coverage",
    "dev_risk",
    "entropy_score",
    "importance_weighted_risk",
    "information_score",
    "make_unsupervised_scorer",
]

WITH_SOURCE = ("importance_weighted", "dev", "circular")
KINDS = ("entropy", "information", *WITH_SOURCE)
#: Part of the source's rows that count as covered by the others.
COVERED = 0.95
#: What makes a TransferClassifier one that learns its X and y alone. Were the transfer turned round
#: instead, a map that takes a class to the wrong place would also take it back, and score well:
#: under the covariate shift of `benchmarks.shifts` that cost .35 of accuracy, and this .02.
ALONE = {
    "strategy": "target_only",
    "source_model": None,
    "freeze": 0,
    "unfreeze_every": None,
    "layer_decay": 1.0,
}


def coverage(X_source, X, *, n_neighbors=5):
    """Share of the target's rows that lie where the source has rows.

    A row of the target counts if its k-th nearest row of the source is no farther away than that of
    95 % of the source's own rows: by the distance that tells outliers in [1]_. Two samples of one
    distribution thus come to 0.95. The columns must be on one scale.

    Where the source covers the target, the two may differ in how often things occur, or in what
    follows from them, and nothing without labels tells which. Only where it does not, an alignment
    has something to undo that the rows can show.

    Parameters
    ----------
    X_source : {array-like, sparse matrix} of shape (n_source_rows, n_features)
        Rows of the source.
    X : {array-like, sparse matrix} of shape (n_samples, n_features)
        Rows of the target.
    n_neighbors : int, default=5
        The number k of nearest rows, at least 1 and less than ``n_source_rows``.

    Returns
    -------
    float
        From 0 to 1.

    Raises
    ------
    ValueError
        If the columns differ, or the source has no more rows than ``n_neighbors``.

    References
    ----------
    .. [1] Ramaswamy, Rastogi and Shim (2000). Efficient algorithms for mining outliers from large
       data sets. SIGMOD, section 3.

    Examples
    --------
    >>> import numpy as np
    >>> from skmtl.unsupervised import coverage
    >>> rng = np.random.default_rng(0)
    >>> X_source, X = rng.standard_normal((2, 500, 2))
    >>> bool(coverage(X_source, X) > 0.9), bool(coverage(X_source, X + 5) < 0.1)
    (True, True)
    """
    from sklearn.neighbors import NearestNeighbors  # takes a tenth of a second

    X_source, X = (
        check_array(rows, accept_sparse="csr", dtype=FLOATS, input_name=name)
        for rows, name in ((X_source, "X_source"), (X, "X"))
    )
    _check_same_columns(X_source, X)
    n_source = X_source.shape[0]
    if not isinstance(n_neighbors, Integral) or not 1 <= n_neighbors < n_source:
        raise ValueError(
            f"n_neighbors must be an int from 1 to {n_source - 1}, less than the rows of X_source. "
            f"Got {n_neighbors!r} instead."
        )
    nearest = NearestNeighbors(n_neighbors=int(n_neighbors)).fit(X_source)
    within = np.quantile(nearest.kneighbors()[0][:, -1], COVERED)
    return float(np.mean(nearest.kneighbors(X)[0][:, -1] <= within))


def entropy_score(proba):
    r"""How sure a model is of the target: minus the mean entropy of its predictions.

    .. math:: -\frac1n \sum_i H(p_i), \quad H(p) = -\sum_c p_c \log p_c

    Parameters
    ----------
    proba : array-like of shape (n_samples, n_classes)
        Class probabilities of the target's rows.

    Returns
    -------
    float
        At most 0; higher is better. Best of all is a model that gives one class for sure, so
        compare models that are known not to.

    References
    ----------
    .. [1] Morerio, Cavazza and Murino (2018). Minimal-entropy correlation alignment for
       unsupervised deep domain adaptation. ICLR, section 4.

    Examples
    --------
    >>> from skmtl.unsupervised import entropy_score
    >>> round(entropy_score([[0.5, 0.5], [1.0, 0.0]]), 4)
    -0.3466
    """
    return 0.0 - float(_entropy(_probabilities(proba)).mean())


def information_score(proba):
    r"""What predictions tell of the rows: their mutual information.

    .. math:: H\Bigl(\frac1n \sum_i p_i\Bigr) - \frac1n \sum_i H(p_i)

    The first term is large where all classes are predicted, so that a model which always gives the
    same one scores 0.

    Parameters
    ----------
    proba : array-like of shape (n_samples, n_classes)
        Class probabilities of the target's rows.

    Returns
    -------
    float
        From 0 to the log of the number of classes; higher is better.

    References
    ----------
    .. [1] Krause, Perona and Gomes (2010). Discriminative clustering by regularized information
       maximization. NIPS, section 2.

    Examples
    --------
    >>> from skmtl.unsupervised import information_score
    >>> round(information_score([[0.0, 1.0], [1.0, 0.0]]), 4)
    0.6931
    >>> information_score([[1.0, 0.0], [1.0, 0.0]])
    0.0
    """
    proba = _probabilities(proba)
    return float(_entropy(proba.mean(axis=0)) - _entropy(proba).mean())


def importance_weighted_risk(losses, weights):
    r"""Risk on the target from losses on the source.

    .. math:: \frac1n \sum_i w_i l_i, \quad w_i = \frac{p_t(x_i)}{p_s(x_i)}

    It is unbiased under covariate shift: where labels follow the same rule in both domains.

    Parameters
    ----------
    losses : array-like of shape (n_samples,)
        Losses on rows of the source that the model was not fitted on.
    weights : array-like of shape (n_samples,)
        Ratio of the densities of target and source at these rows.

    Returns
    -------
    float
        Lower is better.

    References
    ----------
    .. [1] Sugiyama, Krauledat and Mueller (2007). Covariate shift adaptation by importance weighted
       cross validation. JMLR 8, section 3.

    Examples
    --------
    >>> from skmtl.unsupervised import importance_weighted_risk
    >>> importance_weighted_risk([1, 0, 1, 0], [0.5, 1.5, 0.1, 1.9])
    0.15
    """
    losses, weights = _losses_and_weights(losses, weights)
    return float((weights * losses).mean())


def dev_risk(losses, weights):
    r"""The importance-weighted risk with the weights as control variate.

    .. math::

        \frac1n \sum_i w_i l_i + \eta \Bigl(\frac1n \sum_i w_i - 1\Bigr), \quad
        \eta = -\frac{\mathrm{Cov}(w l, w)}{\mathrm{Var}(w)}

    The mean of the weights is known to be 1, so what it misses by tells of the error of the risk,
    and eta is the multiple that leaves the least variance.

    Parameters
    ----------
    losses : array-like of shape (n_samples,)
        Losses on rows of the source that the model was not fitted on.
    weights : array-like of shape (n_samples,)
        Ratio of the densities of target and source, not scaled to a mean of 1.

    Returns
    -------
    float
        Lower is better.

    References
    ----------
    .. [1] You, Wang, Long and Jordan (2019). Towards accurate model selection in deep unsupervised
       domain adaptation. ICML, section 3.2.

    Examples
    --------
    >>> from skmtl.unsupervised import dev_risk
    >>> round(dev_risk([1, 0, 1, 0], [0.5, 1.5, 0.1, 1.5]), 4)
    0.1316
    """
    losses, weights = _losses_and_weights(losses, weights)
    weighted = weights * losses
    variance = weights.var()
    eta = 0.0
    if variance > 0:
        eta = -((weighted - weighted.mean()) * (weights - weights.mean())).mean() / variance
    return float(weighted.mean() + eta * (weights.mean() - 1))


def make_unsupervised_scorer(
    kind="information",
    *,
    X_source=None,
    y_source=None,
    weighting="discriminator_ratio",
    loss="zero_one",
    reverse=None,
    random_state=0,
):
    """Make a scorer that does not look at the target's labels.

    The scorer is called as ``scorer(estimator, X, y=None)``, by hand or by ``cross_val_score`` and
    ``GridSearchCV(scoring=...)``: X are rows of the target, and y is not read, so it may be full of
    NaN (then give ``cv`` as a splitter such as ``KFold(3)``, since scikit-learn looks at y to
    choose one). All of these scores rest on assumptions that nobody can check without labels: a few
    labels of the target to validate on are worth more.

    Parameters
    ----------
    kind : {"entropy", "information", "importance_weighted", "dev", "circular"}, \
            default="information"
        "entropy" and "information": :func:`entropy_score` and :func:`information_score`.
        "importance_weighted" and "dev": minus :func:`importance_weighted_risk` and
        :func:`dev_risk`, on ``X_source``. "circular": circular validation [1]_, the accuracy on
        the source of a model that is learned from what the estimator predicts for the target.
    X_source : {array-like, sparse matrix} of shape (n_rows, n_features), default=None
        Rows of the source, in columns that the estimator's ``predict`` takes; for
        "importance_weighted" and "dev" rows that it was not fitted on.
    y_source : array-like of shape (n_rows,), default=None
        Their labels; rows without label are left out.
    weighting : str or SourceWeighting, default="discriminator_ratio"
        The density ratio for "importance_weighted" and "dev".
    loss : {"zero_one", "log_loss"}, default="zero_one"
        The loss of these two; "log_loss" needs ``predict_proba``.
    reverse : estimator or None, default=None
        What learns the way back in "circular". None: the estimator anew, a ``TransferClassifier``
        with ``strategy="target_only"``.
    random_state : int, RandomState instance or None, default=0
        Seed of a weighting that draws; an int weighs all candidates of a search alike.

    Returns
    -------
    callable
        The scorer. Higher is better.

    Raises
    ------
    ValueError
        If ``kind`` or ``loss`` is unknown, or if source data are missing, or given without use.

    References
    ----------
    .. [1] Bruzzone and Marconcini (2010). Domain adaptation problems: a DASVM classification
       technique and a circular validation strategy. IEEE TPAMI 32(5), section 4.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.linear_model import LogisticRegression
    >>> from skmtl.unsupervised import make_unsupervised_scorer
    >>> rng = np.random.default_rng(0)
    >>> X_source = rng.standard_normal((200, 2))
    >>> y_source = (X_source[:, 0] > 0) * 1
    >>> clf = LogisticRegression().fit(X_source[:100], y_source[:100])
    >>> held_out = {"X_source": X_source[100:], "y_source": y_source[100:]}
    >>> scorer = make_unsupervised_scorer("importance_weighted", **held_out)
    >>> scorer(clf, X_source[:50] + 0.5) > -0.1
    True
    """
    if kind not in KINDS:
        raise ValueError(f"kind must be one of {', '.join(KINDS)}. Got {kind!r} instead.")
    if loss not in ("zero_one", "log_loss"):
        raise ValueError(f"loss must be 'zero_one' or 'log_loss'. Got {loss!r} instead.")
    given = X_source is not None, y_source is not None
    if kind in WITH_SOURCE and not all(given):
        raise ValueError(f"kind={kind!r} needs X_source and y_source.")
    if kind not in WITH_SOURCE and any(given):
        raise ValueError(f"kind={kind!r} does not look at a source: leave out X_source, y_source.")
    weighting = resolve("source_weightings", weighting, "weighting")
    labels = None
    if kind in WITH_SOURCE:
        X_source, labels = _labelled(X_source, y_source)
    return _UnsupervisedScorer(kind, X_source, labels, weighting, loss, reverse, random_state)


class _UnsupervisedScorer:
    """What :func:`make_unsupervised_scorer` returns."""

    def __init__(self, kind, X_source, labels, weighting, loss, reverse, random_state):
        self.kind, self.X_source, self.labels = kind, X_source, labels
        self.weighting, self.loss = weighting, loss
        self.reverse, self.random_state = reverse, random_state

    def __repr__(self):
        return f"make_unsupervised_scorer({self.kind!r})"

    def __call__(self, estimator, X, y=None):
        if self.kind == "entropy":
            return entropy_score(estimator.predict_proba(X))
        if self.kind == "information":
            return information_score(estimator.predict_proba(X))
        if self.kind == "circular":
            return self._circular(estimator, X)
        risk = dev_risk if self.kind == "dev" else importance_weighted_risk
        return -risk(self._losses(estimator), self._weights(X))

    def _losses(self, estimator):
        """Of the source's rows."""
        if self.loss == "zero_one":
            return (estimator.predict(self.X_source) != self.labels).astype(float)
        proba, classes = estimator.predict_proba(self.X_source), np.asarray(estimator.classes_)
        picked = np.where(self.labels[:, None] == classes, proba, 0).sum(axis=1)
        return -np.log(np.clip(picked, np.finfo(proba.dtype).eps, None))  # as in scikit-learn

    def _weights(self, X):
        """Density ratio of the target's rows X and the source's, at the latter."""
        X = check_array(X, accept_sparse="csr", dtype=FLOATS)
        _check_same_columns(self.X_source, X)
        rng = np.random.default_rng(check_random_state(self.random_state).randint(2**31, size=4))
        codes = np.unique(self.labels, return_inverse=True)[1]
        return self.weighting.weigh(self.X_source, codes, X, None, rng)

    def _circular(self, estimator, X):
        """Accuracy on the source of what is learned from predictions for the target."""
        predicted = estimator.predict(X)
        if np.unique(predicted).size == 1:  # all that can be learned from them
            return float(np.mean(self.labels == predicted[0]))
        back = clone(estimator if self.reverse is None else self.reverse)
        last = back.steps[-1][1] if isinstance(back, Pipeline) else back
        if self.reverse is None and isinstance(last, TransferClassifier):
            last.set_params(**ALONE)
        back.fit(X, predicted)
        return float(np.mean(back.predict(self.X_source) == self.labels))


def _check_same_columns(X_source, X):
    if X.shape[1] != X_source.shape[1]:
        raise ValueError(
            f"X has {X.shape[1]} columns and X_source has {X_source.shape[1]}: where the rows lie "
            "cannot be compared."
        )


def _labelled(X_source, y_source):
    """The rows of the source that have a label, and the labels."""
    X = check_array(X_source, accept_sparse="csr", dtype=FLOATS, input_name="X_source")
    encoded = encode_labels(y_source)
    if not encoded.is_1d:
        raise ValueError(f"y_source must be 1-D. Got {encoded.codes.shape[1]} columns.")
    check_consistent_length(X, encoded.codes)
    codes = encoded.codes[:, 0]
    rows = np.flatnonzero(codes >= 0)
    if not rows.size:
        raise ValueError("y_source has no label.")
    return X[rows], encoded.classes[0][codes[rows]]


def _probabilities(proba):
    """Class probabilities as an array in double."""
    proba = check_array(proba, dtype=np.float64, input_name="proba")
    off = np.abs(proba.sum(axis=1) - 1).max()
    if (proba < 0).any() or off > 1e-4:
        raise ValueError(
            "proba must hold class probabilities: rows of numbers >= 0 that sum to 1. Got numbers "
            f"down to {proba.min()} and sums that are off by up to {off:.2g}."
        )
    return proba


def _entropy(proba):
    return 0.0 - xlogy(proba, proba).sum(axis=-1)


def _losses_and_weights(losses, weights):
    """Both as arrays in double."""
    losses, weights = (
        check_array(values, ensure_2d=False, dtype=np.float64, input_name=name)
        for values, name in ((losses, "losses"), (weights, "weights"))
    )
    if losses.ndim != 1 or losses.shape != weights.shape:
        raise ValueError(
            "losses and weights must be 1-D, with a number for each row. Got shapes "
            f"{losses.shape} and {weights.shape}."
        )
    if (weights < 0).any():
        raise ValueError(f"weights must be >= 0. Got {weights.min()}.")
    return losses, weights
