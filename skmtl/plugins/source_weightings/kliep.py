"""Density ratio with Gaussian kernels, by maximum likelihood."""

from numbers import Integral

import numpy as np
from scipy.optimize import minimize
from scipy.special import logsumexp

from skmtl.plugins.base import SourceWeighting
from skmtl.plugins.source_weightings.kernels import median_distance, some_rows, squared_distances

#: Widths that are tried, in median distances between source and target.
WIDTHS = (0.1, 0.2, 0.5, 1.0, 2.0)
N_FOLDS = 5


class KLIEP(SourceWeighting):
    r"""Kullback-Leibler importance estimation: the density ratio as a sum of Gaussian kernels.

    .. math::

        w(x) = \sum_l \alpha_l \exp\Bigl(-\frac{\|x - c_l\|^2}{2 \sigma^2}\Bigr), \quad
        \max_{\alpha \ge 0} \frac1{n_t} \sum_j \log w(x_j^t)
        \quad \text{where} \quad \frac1{n_s} \sum_i w(x_i^s) = 1,

    with centres c among the target's rows. This is a concave problem [1]_. With
    :math:`\beta_l = \alpha_l b_l`, b the means of the kernels over the source, the constraint says
    that beta sums to 1. It is met by itself at the maximum of
    :math:`\frac1{n_t} \sum_j \log w(x_j^t) - \sum_l \beta_l`, since w is linear in beta; that is
    left to L-BFGS-B. The width is the one of the highest likelihood in five-fold cross-validation
    over the target's rows [1]_, of 0.1, 0.2, 0.5, 1 and 2 median distances between source and
    target. One width serves all columns: scale them first.

    Parameters
    ----------
    n_centers : int, default=100
        Centres, drawn from the target's rows.
    width : float or None, default=None
        :math:`\sigma`; None: by cross-validation.

    References
    ----------
    .. [1] Sugiyama, Suzuki, Nakajima, Kashima, von Buenau and Kawanabe (2008). Direct importance
       estimation for covariate shift adaptation. Annals of the Institute of Statistical
       Mathematics 60(4), sections 2 and 3.

    Examples
    --------
    >>> import numpy as np
    >>> from skmtl.plugins.source_weightings import KLIEP
    >>> rng = np.random.default_rng(0)
    >>> X_source, X_target = rng.standard_normal((300, 1)), 0.5 * rng.standard_normal((200, 1))
    >>> w = KLIEP().weigh(X_source, None, X_target, None, rng)
    >>> bool(np.isclose(w.mean(), 1)), bool(w[np.abs(X_source.ravel()) > 2].max() < 0.1)
    (True, True)
    """

    def __init__(self, n_centers=100, width=None):
        self.n_centers = n_centers
        self.width = width

    def hyper(self):
        """Check the numbers."""
        if not isinstance(self.n_centers, Integral) or self.n_centers < 1:
            raise ValueError(
                "The 'n_centers' parameter of KLIEP must be an int >= 1. Got "
                f"{self.n_centers!r} instead."
            )
        if self.width is not None:
            self._check_number("width", closed="neither")
        return []

    def weigh(self, X_source, y_source, X_target, y_target, rng):
        """w(x) at the source's rows."""
        self.hyper()
        centres = X_target[some_rows(X_target, self.n_centers, rng)]
        of_source, of_target = (squared_distances(X, centres) for X in (X_source, X_target))
        width = self.width
        if width is None:
            width = median_distance(X_source, X_target, rng)
            if X_target.shape[0] >= N_FOLDS:
                folds = rng.permutation(np.arange(X_target.shape[0]) % N_FOLDS)
                widths = width * np.array(WIDTHS)
                scores = [_held_out_likelihood(of_source, of_target, w, folds) for w in widths]
                width = widths[int(np.argmax(scores))]
        beta = fit_mixture(_log_basis(of_source, of_target, width))
        return np.exp(_log_basis(of_source, of_source, width)) @ beta


def _log_basis(of_source, of_rows, width):
    """log(k(x, c_l) / b_l) for some rows x, from squared distances to the centres."""
    log_kernel = -of_source / (2 * width**2)
    log_mean = logsumexp(log_kernel, axis=0) - np.log(of_source.shape[0])
    return -of_rows / (2 * width**2) - log_mean


def _held_out_likelihood(of_source, of_target, width, folds):
    """Mean log w of the target's rows, each held out once."""
    log_basis, total = _log_basis(of_source, of_target, width), 0.0
    for fold in range(N_FOLDS):
        beta = fit_mixture(log_basis[folds != fold])
        with np.errstate(divide="ignore"):
            total += logsumexp(log_basis[folds == fold] + np.log(beta), axis=1).sum()
    return total / folds.size


def fit_mixture(log_basis):
    """Weights beta >= 0 that sum to 1 and maximise the mean of log(exp(log_basis) @ beta).

    Parameters
    ----------
    log_basis : ndarray of shape (n_rows, n_parts)

    Returns
    -------
    ndarray of shape (n_parts,)
    """
    n_rows, n_parts = log_basis.shape
    # The factor of a row only adds to the objective. Now each row has a 1.
    basis = np.exp(log_basis - log_basis.max(axis=1, keepdims=True))

    def value_grad(beta):
        mixed = basis @ beta + 1e-12  # L-BFGS-B may try beta of zero there
        return beta.sum() - np.log(mixed).mean(), 1 - (1 / mixed) @ basis / n_rows

    result = minimize(
        value_grad,
        np.full(n_parts, 1 / n_parts),
        jac=True,
        method="L-BFGS-B",
        bounds=[(0, None)] * n_parts,
        options={"maxiter": 500, "gtol": 1e-6, "ftol": 1e-12},
    )
    return result.x / result.x.sum()
