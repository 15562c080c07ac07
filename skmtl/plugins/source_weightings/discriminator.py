"""Density ratio from a classifier that tells source from target."""

import numpy as np
from scipy.sparse import issparse, vstack

from skmtl.plugins.base import SourceWeighting


class DiscriminatorRatio(SourceWeighting):
    r"""Density ratio of target and source by logistic regression.

    .. math:: w_i = \min\Bigl(\frac{p(t \mid x_i)}{p(s \mid x_i)} \frac{n_s}{n_t}, w_{\max}\Bigr)

    By Bayes' rule that is the ratio of the densities of x in target and source [1]_. p comes from
    an L2-regularised logistic regression on the columns, each divided by its standard deviation
    over all rows: exact for two Gaussians of one covariance, else as good as a linear logit is. It
    costs little, also with many columns or sparse rows; with more columns than rows lower ``C``,
    or the two can be told apart row by row.

    Parameters
    ----------
    C : float, default=1.0
        Inverse strength of the regularisation, see
        :class:`sklearn.linear_model.LogisticRegression`.
    max_weight : float, default=20.0
        :math:`w_{\max}`, which bounds what a few rows can do to the variance of the loss.

    References
    ----------
    .. [1] Bickel, Brueckner and Scheffer (2009). Discriminative learning under covariate shift.
       JMLR 10, section 4.

    Examples
    --------
    >>> import numpy as np
    >>> from skmtl.plugins.source_weightings import DiscriminatorRatio
    >>> rng = np.random.default_rng(0)
    >>> X_source, X_target = rng.standard_normal((500, 1)), rng.standard_normal((500, 1)) + 1
    >>> w = DiscriminatorRatio().weigh(X_source, None, X_target, None, rng)
    >>> bool(abs(np.corrcoef(np.log(w), X_source.ravel())[0, 1]) > 0.99)
    True
    """

    def __init__(self, C=1.0, max_weight=20.0):
        self.C = C
        self.max_weight = max_weight

    def hyper(self):
        """Check the numbers."""
        self._check_number("C", closed="neither")
        self._check_number("max_weight", low=1, closed="neither")
        return [float(self.C), float(self.max_weight)]

    def weigh(self, X_source, y_source, X_target, y_target, rng):
        """w_i = min(exp(logit_i) n_s / n_t, w_max)."""
        from sklearn.linear_model import LogisticRegression  # takes a tenth of a second
        from sklearn.preprocessing import StandardScaler

        self.hyper()
        n_source, n_target = X_source.shape[0], X_target.shape[0]
        if issparse(X_source) or issparse(X_target):
            X = vstack([X_source, X_target], format="csr", dtype=np.float64)
        else:
            X = np.vstack([X_source, X_target]).astype(np.float64)
        X = StandardScaler(with_mean=not issparse(X)).fit_transform(X)
        is_target = np.arange(n_source + n_target) >= n_source
        model = LogisticRegression(C=self.C, max_iter=1000).fit(X, is_target)
        logit = model.decision_function(X[:n_source])
        log_ratio = logit + np.log(n_source / n_target)
        return np.exp(np.minimum(log_ratio, np.log(self.max_weight)))
