"""Adversarial alignment: features that a discriminator cannot tell apart."""

import math

import numpy as np

from skmtl.plugins.base import Alignment
from skmtl.plugins.feature_maps.hidden import one_width, relu

ACTIVATIONS = ("relu", "tanh")
RELU = 0


class DANN(Alignment):
    r"""Domain-adversarial training: features from which no classifier tells source from target.

    A discriminator with one hidden layer, :math:`z(h) = \phi(h W_1 + b_1) w_2 + b_2`, learns to
    tell the domains apart by the loss

    .. math::

        L_d = \tfrac12 \left( \frac1n \sum_i \log(1 + e^{-z(s_i)})
        + \frac1m \sum_i \log(1 + e^{z(t_i)}) \right),

    in which source and target weigh the same, whatever the batch holds of each. The term's value is
    :math:`-L_d` times the strength: the features climb the discriminator's loss (gradient
    reversal [1]_), as far as the strength asks for, while the discriminator descends it with its
    gradient as it is, so that it keeps up when the strength is small. The best that the features
    can do is :math:`L_d = \log 2`.

    Both move at once, so the objective need not fall: set ``tol=0`` and ``max_iter``, or use
    ``early_stopping``. There is no schedule for the strength.

    Parameters
    ----------
    hidden_layer_sizes : int or sequence of one int, default=(32,)
        Width of the discriminator's hidden layer.
    activation : {"relu", "tanh"}, default="relu"
        The function :math:`\phi`.
    where : {"shared", "input"}, default="shared"
        Whether to align what comes out of the trunk or of the feature map.

    References
    ----------
    .. [1] Ganin et al. (2016). Domain-adversarial training of neural networks. JMLR 17, equations
       9 to 18.

    Examples
    --------
    >>> from skmtl.plugins.alignments import DANN
    >>> DANN(hidden_layer_sizes=8).n_params(n_features=5)
    57
    """

    needs_minibatches = True

    def __init__(self, hidden_layer_sizes=(32,), activation="relu", where="shared"):
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.where = where

    def hyper(self):
        """Give [number of the activation]."""
        self._check_option("where", ("shared", "input"))
        self._check_option("activation", ACTIVATIONS)
        one_width(self)
        return [float(ACTIVATIONS.index(self.activation))]

    def n_params(self, n_features):
        """Give the size of W1, b1, w2 and b2."""
        return (n_features + 2) * one_width(self) + 1

    def init(self, n_features, rng):
        """Give uniform weights as Glorot and Bengio (2010), and offsets of zero."""
        width = one_width(self)
        first, second = np.sqrt(6 / (n_features + width)), np.sqrt(6 / (width + 1))
        w1 = rng.uniform(-first, first, n_features * width)
        w2 = rng.uniform(-second, second, width)
        return np.concatenate([w1, np.zeros(width), w2, [0.0]])

    def n_work(self, n_source, n_target, n_features):
        """Room for the hidden units of a row."""
        return one_width(self)

    @staticmethod
    def value_grad(theta, hs, ht, ys, yt, strength, hp, work, rng, dhs, dht, grad):
        """-strength L_d; adds its gradient to dhs and dht, and that of L_d to grad."""
        loss = 0.5 * _discriminate(theta, hs, 1.0, strength, hp, work, dhs, grad)
        loss += 0.5 * _discriminate(theta, ht, -1.0, strength, hp, work, dht, grad)
        return -strength * loss


def _discriminate(theta, h, sign, strength, hp, work, dh, grad):
    """Mean of log(1 + exp(-sign z)) over rows; adds half its gradient, reversed to dh."""
    n, d = h.shape
    width = (theta.size - 1) // (d + 2)
    hidden = work[:width]
    b1, w2, b2 = d * width, (d + 1) * width, (d + 2) * width
    total = 0.0
    for i in range(n):
        for u in range(width):
            hidden[u] = theta[b1 + u]
        for k in range(d):
            for u in range(width):
                hidden[u] += h[i, k] * theta[k * width + u]
        z = float(theta[b2])
        for u in range(width):
            hidden[u] = relu(hidden[u]) if hp[0] == RELU else math.tanh(hidden[u])
            z += hidden[u] * theta[w2 + u]
        loss, slope = _logistic_loss(sign * z)
        total += loss / n
        dz = 0.5 * sign * slope / n
        grad[b2] += dz
        for u in range(width):
            bent = (1.0 if hidden[u] > 0 else 0.0) if hp[0] == RELU else 1 - hidden[u] ** 2
            grad[w2 + u] += dz * hidden[u]
            hidden[u] = dz * theta[w2 + u] * bent  # from here the gradient at the unit's input
            grad[b1 + u] += hidden[u]
        for k in range(d):
            back = 0.0
            for u in range(width):
                grad[k * width + u] += h[i, k] * hidden[u]
                back += theta[k * width + u] * hidden[u]
            dh[i, k] -= strength * back
    return total


def _logistic_loss(margin):
    """log(1 + exp(-margin)) and its derivative, without overflow."""
    if margin > 0:
        e = math.exp(-margin)
        return math.log1p(e), -e / (1 + e)
    e = math.exp(margin)
    return math.log1p(e) - margin, -1 / (1 + e)
