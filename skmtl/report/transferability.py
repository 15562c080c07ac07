"""How well a source's features and predictions suit a target, without training on the target."""

from numbers import Integral

import numpy as np
from scipy import sparse
from sklearn.covariance import ledoit_wolf
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import check_array, column_or_1d
from sklearn.utils.validation import check_consistent_length

from skmtl.rows import stacked
from skmtl.tasks import encode_labels

__all__ = ["h_score", "leep", "log_me", "proxy_a_distance"]

MAX_ITER = 1000
TOL = 1e-10  # of the log evidence per row


def log_me(features, y, *, regression="auto"):
    r"""Log of maximum evidence: how well a Bayesian linear model on the features explains y.

    With rows :math:`F \in R^{n \times d}` of features, weights :math:`w \sim N(0, I / \alpha)` and
    targets :math:`y \sim N(F w, I / \beta)`,

    .. math::
        \frac1n \max_{\alpha, \beta} \log p(y \mid F, \alpha, \beta) = \frac1n \max_{\alpha, \beta}
        \Big( \frac n2 \log \beta + \frac d2 \log \alpha - \frac n2 \log 2 \pi
        - \frac \beta 2 \|F m - y\|^2 - \frac \alpha 2 \|m\|^2 - \frac12 \log |A| \Big)

    with :math:`A = \alpha I + \beta F^T F` and :math:`m = \beta A^{-1} F^T y`. For classes it is
    the mean over the classes' indicators as y.

    Parameters
    ----------
    features : array-like of shape (n_samples, n_features)
        The target's rows as a network trained on the source sees them. They are taken as they
        are; there is no intercept.
    y : array-like of shape (n_samples,)
        The target's labels, or numbers.
    regression : bool or "auto", default="auto"
        Whether y holds numbers; "auto": if some have a fractional part.

    Returns
    -------
    float
        In nats per row; higher is better. Infinite if fewer independent features than rows give y
        without any error.

    Raises
    ------
    ValueError
        If labels are missing, or if `regression` is none of the three.

    Notes
    -----
    The maximum is found by the fixed point of MacKay, as in [1]_, in the singular vectors of F and
    with :math:`t = \alpha / \beta` alone [2]_: :math:`\gamma = \sum_i s_i^2 / (s_i^2 + t)`,
    :math:`t \leftarrow \gamma \|F m - y\|^2 / ((n - \gamma) \|m\|^2)`. It does not change when
    features are rotated, or all of them scaled.

    References
    ----------
    .. [1] You, Liu, Wang and Long (2021). LogME: practical assessment of pre-trained models for
       transfer learning. ICML, algorithm 1.
    .. [2] You, Liu, Zhang, Wang, Jordan and Long (2022). Ranking and tuning pre-trained models: a
       new paradigm for exploiting model hubs. JMLR 23.

    Examples
    --------
    >>> import numpy as np
    >>> from skmtl.report import log_me
    >>> y = np.arange(40) % 2
    >>> noise = np.random.default_rng(0).normal(size=(40, 3))
    >>> bool(log_me(noise + y[:, np.newaxis], y) > log_me(noise, y))
    True
    """
    if regression not in (True, False, "auto"):
        raise ValueError(f"regression must be True, False or 'auto', got {regression!r}")
    F = check_array(features, dtype=np.float64, input_name="features")
    if regression == "auto":
        values = np.asarray(y)
        regression = values.dtype.kind == "f" and bool(np.any(values[np.isfinite(values)] % 1 != 0))
    if regression:
        columns = check_array(column_or_1d(y), dtype=np.float64, ensure_2d=False, input_name="y")
        columns = columns[np.newaxis]
    else:
        codes, classes = _codes(y)
        columns = (codes == np.arange(len(classes))[:, np.newaxis]).astype(np.float64)
    check_consistent_length(F, columns.T)
    U, s, _ = np.linalg.svd(F, full_matrices=False)
    rank = np.sum(s > s[0] * max(F.shape) * np.finfo(s.dtype).eps)
    return float(np.mean([_evidence(U[:, :rank], s[:rank] ** 2, column) for column in columns]))


