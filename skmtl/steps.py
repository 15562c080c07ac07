"""Fits that can be paused.

The body of ``fit`` is a generator, ``_fitting``. Where it could train on, it hands out a function
that gives the fitted attributes as of now, and is sent how many epochs the stage shall have had
when it pauses again.
"""

import copy

import numpy as np

from skmtl.threads import in_turn


def run_to_the_end(fitting):
    """Go through a fit without pauses.

    Parameters
    ----------
    fitting : generator
        What ``_fitting`` of an estimator gives.

    Returns
    -------
    object
        What the generator returns.
    """
    try:
        with in_turn():
            next(fitting)
        while True:
            fitting.send(np.inf)
    except StopIteration as end:
        return end.value


class PausableFit:
    """A fit of an estimator that goes on when it is told to.

    Parameters
    ----------
    estimator : estimator
        Fitted in place when it ends.
    X, y : array-like
        What it is fitted on.
    fit_params : dict
        What else ``fit`` would get.

    Attributes
    ----------
    finished : bool
        Whether it has come to its end.
    """

    def __init__(self, estimator, X, y, fit_params):
        self._estimator, self._fitting = estimator, None
        self._arguments = X, y, fit_params
        self.finished = False

    def start_from(self, fitted):
        """Start from another fit's weights, as with ``warm_start``; before the first ``advance``.

        Parameters
        ----------
        fitted : estimator
            Of the same network; not changed.
        """
        names = self._estimator.get_params(deep=False)
        attributes = {name: value for name, value in vars(fitted).items() if name not in names}
        vars(self._estimator).update(copy.deepcopy(attributes))
        self._estimator.set_params(warm_start=True)

    def advance(self, n_epochs):
        """Go on until the last stage has had some epochs, or has ended.

        Parameters
        ----------
        n_epochs : int or inf
            How many in all.

        Returns
        -------
        estimator
            Fitted as of now. Not to be changed.
        """
        if self.finished:
            return self._estimator
        try:
            if self._fitting is None:
                X, y, fit_params = self._arguments
                self._fitting = self._estimator._fitting(X, y, **fit_params)
                with in_turn():
                    next(self._fitting)
            fitted = self._fitting.send(n_epochs)
        except StopIteration:
            self.finished, self._arguments, self._fitting = True, None, None
            return self._estimator
        return _with_attributes(self._estimator, fitted())

    @property
    def max_iter(self):
        """Epochs of the last stage at most.

        Returns
        -------
        int
            The estimator's.
        """
        return self._estimator.max_iter

    def close(self):
        """Give up: lets go of the data and of the weights."""
        if self._fitting is not None:
            self._fitting.close()
        self._arguments, self._fitting = None, None


def _with_attributes(estimator, attributes):
    """A shallow copy of an estimator with some attributes set."""
    fitted = copy.copy(estimator)
    vars(fitted).update(attributes)
    return fitted
