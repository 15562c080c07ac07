"""One multilayer perceptron in skmtl and in scikit-learn, as ``timing.measure`` wants it.

What a net has learned is a list of (weight, bias) by layer, from the input to the output, with
weights of shape (n_in, n_out).
"""

import numpy as np
import scipy.linalg  # loads the BLAS that benchmarks hold to one thread  # noqa: F401
from scipy.special import logsumexp
from sklearn.neural_network import MLPClassifier

from benchmarks import timing
from skmtl.fitting import EpochTraining


def settings(widths, rate, batch_size, n_epochs):
    """Parameters that scikit-learn and skmtl share; both train for all epochs."""
    return {
        "hidden_layer_sizes": widths,
        "learning_rate_init": rate,
        "batch_size": batch_size,
        "max_iter": n_epochs,
        "tol": 0.0,
        "n_iter_no_change": n_epochs,
    }


def with_skmtl(model, X, y, **parameters):
    """Fits of our estimator. Several heads of one layer are put side by side, as one layer."""

    def fit(seed):
        with timing.clock(EpochTraining, "advance") as seconds:
            model.set_params(random_state=seed).fit(X, y, **parameters)
        weight = np.hstack([weights[0] for weights in model.head_coefs_])
        bias = np.hstack([biases[0] for biases in model.head_intercepts_])
        return [*zip(model.coefs_, model.intercepts_), (weight, bias)], sum(seconds)

    return fit


def with_sklearn(model, X, y):
    """Fits of MLPClassifier. It divides its penalty by the rows of a batch, which we do not."""

    def fit(seed):
        with timing.clock(MLPClassifier, "_fit_stochastic") as seconds:
            model.set_params(random_state=seed).fit(X, y)
        return list(zip(model.coefs_, model.intercepts_)), sum(seconds)

    return fit


def hidden(layers, X):
    """What the output layer reads, in float64, and the output layer."""
    *below, output = layers
    for weight, bias in below:
        X = np.maximum(X.astype(np.float64) @ weight + bias, 0)
    return X, output


def outputs(layers, X):
    """The net's outputs on rows, in float64."""
    H, (weight, bias) = hidden(layers, X)
    return H @ weight + bias


def mean_log_loss(layers, X, y):
    """Mean over rows of -log p; y holds classes counted from 0."""
    out = outputs(layers, X)
    return float(np.mean(logsumexp(out, axis=1) - out[np.arange(len(out)), y]))


def half_squares(layers):
    """R(theta) = ||W||^2 / 2 over all weights, in float64."""
    return sum(float(np.sum(np.square(weight, dtype=np.float64))) for weight, _ in layers) / 2