def _evidence(U, s2, y):
    """Largest log evidence per row; U has the left singular vectors, s2 the squared values."""
    n = len(y)
    z2 = (U.T @ y) ** 2
    outside = np.sum((y - U @ (U.T @ y)) ** 2) if len(s2) < n else 0.0
    exact = len(s2) < n and outside <= (n * np.finfo(y.dtype).eps) ** 2 * (y @ y)
    if exact or not y.any():
        return np.inf  # at beta = infinity
    t, best = 1.0, -np.inf
    for _ in range(MAX_ITER):
        # With beta at its best, n / quadratic, where the covariance of y is (I + F F' / t) / beta.
        quadratic = np.sum(z2 * t / (t + s2)) + outside
        value = -0.5 * (np.log(2 * np.pi * quadratic / n) + 1 + np.sum(np.log1p(s2 / t)) / n)
        if not value > best + TOL:
            break
        best = value
        gamma = np.sum(s2 / (t + s2))
        error = np.sum(z2 * (t / (t + s2)) ** 2) + outside
        norm2 = np.sum(z2 * s2 / (t + s2) ** 2)
        if norm2 == 0:  # the features say nothing: t = infinity
            return -0.5 * (np.log(2 * np.pi * (z2.sum() + outside) / n) + 1)
        t = gamma * error / ((n - gamma) * norm2)
    return best


def leep(source_proba, y):
    r"""Log expected empirical prediction: what a source's class probabilities tell about y.

    .. math::
        \frac1n \sum_i \log \sum_z \hat P(y_i \mid z)\, \theta_z(x_i), \qquad
        \hat P(y, z) = \frac1n \sum_{i: y_i = y} \theta_z(x_i)

    with :math:`\theta_z(x_i)` the source model's probability of its class z for the target's
    row i, and :math:`\hat P(y | z) = \hat P(y, z) / \sum_y \hat P(y, z)`.

    Parameters
    ----------
    source_proba : array-like of shape (n_samples, n_source_classes)
        ``predict_proba`` of a source model on the target's rows.
    y : array-like of shape (n_samples,)
        The target's labels.

    Returns
    -------
    float
        In nats per row, at most 0; higher is better.

    Raises
    ------
    ValueError
        If rows are no probabilities, or if labels are missing.

    References
    ----------
    .. [1] Nguyen, Hassner, Seeger and Archambeau (2020). LEEP: a new measure to evaluate
       transferability of learned representations. ICML, equations 1 and 2.

    Examples
    --------
    >>> import numpy as np
    >>> from skmtl.report import leep
    >>> y = ["cat", "dog", "dog"]
    >>> leep([[1, 0], [0, 1], [0, 1]], y), round(leep([[0.5, 0.5]] * 3, y), 4)
    (0.0, -0.6365)
    """
    theta = check_array(source_proba, dtype=np.float64, input_name="source_proba")
    codes, classes = _codes(y)
    check_consistent_length(theta, codes)
    total = theta.sum(axis=1)
    worst = np.argmax(np.abs(total - 1))
    if theta.min() < 0 or abs(total[worst] - 1) > 1e-3:
        raise ValueError(
            "source_proba must hold probabilities, >= 0 and with rows that sum to 1; the least is "
            f"{theta.min():g}, and row {worst} sums to {total[worst]:g}"
        )
    joint = np.stack([theta[codes == c].sum(axis=0) for c in range(len(classes))])
    given_z = joint / np.maximum(joint.sum(axis=0), np.finfo(theta.dtype).tiny)
    return float(np.mean(np.log(np.sum(given_z[codes] * theta, axis=1))))


def h_score(features, y, *, shrinkage=False):
    r"""H-score: how far the classes lie apart, against the spread of all rows.

    .. math::
        H = \mathrm{tr}\big( \mathrm{cov}(f)^{-1}\, \mathrm{cov}(E[f \mid y]) \big)

    and with shrinkage, with :math:`\delta` the intensity of Ledoit and Wolf,

    .. math::
        H_\delta = \mathrm{tr}\big( \Sigma_\delta^{-1} (1 - \delta)\, \mathrm{cov}(E[f \mid y])
        \big), \quad \Sigma_\delta = (1 - \delta)\, \mathrm{cov}(f)
        + \delta\, \frac{\mathrm{tr}\, \mathrm{cov}(f)}{d} I

    Parameters
    ----------
    features : array-like of shape (n_samples, n_features)
        The target's rows as a network trained on the source sees them.
    y : array-like of shape (n_samples,)
        The target's labels.
    shrinkage : bool, default=False
        Whether to shrink the covariance. Without, as many independent features as rows give the
        highest score whatever the labels.

    Returns
    -------
    float
        From 0 to ``min(n_features, n_classes - 1)``; higher is better.

    Raises
    ------
    ValueError
        If labels are missing.

    Notes
    -----
    Without shrinkage it does not change under any invertible affine map of the features (for a
    singular covariance the pseudo-inverse is taken); with shrinkage under rotation, translation
    and scaling of all features alike.

    References
    ----------
    .. [1] Bao, Li, Huang, Zhang, Zheng, Zamir and Guibas (2019). An information-theoretic approach
       to transferability in task transfer learning. ICIP, definition 2.
    .. [2] Ibrahim, Ponomareva and Mazumder (2022). Newer is not always better: rethinking
       transferability metrics, their peculiarities, stability and performance. ECML PKDD.

    Examples
    --------
    >>> from skmtl.report import h_score
    >>> round(h_score([[0.0], [0.1], [0.9], [1.0]], ["a", "a", "b", "b"]), 4)
    0.9878
    """
    F = check_array(features, dtype=np.float64, input_name="features")
    codes, classes = _codes(y)
    check_consistent_length(F, codes)
    F = F - F.mean(axis=0)
    if not shrinkage:
        # In the left singular vectors the covariance of the rows is I / n.
        U, s, _ = np.linalg.svd(F, full_matrices=False)
        F = U[:, s > s[0] * max(F.shape) * np.finfo(s.dtype).eps]
    n_rows = np.bincount(codes)
    means = np.stack([F[codes == c].mean(axis=0) for c in range(len(classes))])
    if not shrinkage:
        return float(n_rows @ np.sum(means**2, axis=1))
    if not F.any():
        return 0.0
    covariance, delta = ledoit_wolf(F, assume_centered=True)
    between = (means.T * n_rows) @ means / len(F)
    return float((1 - delta) * np.trace(np.linalg.solve(covariance, between)))


