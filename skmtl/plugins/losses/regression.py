"""Losses on numbers: one output z for each."""

import numpy as np

from skmtl.engine.elementary import exp
from skmtl.plugins.base import RegressionLoss
from skmtl.plugins.losses._shared import total_weight


class SquaredError(RegressionLoss):
    r"""Half the squared error, :math:`\frac{1}{\sum_i w_i} \sum_i w_i \frac12 (z_i - y_i)^2`.

    Least at the mean. The half is that of scikit-learn's ``MLPRegressor``, and makes the gradient
    the error itself, as it is within the core of ``Huber``.

    References
    ----------
    .. [1] Bishop (2006). Pattern Recognition and Machine Learning, equation 3.12.

    Examples
    --------
    >>> from skmtl.plugins.losses import SquaredError
    >>> SquaredError()
    SquaredError()
    """

    @staticmethod
    def value_grad(out, y, weight, hp, grad):
        """Weighted mean; overwrites grad with w_i (z_i - y_i) / sum(w)."""
        total, value = total_weight(weight), 0.0
        for i in range(out.shape[0]):
            w, error = weight[i] / total, np.float64(out[i, 0]) - y[i, 0]
            value += w * (0.5 * error * error)
            grad[i, 0] = w * error
        return value


class Huber(RegressionLoss):
    r"""Half the squared error up to an error of delta, and linear beyond.

    .. math:: \frac12 e^2 \text{ for } |e| \le \delta, \quad
       \delta \left(|e| - \tfrac12 \delta\right) \text{ else}, \quad e = z - y

    Outliers pull with a force of at most delta.

    Parameters
    ----------
    delta : float, default=1.0
        The error from which on a row counts as outlier, above 0, in units of y, which are
        standard deviations with an estimator's ``scale_targets=True``.

    References
    ----------
    .. [1] Huber (1964). Robust estimation of a location parameter. Annals of Mathematical
       Statistics 35, pages 73-101.

    Examples
    --------
    >>> from skmtl.plugins.losses import Huber
    >>> Huber(delta=0.5).hyper()
    [0.5]
    """

    def __init__(self, delta=1.0):
        self.delta = delta

    def hyper(self):
        """Give [delta]."""
        self._check_number("delta", closed="neither")
        return [float(self.delta)]

    @staticmethod
    def value_grad(out, y, weight, hp, grad):
        """Weighted mean; overwrites grad with w_i e_i min(1, delta / |e_i|) / sum(w)."""
        total, value, delta = total_weight(weight), 0.0, np.float64(hp[0])
        for i in range(out.shape[0]):
            w, error = weight[i] / total, np.float64(out[i, 0]) - y[i, 0]
            size = abs(error)
            if size <= delta:
                value += w * (0.5 * error * error)
                grad[i, 0] = w * error
            else:
                value += w * (delta * (size - 0.5 * delta))
                grad[i, 0] = w * (delta * (error / size))
        return value


class Poisson(RegressionLoss):
    r"""Half the Poisson deviance of counts, :math:`e^z - y z`, with the logarithm as link.

    This is the negative log-likelihood up to a term in y alone, so its value may be below zero. The
    prediction is :math:`e^z`, and the loss is least where that is the mean. Targets are counts, or
    any other numbers from 0.

    References
    ----------
    .. [1] McCullagh and Nelder (1989). Generalized Linear Models, section 6.2.

    Examples
    --------
    >>> import numpy as np
    >>> from skmtl.plugins.losses import Poisson
    >>> Poisson().predict(np.array([[0.0], [1.0]])).round(2)
    array([[1.  ],
           [2.72]])
    """

    centring = False

    @staticmethod
    def value_grad(out, y, weight, hp, grad):
        """Weighted mean; overwrites grad with w_i (exp(z_i) - y_i) / sum(w)."""
        total, value = total_weight(weight), 0.0
        for i in range(out.shape[0]):
            w, z, count = weight[i] / total, np.float64(out[i, 0]), y[i, 0]
            mean = exp(z)
            value += w * (mean - count * z)
            grad[i, 0] = w * (mean - count)
        return value

    def check_targets(self, y):
        """Raise ValueError if a number is negative."""
        if np.any(y < 0):
            raise ValueError(f"{type(self).__name__} needs targets from 0 on. Got {np.nanmin(y)}.")

    def predict(self, out):
        """exp(out)."""
        return np.exp(out)


class Pinball(RegressionLoss):
    r"""Pinball loss, least at a quantile.

    .. math:: q (y - z) \text{ for } z < y, \quad (1 - q) (z - y) \text{ for } z > y

    For the median this is half the absolute error. The gradient at z = y, a kink, is 0.

    Parameters
    ----------
    quantile : float, default=0.5
        The quantile q to predict, between 0 and 1.

    References
    ----------
    .. [1] Koenker and Bassett (1978). Regression quantiles. Econometrica 46, pages 33-50.

    Examples
    --------
    >>> from skmtl.plugins.losses import Pinball
    >>> Pinball(quantile=0.9).hyper()
    [0.9]
    """

    def __init__(self, quantile=0.5):
        self.quantile = quantile

    def hyper(self):
        """Give [quantile]."""
        self._check_number("quantile", high=1, closed="neither")
        return [float(self.quantile)]

    @staticmethod
    def value_grad(out, y, weight, hp, grad):
        """Weighted mean; overwrites grad with w_i (1 - q) / sum(w) or -w_i q / sum(w)."""
        total, value, quantile = total_weight(weight), 0.0, np.float64(hp[0])
        for i in range(out.shape[0]):
            w, error = weight[i] / total, np.float64(out[i, 0]) - y[i, 0]
            slope = 0.0
            if error > 0:
                slope = 1.0 - quantile
            elif error < 0:
                slope = -quantile
            value += w * (slope * error)
            grad[i, 0] = w * slope
        return value
