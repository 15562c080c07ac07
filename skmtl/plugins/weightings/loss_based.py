"""Weightings computed from the losses alone, by formula."""

import math

from skmtl.plugins.base import Weighting
from skmtl.plugins.weightings._shared import (
    add_to_epoch,
    count_present,
    positive,
    softmax_present,
)


class RLW(Weighting):
    r"""Random loss weighting: :math:`w = \mathrm{softmax}(z)` with a new :math:`z \sim N(0, I)`.

    The litmus test of task weightings: one that does not beat random weights does not help. The
    weights sum to 1, so that steps are T times smaller than those of uniform weights.

    References
    ----------
    .. [1] Lin, Ye, Zhang and Tsang (2022). Reasonable effectiveness of random weighting: a litmus
       test for multi-task learning. TMLR.

    Examples
    --------
    >>> from skmtl.plugins.weightings import RLW
    >>> RLW()
    RLW()
    """

    def n_state(self, n_tasks):
        """Room for z."""
        return n_tasks

    @staticmethod
    def update(losses, n_labels, gram, step, steps_per_epoch, hp, state, rng, weights):
        """w = softmax(z) over the present tasks."""
        for t in range(weights.size):
            if n_labels[t] > 0:
                state[t] = rng.standard_normal()
        softmax_present(state, n_labels, weights)


class GeometricMean(Weighting):
    r"""Geometric loss strategy: descend the geometric mean of the tasks' losses.

    .. math:: w_t = \frac{\partial}{\partial L_t} \Big(\prod_s L_s\Big)^{1/T}
        = \frac{1}{T L_t} \Big(\prod_s L_s\Big)^{1/T}

    Insensitive to the scales of the losses. 1e-8 is added to each loss, so that a loss of 0 keeps
    the weights finite. T counts the tasks with labels in the batch; for equal losses the weights
    sum to 1, so that steps are T times smaller than those of uniform weights.

    References
    ----------
    .. [1] Chennupati, Sistu, Yogamani and Rawashdeh (2019). MultiNet++: multi-stream feature
       aggregation and geometric loss strategy for multi-task learning. CVPR workshops.

    Examples
    --------
    >>> from skmtl.plugins.weightings import GeometricMean
    >>> GeometricMean()
    GeometricMean()
    """

    @staticmethod
    def update(losses, n_labels, gram, step, steps_per_epoch, hp, state, rng, weights):
        """w_t = exp(mean log L) / (T L_t)."""
        n, total = count_present(n_labels), 0.0
        for t in range(weights.size):
            if n_labels[t] > 0:
                total += math.log(positive(losses[t])) / n
        for t in range(weights.size):
            weights[t] = 0.0
            if n_labels[t] > 0:
                weights[t] = math.exp(total - math.log(n * positive(losses[t])))


class DWA(Weighting):
    r"""Dynamic weight average: more weight to tasks whose loss falls more slowly.

    .. math:: w_t = T \, \mathrm{softmax}_t(r_t / \tau), \quad
        r_t = \bar L_t^{(e-1)} / \bar L_t^{(e-2)}

    with the mean losses of the last two epochs; 1 in the first two epochs. The weights sum to T.

    Parameters
    ----------
    temperature : float, default=2.0
        :math:`\tau > 0`; the larger, the closer the weights are to 1.

    References
    ----------
    .. [1] Liu, Johns and Davison (2019). End-to-end multi-task learning with attention. CVPR,
       equation 7.

    Examples
    --------
    >>> from skmtl.plugins.weightings import DWA
    >>> DWA(temperature=1).hyper()
    [1.0]
    """

    def __init__(self, temperature=2.0):
        self.temperature = temperature

    def hyper(self):
        """Give [temperature]."""
        self._check_number("temperature", closed="neither")
        return [float(self.temperature)]

    def n_state(self, n_tasks):
        """Two counters, the sums of this epoch, the means of the last two."""
        return 2 + 3 * n_tasks

    @staticmethod
    def update(losses, n_labels, gram, step, steps_per_epoch, hp, state, rng, weights):
        """w = T softmax(r / tau) over the tasks that had a loss above 0 in both epochs."""
        n, temperature = weights.size, float(hp[0])
        counters, sums = state[:2], state[2 : 2 + n]
        last, before = state[2 + n : 2 + 2 * n], state[2 + 2 * n : 2 + 3 * n]
        total, n_seen = 0.0, 0
        for t in range(n):
            weights[t] = 1.0
            if counters[1] > 1 and before[t] > 0:
                # all ratios less 1: near 1 in practice, and a constant makes no difference
                weights[t] = math.exp(min((last[t] / before[t] - 1.0) / temperature, 500.0))
                total += weights[t]
                n_seen += 1
        for t in range(n):
            if counters[1] > 1 and before[t] > 0:
                weights[t] *= n_seen / total
        if add_to_epoch(losses, steps_per_epoch, counters, sums):
            for t in range(n):
                before[t], last[t], sums[t] = last[t], sums[t], 0.0


