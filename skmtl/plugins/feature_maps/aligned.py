"""Affine maps that start from a closed form on the rows of source and target."""

from numbers import Integral, Real

import numpy as np

from skmtl.plugins.feature_maps.axes import match_axes
from skmtl.plugins.feature_maps.linear import Affine
from skmtl.plugins.feature_maps.moments import (
    column_means,
    mean_and_covariance,
    principal_axes,
    skewed_forwards,
)


class Orthogonal(Affine):
    r"""A rotation or reflection between the centres of source and target, and an offset.

    .. math:: g(x) = x A + b, \quad A^T A = I \text{ or } A A^T = I, \quad b = m_t - m_s A

    at the start, with m the mean of the rows, or of the class means. Where source and target have
    classes in common, A is the solution of the orthogonal Procrustes problem between their class
    means [1]_, :math:`\min \|M_s A - M_t\|_F`, with M a row :math:`m_c - m` for each class c. The
    means of K classes determine A on K - 1 directions at most. On the others, and where there is no
    class in common, A takes the principal axes of the source to those of the target, in the order
    of their variances, each with the direction of positive skewness [2]_. Then neighbouring
    axes are turned where that brings the rows nearer by the energy distance [3]_: for variances
    that are nearly the same and skewness near zero tell little. Nothing is turned where columns as
    they are fit as well. So a rotated copy is found exactly, from class means that span the space,
    or from distinct variances and skewed columns.

    All of A and b is trained freely from there. ``map_penalty="orthogonality"`` keeps A near the
    orthogonal matrices; "identity" would draw a square A to the identity instead.

    References
    ----------
    .. [1] Schoenemann (1966). A generalized solution of the orthogonal Procrustes problem.
       Psychometrika 31(1).
    .. [2] Bro, Acar and Kolda (2008). Resolving the sign ambiguity in the singular value
       decomposition. Journal of Chemometrics 22(2). There too signs are read from the data.
    .. [3] Szekely and Rizzo (2013). Energy statistics: a class of statistics based on distances.
       Journal of Statistical Planning and Inference 143(8), section 2.

    Examples
    --------
    >>> import numpy as np
    >>> from skmtl.plugins.feature_maps import Orthogonal
    >>> rng = np.random.default_rng(0)
    >>> X = rng.exponential(size=(50, 2)) * [3, 1]
    >>> quarter_turn = np.array([[0.0, 1.0], [-1.0, 0.0]])
    >>> theta = Orthogonal().init(X @ quarter_turn.T + 5, X, rng)
    >>> bool(np.allclose(theta[:4].reshape(2, 2), quarter_turn))
    True
    """

    starts_from_rows = True

    def init(self, X_source, X_target, rng, y_source=None, y_target=None):
        """Give the solution of Procrustes, completed along principal axes, and the offset."""
        n_in, n_out = X_source.shape[1], X_target.shape[1]
        (mean_s, c_s), (mean_t, c_t) = map(mean_and_covariance, (X_source, X_target))
        map_, left, right = np.zeros((n_in, n_out)), np.eye(n_in), np.eye(n_out)
        centre_s, centre_t = mean_s, mean_t
        classes = _common_classes(y_source, y_target)
        if classes.size > 1:
            means_s, means_t = (
                np.array([column_means(X, (y == c) * 1.0) for c in classes])
                for X, y in ((X_source, y_source), (X_target, y_target))
            )
            centre_s, centre_t = means_s.mean(axis=0), means_t.mean(axis=0)
            u, s, vt = np.linalg.svd((means_s - centre_s).T @ (means_t - centre_t))
            rank = min(np.count_nonzero(s > 1e-10 * s[0]), classes.size - 1)
            map_ = u[:, :rank] @ vt[:rank]
            left, right = u[:, rank:], vt[rank:].T
        k = min(left.shape[1], right.shape[1])
        from_, to = (
            skewed_forwards(X, mean, space @ principal_axes(space.T @ c @ space)[1][:, :k])
            for X, mean, space, c in (
                (X_source, mean_s, left, c_s),
                (X_target, mean_t, right, c_t),
            )
        )
        as_they_are = from_.T @ to if n_in == n_out == k else None
        turn = match_axes(
            np.asarray(X_source @ from_) - mean_s @ from_,
            np.asarray(X_target @ to) - mean_t @ to,
            first_choice=as_they_are,
        )
        map_ = map_ + from_ @ turn @ to.T
        return np.concatenate([map_.ravel(), centre_t - centre_s @ map_])