def proxy_a_distance(X_source, X, cv=5, random_state=None):
    r"""Proxy A-distance: how easily a linear classifier tells source from target.

    .. math:: \hat d_A = \max(0, 2 (1 - 2 \epsilon))

    with :math:`\epsilon` the error of a logistic regression in cross-validation, on standardised
    columns. So that the sizes of the two do not matter, both weigh the same: :math:`\epsilon` is
    the mean of the two error rates, and so are the weights in training.

    Parameters
    ----------
    X_source : {array-like, sparse matrix} of shape (n_source_samples, n_features)
        Rows of the source, in the target's columns; with a feature map, mapped.
    X : {array-like, sparse matrix} of shape (n_samples, n_features)
        Rows of the target.
    cv : int, default=5
        Number of folds.
    random_state : int, RandomState instance or None, default=None
        Determines the folds.

    Returns
    -------
    float
        From 0, where nothing tells them apart, to 2, where everything does.

    Raises
    ------
    ValueError
        If the numbers of columns differ, or if one of them has fewer rows than there are folds.

    References
    ----------
    .. [1] Ben-David, Blitzer, Crammer and Pereira (2007). Analysis of representations for domain
       adaptation. NIPS 19, section 5.

    Examples
    --------
    >>> import numpy as np
    >>> from skmtl.report import proxy_a_distance
    >>> X = np.random.default_rng(0).normal(size=(60, 2))
    >>> proxy_a_distance(X + 100, X, random_state=0)
    2.0
    """
    X_source = check_array(X_source, accept_sparse="csr", input_name="X_source")
    X = check_array(X, accept_sparse="csr", input_name="X")
    if X_source.shape[1] != X.shape[1]:
        raise ValueError(
            f"X_source has {X_source.shape[1]} columns and X has {X.shape[1]}: map the source to "
            "the target's columns first"
        )
    sizes = X_source.shape[0], X.shape[0]
    if not isinstance(cv, Integral) or not 2 <= cv <= min(sizes):
        raise ValueError(
            f"cv={cv!r} must be an integer from 2 to the rows of the smaller data set; there are "
            f"{sizes[0]} rows of the source and {sizes[1]} of the target"
        )
    either = sparse.issparse(X_source) or sparse.issparse(X)
    rows = stacked([X_source, X])
    classifier = make_pipeline(
        StandardScaler(with_mean=not either),
        LogisticRegression(class_weight="balanced", max_iter=1000),
    )
    folds = StratifiedKFold(cv, shuffle=True, random_state=random_state)
    accuracy = cross_val_score(
        classifier,
        rows,
        np.repeat([0, 1], sizes),
        cv=folds,
        scoring="balanced_accuracy",
        params={},  # with routing on, scikit-learn 1.6 cannot do with None
    )
    return float(max(0.0, 4 * accuracy.mean() - 2))


def _codes(y):
    """Class codes of 1-D labels, none missing, and the classes."""
    labels = encode_labels(y)
    if not labels.is_1d:
        raise ValueError(f"y must be 1-D, got {labels.codes.shape[1]} columns")
    codes = labels.codes[:, 0]
    if codes.min() < 0:
        raise ValueError(f"y has no label in {np.sum(codes < 0)} rows: leave them out")
    return codes, labels.classes[0]