class SmoothTchebycheff(Weighting):
    r"""Smooth Tchebycheff scalarization: attend to the worst task, smoothly.

    .. math:: w_t = \frac{\partial}{\partial L_t} \; T \mu \log \sum_s \exp\Big(\frac1\mu
        \log\frac{L_s}{n_s}\Big) = \frac{T}{L_t} \, \mathrm{softmax}_t\Big(\frac1\mu
        \log\frac{L_t}{n_t}\Big)

    :math:`n_t` is the mean loss of epoch number ``warmup``, counted from 0; up to its end
    :math:`w_t = 1 / L_t`, the gradient of :math:`\sum_t \log L_t`. 1e-8 is added to each loss. T
    counts the tasks with labels in the batch.

    Parameters
    ----------
    mu : float, default=1.0
        Smoothing, above 0; towards 0 only the task worst against its :math:`n_t` is trained.
    warmup : int, default=4
        Epochs before the one that gives :math:`n_t`.

    References
    ----------
    .. [1] Lin, Zhang, Yang, Liu, Wang and Zhang (2024). Smooth Tchebycheff scalarization for
       multi-objective optimization. ICML; warm-up as in the authors' code STCH_MTL.

    Examples
    --------
    >>> from skmtl.plugins.weightings import SmoothTchebycheff
    >>> SmoothTchebycheff(mu=0.5).hyper()
    [0.5, 4.0]
    """

    def __init__(self, mu=1.0, warmup=4):
        self.mu = mu
        self.warmup = warmup

    def hyper(self):
        """Give [mu, warmup]."""
        self._check_number("mu", closed="neither")
        self._check_number("warmup")
        return [float(self.mu), float(self.warmup)]

    def n_state(self, n_tasks):
        """Two counters, the sums of this epoch, n_t, and room for the logarithms."""
        return 2 + 3 * n_tasks

    @staticmethod
    def update(losses, n_labels, gram, step, steps_per_epoch, hp, state, rng, weights):
        """w_t = 1 / L_t, later T softmax(log(L / n) / mu)_t / L_t."""
        n, mu, warmup = weights.size, float(hp[0]), float(hp[1])
        counters, sums = state[:2], state[2 : 2 + n]
        nadir, logs = state[2 + n : 2 + 2 * n], state[2 + 2 * n : 2 + 3 * n]
        if counters[1] > warmup:
            for t in range(n):
                if n_labels[t] > 0:
                    if nadir[t] == 0:  # no label until now
                        nadir[t] = positive(losses[t])
                    logs[t] = math.log(positive(losses[t]) / nadir[t]) / mu
            softmax_present(logs, n_labels, weights)
            n_present = count_present(n_labels)
            for t in range(n):
                weights[t] *= n_present / positive(losses[t])
            return
        for t in range(n):
            weights[t] = 1.0 / positive(losses[t]) if n_labels[t] > 0 else 0.0
        if add_to_epoch(losses, steps_per_epoch, counters, sums):
            for t in range(n):
                nadir[t], sums[t] = positive(sums[t]) if sums[t] > 0 else 0.0, 0.0