def _common_classes(y_source, y_target):
    """Codes that both have; none where there are no labels."""
    if y_source is None or y_target is None:
        return np.zeros(0, np.int64)
    common = np.intersect1d(y_source, y_target)
    return common[common >= 0]


class SubspaceAlignment(Affine):
    r"""Subspace alignment: the principal subspace of the source, aligned with the target's.

    With :math:`P_s, P_t` the leading principal axes of source and target as columns, [1]_ takes
    centred source rows to :math:`x P_s P_s^T P_t` and centred target rows to :math:`x P_t`. Here
    the target keeps its own columns, so the source is written in these:

    .. math:: g(x) = (x - m_s) A + m_t, \quad A = P_s (P_s^T P_t) P_t^T,

    between spaces of the same columns. That is the start, and A and b are trained from there. It
    takes out directions in which only one of the two varies; it does not undo a rotation within
    the subspace (``Orthogonal``) or a rescaling (``Diagonal``).

    Parameters
    ----------
    n_components : int, float or None, default=0.95
        Dimension of the subspaces. A fraction in (0, 1): as many as explain that part of the
        variance in both source and target. None: as many as the rows and columns allow, with which
        A is the identity if there are enough rows.

    References
    ----------
    .. [1] Fernando, Habrard, Sebban and Tuytelaars (2013). Unsupervised visual domain adaptation
       using subspace alignment. ICCV, section 3.2.

    Examples
    --------
    >>> import numpy as np
    >>> from skmtl.plugins.feature_maps import SubspaceAlignment
    >>> rng = np.random.default_rng(0)
    >>> X, Z = rng.standard_normal((2, 20, 3)) * [5, 1, 0.01]
    >>> theta = SubspaceAlignment(n_components=2).init(X, Z, rng)
    >>> theta[:9].reshape(3, 3).round(1) + 0.0
    array([[1., 0., 0.],
           [0., 1., 0.],
           [0., 0., 0.]])
    """

    starts_from_rows = True

    def __init__(self, n_components=0.95):
        self.n_components = n_components

    def hyper(self):
        """Give nothing: the functions need no number."""
        n = self.n_components
        whole = isinstance(n, Integral) and not isinstance(n, bool) and n >= 1
        part = isinstance(n, Real) and not isinstance(n, Integral) and 0 < n < 1
        if not (n is None or whole or part):
            raise ValueError(
                "The 'n_components' parameter of SubspaceAlignment must be an int >= 1, a "
                f"fraction in (0, 1) or None. Got {n!r} instead."
            )
        return []

    def init(self, X_source, X_target, rng, y_source=None, y_target=None):
        """Give A and the offset; raise ValueError unless the spaces have the same size."""
        self.hyper()
        n_in, n_out = X_source.shape[1], X_target.shape[1]
        if n_in != n_out:
            raise ValueError(
                f"feature_map='subspace_alignment' compares columns and needs a source with the "
                f"target's {n_out}, but X_source has {n_in}. Use feature_map='orthogonal' to map "
                "between them."
            )
        (mean_s, c_s), (mean_t, c_t) = map(mean_and_covariance, (X_source, X_target))
        (var_s, axes_s), (var_t, axes_t) = principal_axes(c_s), principal_axes(c_t)
        most = min(n_out, max(X_source.shape[0] - 1, 1), max(X_target.shape[0] - 1, 1))
        k = min(self._dimension(var_s, var_t), most)
        p_s, p_t = axes_s[:, :k], axes_t[:, :k]
        map_ = p_s @ (p_s.T @ p_t) @ p_t.T
        return np.concatenate([map_.ravel(), mean_t - mean_s @ map_])

    def _dimension(self, *variances):
        """The dimension that is asked for."""
        n = self.n_components
        if n is None:
            return variances[0].size
        if isinstance(n, Integral):
            return n
        parts = [np.cumsum(v) / max(v.sum(), np.finfo(float).tiny) for v in variances]
        return 1 + max(np.count_nonzero(part < n) for part in parts)
