"""Weights that do not look at the rows, but at their classes at most."""

import numpy as np

from skmtl.plugins.base import SourceWeighting


class Uniform(SourceWeighting):
    """Every row weighs 1.

    Examples
    --------
    >>> from skmtl.plugins.source_weightings import Uniform
    >>> import numpy as np
    >>> Uniform().weigh(np.zeros((3, 2)), None, None, None, None)
    array([1., 1., 1.])
    """

    reads_rows = False

    def weigh(self, X_source, y_source, X_target, y_target, rng):
        """w_i = 1."""
        return np.ones(X_source.shape[0])


class Balanced(SourceWeighting):
    r"""Classes weigh in the source what they weigh in the target.

    .. math::

        w_i = \frac{q(y_i)}{p(y_i)}, \quad p(c) = \frac{n_c}{n}, \quad
        q(c) = \frac{m_c + a}{m + a K},

    with n the labels of the source and m those of the target, both of the K classes that the source
    has, and the ``smoothing`` a. This is importance weighting where the domains differ in the
    frequencies of their classes alone [1]_. Without labels of the target q is the same for all
    classes.

    Parameters
    ----------
    smoothing : float, default=1.0
        Labels that each class of the target gets in addition, so that a class is not left out for
        want of one among few.

    References
    ----------
    .. [1] Saerens, Latinne and Decaestecker (2002). Adjusting the outputs of a classifier to new a
       priori probabilities. Neural Computation 14(1), section 2.1.

    Examples
    --------
    >>> import numpy as np
    >>> from skmtl.plugins.source_weightings import Balanced
    >>> y_source, y_target = np.array([0, 0, 0, 1]), np.array([0, 1, -1])
    >>> Balanced().weigh(None, y_source, None, y_target, None)
    array([0.66666667, 0.66666667, 0.66666667, 2.        ])
    """

    reads_rows = False

    def __init__(self, smoothing=1.0):
        self.smoothing = smoothing

    def hyper(self):
        """Check the smoothing."""
        self._check_number("smoothing", closed="left")
        return [float(self.smoothing)]

    def weigh(self, X_source, y_source, X_target, y_target, rng):
        """w_i = q(y_i) / p(y_i)."""
        self.hyper()
        if y_source is None:
            raise ValueError("Balanced weighs classes, and labels are numbers here.")
        classes, codes, n_labels = np.unique(y_source, return_inverse=True, return_counts=True)
        n_wanted = np.full(classes.size, float(self.smoothing))
        if y_target is not None:
            n_wanted += [np.count_nonzero(y_target == c) for c in classes]
        if not n_wanted.any():
            n_wanted[:] = 1.0
        ratio = (n_wanted / n_wanted.sum()) / (n_labels / n_labels.sum())
        return ratio[codes]
