"""SelfTraining: a transfer that also learns from rows of the target without labels."""

from numbers import Integral, Real

import numpy as np
from scipy.optimize import minimize
from scipy.special import logsumexp, softmax
from sklearn.base import BaseEstimator, ClassifierMixin, MetaEstimatorMixin, clone
from sklearn.utils.validation import (
    check_array,
    check_consistent_length,
    check_is_fitted,
)

from skmtl._compat import Interval, StrOptions, check_sample_weight, fit_context
from skmtl.rows import stacked, validate_rows
from skmtl.tasks import encode_labels, observed
from skmtl.transfer_classifier import TransferClassifier

__all__ = ["SelfTraining", "label_by_share"]


class SelfTraining(MetaEstimatorMixin, ClassifierMixin, BaseEstimator):
    r"""A transfer that labels the unlabelled rows of its target itself, and learns from them too.

    First the estimator learns from the labels that there are, with the help of the source. Then, in
    rounds, it labels all other rows of the target, and learns anew from both:

    .. math:: L_t = \frac{L_{labelled} + w L_{unlabelled}}{1 + w}

    until the labels stay as they are. This is classification EM with a discriminative model [1]_;
    :math:`w` is the weight that unlabelled rows have in [2]_. The rounds keep the shares of the
    classes, as transductive support vector machines do [3]_: else they may end with one class for
    nearly all.

    It is for rows that fall into groups by class, as texts by subject do, and for labels of rows
    that were drawn at random from the target. Where the shares are known, say so in
    ``class_shares``: with few labels that is worth much. Where an equal number was drawn from each
    class, but the target does not have equal shares of them, it is needed: wrong shares do harm.
    Then have the estimator weigh classes alike too, with ``class_weight="balanced"``.

    Parameters
    ----------
    estimator : TransferClassifier
        What learns, of any ``strategy`` but "source_only". With ``early_stopping=True`` it watches
        rows of which most have labels of its own.
    max_rounds : int, default=5
        How often the unlabelled rows are labelled and learned from, at most.
    unlabeled_weight : float, default=1.0
        :math:`w`, the weight of all unlabelled rows together against all labelled ones.
    class_shares : "labelled", array-like of shape (n_classes,) or None, default="labelled"
        The shares of the classes among the unlabelled rows: within one standard error of those
        among the labelled ones, counted by ``sample_weight``; or numbers that sum to 1, in the
        order of ``classes_``; or, with None, whatever the model predicts.

    Attributes
    ----------
    estimator_ : TransferClassifier
        As it was fitted in the last round.
    classes_ : ndarray of shape (n_classes,)
        The labels that ``predict`` may give.
    transduction_ : ndarray of shape (n_samples + n_unlabeled,)
        The labels that the last round learned from, of the rows of X and of ``X_unlabeled``.
    n_rounds_ : int
        Rounds run; 0 where there was no unlabelled row.
    n_features_in_ : int
        Columns of X.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the columns of X, if it had names that are strings.

    See Also
    --------
    TransferClassifier : What is fitted in each round; an alignment as its ``map_penalty`` reads
        unlabelled rows as well.
    sklearn.semi_supervised.SelfTrainingClassifier : Labels the surest rows, for good, whatever
        their classes' shares are.

    References
    ----------
    .. [1] Amini and Gallinari (2002). Semi-supervised logistic regression. ECAI, section 3.
    .. [2] Nigam, McCallum, Thrun and Mitchell (2000). Text classification from labeled and
       unlabeled documents using EM. Machine Learning 39, section 5.1.
    .. [3] Joachims (1999). Transductive inference for text classification using support vector
       machines. ICML, section 4.

    Examples
    --------
    >>> import numpy as np
    >>> from skmtl import SelfTraining, TransferClassifier, as_source
    >>> rng = np.random.default_rng(0)
    >>> y = np.arange(400) % 2
    >>> X = rng.standard_normal((400, 60)) + np.where(y, 0.3, -0.3)[:, None]
    >>> X_source, y_source = X[:50] * np.repeat([1, -1], 30), y[:50]  # half of the columns mislead
    >>> few, source = slice(50, 58), as_source(X_source, y_source)
    >>> linear = TransferClassifier((), solver="lbfgs", alpha=0.1, max_iter=1000, random_state=0)
    >>> both = SelfTraining(linear, class_shares=[0.5, 0.5])
    >>> both = both.fit(X[few], y[few], X_unlabeled=X[58:200], **source)
    >>> alone = linear.fit(X[few], y[few], **source)
    >>> both.score(X[200:], y[200:]) > alone.score(X[200:], y[200:]) + 0.05
    True
    """

    __metadata_request__fit = {"X_source": True, "y_source": True, "X_unlabeled": True}

    _parameter_constraints = {
        "estimator": [TransferClassifier],
        "max_rounds": [Interval(Integral, 1, None, closed="left")],
        "unlabeled_weight": [Interval(Real, 0, None, closed="neither")],
        "class_shares": [StrOptions({"labelled"}), "array-like", None],
    }

    def __init__(self, estimator, *, max_rounds=5, unlabeled_weight=1.0, class_shares="labelled"):
        self.estimator = estimator
        self.max_rounds = max_rounds
        self.unlabeled_weight = unlabeled_weight
        self.class_shares = class_shares

    def __sklearn_tags__(self):
        """Those of the estimator, as to rows and labels."""
        tags = super().__sklearn_tags__()
        inner = self.estimator.__sklearn_tags__()
        tags.input_tags, tags.target_tags = inner.input_tags, inner.target_tags
        tags.non_deterministic = inner.non_deterministic
        return tags

    @fit_context(prefer_skip_nested_validation=False)
    def fit(self, X, y, sample_weight=None, *, X_source=None, y_source=None, X_unlabeled=None):
        """Learn the target task.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows of the target.
        y : array-like of shape (n_samples,)
            Their labels; rows without are unlabelled.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows of X.
        X_source : array-like or tuple of array-like, default=None
            Rows of the source, or of several. Use :func:`as_source`.
        y_source : array-like or tuple of array-like, default=None
            Their labels.
        X_unlabeled : {array-like, sparse matrix} of shape (n_unlabeled, n_features), default=None
            More rows of the target without labels, which never enter a test fold. They weigh 1.

        Returns
        -------
        SelfTraining
            Itself, fitted.

        Raises
        ------
        ValueError
            If arguments do not fit together, or as the estimator does.
        """
        if self.estimator.strategy == "source_only":
            raise ValueError(
                "strategy='source_only' learns nothing from rows of the target: use 'joint', "
                "'finetune', 'pooled' or 'target_only'."
            )
        X = validate_rows(self, X, reset=True)
        labels = encode_labels(y, missing_label=self.estimator.missing_label, estimator=self)
        check_consistent_length(X, labels.codes)
        model = clone(self.estimator)
        source = {"X_source": X_source, "y_source": y_source}
        n_more = 0
        if X_unlabeled is not None:
            X_unlabeled = validate_rows(self, X_unlabeled)
            n_more = X_unlabeled.shape[0]
        unlabelled = np.ones(X.shape[0] + n_more, bool)
        unlabelled[: X.shape[0]] = ~observed(labels.codes).all(axis=1)
        weight = np.ones(unlabelled.size)
        weight[: X.shape[0]] = check_sample_weight(sample_weight, X)
        learns = labels.is_1d and not unlabelled.all() and weight[unlabelled].any()
        if not learns:  # nothing more to learn from, or what the estimator has an error for
            self.estimator_ = model.fit(X, y, sample_weight, **source)
            self.transduction_, self.n_rounds_ = np.array(y), 0
            self.classes_ = self.estimator_.classes_
            return self
        codes = np.append(labels.codes[:, 0], np.full(n_more, -1))
        self._learn_in_rounds(
            model,
            X if X_unlabeled is None else stacked([X, X_unlabeled]),
            np.where(unlabelled, None, labels.classes[0].astype(object)[codes]),
            weight,
            unlabelled,
            source,
        )
        return self

    def _learn_in_rounds(self, model, X, y, weight, unlabelled, source):
        """Fit the model with what it predicts itself in the holes of y; sets what it comes to."""
        model.fit(X, y, weight, **source)
        shares = self._shares(model.classes_, y[~unlabelled], weight[~unlabelled])
        ratio = self.unlabeled_weight * weight[~unlabelled].sum() / weight[unlabelled].sum()
        weight = np.where(unlabelled, ratio * weight, weight)
        before, n_rounds = None, 0
        while n_rounds < self.max_rounds:
            proba = model.predict_proba(X[unlabelled])
            codes = proba.argmax(axis=1) if shares is None else label_by_share(proba, *shares)
            if before is not None and (codes == before).all():
                break
            y[unlabelled] = model.classes_[codes]
            model.fit(X, y, weight, **source)
            before = codes
            n_rounds += 1
        self.estimator_, self.classes_, self.n_rounds_ = model, model.classes_, n_rounds
        self.transduction_ = y.astype(model.classes_.dtype)

    def _shares(self, classes, y, weight):
        """Shares of the classes among the rows without labels, and their errors; None: any."""
        if self.class_shares is None:
            return None
        if isinstance(self.class_shares, str):
            shares = np.array([weight[y == label].sum() for label in classes]) / weight.sum()
            n_labels = weight.sum() ** 2 / (weight**2).sum()  # Kish's effective sample size
            return shares, np.sqrt(shares * (1 - shares) / n_labels)
        shares = check_array(
            self.class_shares, dtype=np.float64, ensure_2d=False, input_name="class_shares"
        )
        if shares.shape != classes.shape or (shares < 0).any() or not np.isclose(shares.sum(), 1):
            raise ValueError(
                f"class_shares must be {classes.size} numbers >= 0 that sum to 1, one for each of "
                f"the classes {classes.tolist()}. Got {self.class_shares!r}."
            )
        return shares, np.zeros_like(shares)

    def predict(self, X):
        """Give the most probable label.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows of the target.

        Returns
        -------
        ndarray of shape (n_samples,)
            The labels.
        """
        check_is_fitted(self)
        return self.estimator_.predict(validate_rows(self, X))

    def predict_proba(self, X):
        """Give class probabilities.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows of the target.

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            Columns in the order of ``classes_``.
        """
        check_is_fitted(self)
        return self.estimator_.predict_proba(validate_rows(self, X))


