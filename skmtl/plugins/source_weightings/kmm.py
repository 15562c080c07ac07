"""Weights that match the mean of the target in the space of a kernel."""

from numbers import Integral

import numpy as np
from scipy.optimize import brentq

from skmtl.plugins.base import SourceWeighting
from skmtl.plugins.source_weightings.kernels import median_distance, squared_distances


class KMM(SourceWeighting):
    r"""Kernel mean matching.

    .. math::

        \min_w \Bigl\| \frac1{n_s} \sum_i w_i \phi(x_i^s) - \frac1{n_t} \sum_j \phi(x_j^t) \Bigr\|^2
        \quad \text{where} \quad 0 \le w_i \le w_{\max}, \quad
        \Bigl| \frac1{n_s} \sum_i w_i - 1 \Bigr| \le \epsilon,

    with phi the features of the Gaussian kernel :math:`\exp(-\|x - z\|^2 / (2 \sigma^2))` and
    :math:`\epsilon = (\sqrt{n_s} - 1) / \sqrt{n_s}` [1]_. It weighs the rows at hand, without a
    model of the density ratio. The quadratic program is solved by accelerated projected gradients
    with restarts [2]_. It takes the square of the source's rows in memory, so of more than
    ``block_size`` random blocks are matched to the target one by one [3]_. One width serves all
    columns: scale them first.

    Parameters
    ----------
    width : float or None, default=None
        :math:`\sigma`; None: the median distance between source and target.
    max_weight : float, default=20.0
        :math:`w_{\max}`.
    block_size : int, default=1000
        Rows of the source that are matched at once, at most.

    References
    ----------
    .. [1] Huang, Smola, Gretton, Borgwardt and Schoelkopf (2006). Correcting sample selection bias
       by unlabeled data. NIPS, section 3.
    .. [2] O'Donoghue and Candes (2015). Adaptive restart for accelerated gradient schemes.
       Foundations of Computational Mathematics 15.
    .. [3] Miao, Farahat and Kamel (2015). Ensemble kernel mean matching. ICDM.

    Examples
    --------
    >>> import numpy as np
    >>> from skmtl.plugins.source_weightings import KMM
    >>> rng = np.random.default_rng(0)
    >>> X_source, X_target = rng.standard_normal((200, 1)), rng.standard_normal((200, 1)) + 1
    >>> w = KMM(width=1.0).weigh(X_source, None, X_target, None, rng)
    >>> before, after = X_source.mean(), np.average(X_source.ravel(), weights=w)
    >>> bool(abs(after - X_target.mean()) < 0.2 * abs(before - X_target.mean()))
    True
    """

    def __init__(self, width=None, max_weight=20.0, block_size=1000):
        self.width = width
        self.max_weight = max_weight
        self.block_size = block_size

    def hyper(self):
        """Check the numbers."""
        if self.width is not None:
            self._check_number("width", closed="neither")
        self._check_number("max_weight", low=1, closed="neither")
        if not isinstance(self.block_size, Integral) or self.block_size < 1:
            raise ValueError(
                "The 'block_size' parameter of KMM must be an int >= 1. Got "
                f"{self.block_size!r} instead."
            )
        return [float(self.max_weight)]

    def weigh(self, X_source, y_source, X_target, y_target, rng):
        """Solve the quadratic program, block by block."""
        self.hyper()
        width = self.width
        if width is None:
            width = median_distance(X_source, X_target, rng)
        n = X_source.shape[0]
        n_blocks = -(-n // self.block_size)
        weights, order = np.empty(n), rng.permutation(n) if n_blocks > 1 else np.arange(n)
        for rows in np.array_split(order, n_blocks):
            X = X_source[rows]
            kernel = np.exp(-squared_distances(X, X) / (2 * width**2))
            mean = np.exp(-squared_distances(X, X_target) / (2 * width**2)).mean(axis=1)
            weights[rows] = match_means(kernel, mean, self.max_weight)
        return weights


def match_means(kernel, mean, max_weight, max_iter=2000, tol=1e-4):
    """Solve min_w w' K w / (2 n) - w' m over the box and the slab of KMM.

    Parameters
    ----------
    kernel : ndarray of shape (n, n)
        K, at least 0 and positive semidefinite.
    mean : ndarray of shape (n,)
        m, for each row the mean of the kernel over the target.
    max_weight : float
    max_iter : int, default=2000
    tol : float, default=1e-4
        It ends where a step changes no weight by more.

    Returns
    -------
    ndarray of shape (n,)
    """
    n = mean.size
    low, high = np.sqrt(n), 2 * n - np.sqrt(n)  # n (1 - epsilon) and n (1 + epsilon)
    length = n / kernel.sum(axis=1).max()  # the largest row sum bounds the largest eigenvalue
    w = ahead = project(np.ones(n), max_weight, low, high)
    momentum = 1.0
    for _ in range(max_iter):
        grad = kernel @ ahead / n - mean
        new = project(ahead - length * grad, max_weight, low, high)
        step = new - w
        if grad @ step > 0:  # uphill: by the momentum, or else by rounding
            if ahead is w:
                break
            momentum, ahead = 1.0, w
            continue
        later = 0.5 * (1 + np.sqrt(1 + 4 * momentum**2))
        ahead = new + (momentum - 1) / later * step
        momentum, w = later, new
        if np.abs(step).max() <= tol:
            break
    return w


def project(w, max_weight, low, high):
    """The nearest point with 0 <= w_i <= max_weight and low <= sum(w) <= high."""
    inside = np.clip(w, 0, max_weight)
    total = inside.sum()
    if low <= total <= high:
        return inside
    wanted = low if total < low else high

    def excess(shift):
        return np.clip(w - shift, 0, max_weight).sum() - wanted

    shift = brentq(excess, w.min() - max_weight, w.max(), xtol=1e-14)
    return np.clip(w - shift, 0, max_weight)
