"""The contracts of the plugin kinds. Their docstrings are the specification.

A plugin is a `BaseEstimator` whose constructor stores numbers and whose mathematics are static
plain Python functions over C-contiguous arrays. The engine compiles these functions: they call
NumPy, `math` and other plain functions of their module, allocate nothing, and see no Python
objects. Arrays are of the dtype of the fit (float32 or float64) unless stated; `hp` holds the
plugin's numbers in the order of ``hyper``. Arguments that a function does not own are read-only.
"""

from abc import ABC, abstractmethod
from numbers import Real

import numpy as np
from sklearn.base import BaseEstimator


class Plugin(BaseEstimator, ABC):
    """What all plugins share.

    Attributes
    ----------
    group : str
        Entry-point group of the kind; the name of a plugin's entry point is its name in
        ``loss="..."``, ``penalty="..."`` and so on.
    """

    group = None

    def hyper(self):
        """Give the numbers that the plugin's functions find in `hp`.

        Returns
        -------
        list of float
            By default the constructor's parameters in alphabetical order.
        """
        return [float(value) for _, value in sorted(self.get_params(deep=False).items())]

    def _check_positive(self, *names, strict=False):
        """Raise ValueError unless each named parameter is a finite number >= 0 (or > 0)."""
        for name in names:
            value = getattr(self, name)
            is_finite = isinstance(value, Real) and np.isfinite(value)
            if not is_finite or value < 0 or (strict and value == 0):
                raise ValueError(
                    f"The {name!r} parameter of {type(self).__name__} must be a number "
                    f"{'>' if strict else '>='} 0. Got {value!r} instead."
                )


class Loss(Plugin):
    """A task's loss: how far its outputs are from its labels."""

    group = "skmtl.losses"

    @staticmethod
    @abstractmethod
    def value_grad(out, y, weight, hp, grad):
        """Weighted mean of the loss over rows; overwrites grad with its gradient.

        Parameters
        ----------
        out : ndarray of shape (n_rows, n_outputs)
            The head's outputs, before any link function. At least one row.
        y : ndarray of shape (n_rows, 1)
            Labels as ``encode`` made them.
        weight : ndarray of shape (n_rows,)
            Positive; the value is ``sum_i weight_i l_i / sum_i weight_i``.
        hp : ndarray
            The plugin's numbers.
        grad : ndarray of shape (n_rows, n_outputs)
            Overwritten with the derivative of the value by ``out``.

        Returns
        -------
        float
            The weighted mean, summed in double precision.
        """

    @abstractmethod
    def n_outputs(self, classes):
        """Give the number of outputs that a head needs for these classes."""

    @abstractmethod
    def proba(self, out):
        """Turn outputs (n, n_outputs) into class probabilities (n, n_classes), with NumPy."""


class Penalty(Plugin):
    """A penalty R on weight matrices: of the trunk and heads, or of a feature map."""

    group = "skmtl.penalties"

    @staticmethod
    @abstractmethod
    def value_grad(theta, layout, strength, hp, grad):
        """Give ``strength * R(theta)``; adds its gradient to grad.

        Parameters
        ----------
        theta : ndarray of shape (n_parameters,)
            All parameters of the network.
        layout : ndarray of shape (n_blocks, 5), int64
            The weight matrices to penalise, one row each: offset in ``theta``, rows, columns
            (the matrix is C-ordered), offset of the bias (one number per column) or -1, and its
            role: 0 a trunk layer, 1 a hidden layer of a head, 2 the output weights of all heads
            as the rows of one matrix (there a row has a bias), 3 a feature map.
        strength : float
            Coefficient of the penalty in the objective.
        hp : ndarray
            The plugin's numbers.
        grad : ndarray of shape (n_parameters,)
            Added to.

        Returns
        -------
        float
        """


class FeatureMap(Plugin):
    """A trainable map g from the columns of one domain to the columns of another."""

    group = "skmtl.feature_maps"

    #: Whether ``forward_csr`` and ``backward_csr`` exist.
    accepts_csr = False

    @abstractmethod
    def n_params(self, n_in, n_out):
        """Give the length of the parameter vector."""

    @abstractmethod
    def init(self, n_in, n_out, rng):
        """Give the parameters to start from, ndarray of shape (n_params,).

        Raises
        ------
        ValueError
            If there is no such map between spaces of these sizes.
        """

    @abstractmethod
    def blocks(self, n_in, n_out):
        """Give the weight matrices within the parameters that a penalty may act on.

        Returns
        -------
        list of tuple of int
            (offset, rows, columns, offset of the bias or -1), offsets from the first parameter.
        """

    def n_work(self, n_rows, n_in, n_out):
        """Give the length of the scratch array that ``forward`` and ``backward`` share."""
        return 0

    @staticmethod
    @abstractmethod
    def forward(theta, x, hp, work, out):
        """Map rows: overwrites out (n_rows, n_out) with g(x), x of shape (n_rows, n_in)."""

    @staticmethod
    @abstractmethod
    def backward(theta, x, hp, work, dout, grad):
        """Add to grad (n_params,) the gradient by theta, from dout, the gradient by g(x).

        ``work`` holds what ``forward`` left in it for the same rows.
        """

    @abstractmethod
    def transform(self, theta, X, n_out):
        """Map dense or CSR rows with NumPy and SciPy alone; gives ndarray (n_rows, n_out)."""


class Weighting(Plugin):
    """A rule that weighs the tasks anew at every step."""

    group = "skmtl.weightings"

    #: Whether ``update`` reads the Gram matrix of the tasks' shared gradients.
    needs_gram = False

    def n_state(self, n_tasks):
        """Give the length of the state, which starts at zero."""
        return 0

    @staticmethod
    @abstractmethod
    def update(losses, gram, step, hp, state, weights):
        """Overwrites weights (n_tasks,) with finite numbers; may update state.

        Parameters
        ----------
        losses : ndarray of shape (n_tasks,), float64
            This batch's estimate of each task's loss.
        gram : ndarray of shape (n_tasks, n_tasks), float64
            Inner products of the tasks' gradients by the shared parameters; zeros unless
            ``needs_gram``.
        step : int
            Steps taken before this one.
        hp : ndarray
            The plugin's numbers.
        state, weights : ndarray, float64
        """


class Optimizer(Plugin):
    """A rule that turns a gradient into a step."""

    group = "skmtl.optimizers"

    #: Arrays of the size of theta that the rule keeps; they start at zero.
    n_slots = 0

    @staticmethod
    @abstractmethod
    def step(theta, grad, state, lr, step, hp):
        """Take one step in place.

        Parameters
        ----------
        theta, grad : ndarray of shape (n_parameters,)
            theta is updated, grad is read.
        state : ndarray of shape (n_slots, n_parameters)
        lr : float
            Learning rate of this step.
        step : int
            Steps taken before this one.
        hp : ndarray
            The plugin's numbers.
        """