def label_by_share(proba, shares, slack=None):
    r"""Label rows such that classes have given shares, each row as probably as that allows.

    That is a transport problem: :math:`\max \sum_i \log p_{i, c_i}` with a share of rows for each
    class. Its solution is :math:`c_i = \arg\max_k \log p_{ik} + b_k`, for two classes a threshold
    that is not 1/2. The offsets b minimise the dual, where shares s may be off by e,

    .. math:: \frac1n \sum_i \max_k (\log p_{ik} + b_k) - \sum_k s_k b_k + \sum_k e_k |b_k|

    whose max and absolute values are smoothed here, less and less.

    Parameters
    ----------
    proba : ndarray of shape (n_samples, n_classes)
        Probabilities of the classes.
    shares : ndarray of shape (n_classes,)
        The shares, >= 0, of sum 1; a class of share 0 gets no row.
    slack : ndarray of shape (n_classes,), default=None
        By how much shares may differ from these, >= 0; None: by nothing.

    Returns
    -------
    ndarray of shape (n_samples,), int
        Columns of ``proba``.

    Examples
    --------
    >>> import numpy as np
    >>> from skmtl.self_training import label_by_share
    >>> proba = np.array([[0.9, 0.1], [0.8, 0.2], [0.7, 0.3], [0.6, 0.4]])
    >>> label_by_share(proba, np.array([0.5, 0.5]))
    array([0, 0, 1, 1])
    """
    columns = np.flatnonzero(shares)
    slack = np.zeros(columns.size) if slack is None else slack[columns]
    shares = shares[columns]
    z = np.log(np.maximum(proba[:, columns], np.finfo(np.float64).tiny))
    z -= z.mean(axis=1, keepdims=True)
    z /= z.std() or 1.0  # the smoothing is relative to it
    offsets = np.zeros(columns.size)

    def dual(b, width):
        a, size = (z + b) / width, np.hypot(b, 0.1 * width)
        value = width * logsumexp(a, axis=1).mean() - shares @ b + slack @ size
        return value, softmax(a, axis=1).mean(axis=0) - shares + slack * b / size

    for width in (1.0, 0.1, 0.01):
        offsets = minimize(dual, offsets, args=(width,), jac=True, method="L-BFGS-B").x
    return columns[(z + offsets).argmax(axis=1)]
