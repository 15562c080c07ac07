"""Weights by what the model makes of the rows, round by round."""

import numpy as np

from skmtl.plugins.base import SourceWeighting


class TrAdaBoost(SourceWeighting):
    r"""Rows that the model gets wrong lose weight, round by round, as in TrAdaBoost.

    .. math:: w_i \leftarrow w_i \beta^{e_i}, \quad \beta = \frac1{1 + \sqrt{2 \ln n / N}},

    with n rows of the source and N rounds, and :math:`e_i = 1` where the most probable class is
    not the label [1]_; of numbers :math:`e_i = |y_i - \hat y_i| / \max_j |y_j - \hat y_j|` [2]_.
    Every ``every`` epochs of one training the model of that moment is asked, in which ``lam`` says
    how much the target counts. The weights have a mean of 1 after each round, so that those of the
    target do not outgrow the source's: what corrections of TrAdaBoost are for [2]_ [3]_. The
    target's rows keep theirs.

    It helps where some of the source's labels are wrong by the target's rule, and the target has
    labels enough to say so. With a head of its own the source is judged by that head.

    Parameters
    ----------
    n_rounds : int, default=10
        N, at least 1.
    every : int, default=5
        Epochs before each round, at least 1.

    References
    ----------
    .. [1] Dai, Yang, Xue and Yu (2007). Boosting for transfer learning. ICML, figure 1.
    .. [2] Pardoe and Stone (2010). Boosting for regression transfer. ICML, algorithm 3.
    .. [3] Al-Stouhi and Reddy (2011). Adaptive boosting for transfer learning using dynamic
       updates. ECML PKDD, section 3.

    Examples
    --------
    >>> import numpy as np
    >>> from skmtl.plugins.source_weightings import TrAdaBoost
    >>> proba = np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]])
    >>> TrAdaBoost(n_rounds=2).reweigh(np.ones(3), np.array([0, 1, 1]), proba, 0).round(2)
    array([1.  , 1.  , 0.49])
    """

    reads_rows = False

    def __init__(self, n_rounds=10, every=5):
        self.n_rounds = n_rounds
        self.every = every

    def hyper(self):
        """Check the numbers."""
        self._check_count("n_rounds", low=1)
        self._check_count("every", low=1)
        return [float(self.every), float(self.n_rounds)]

    def weigh(self, X_source, y_source, X_target, y_target, rng):
        """Start with equal weights."""
        self.hyper()
        return np.ones(X_source.shape[0])

    def reweigh(self, weights, y_source, predicted, round):
        """w_i beta^e_i."""
        if predicted.ndim == 2:
            error = (predicted.argmax(axis=1) != y_source).astype(float)
        else:
            error = np.abs(predicted - y_source)
            error /= max(error.max(), np.finfo(float).tiny)
        beta = 1 / (1 + np.sqrt(2 * np.log(weights.size) / self.n_rounds))
        return weights * beta**error
