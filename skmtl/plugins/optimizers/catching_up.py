r"""Adam's steps of parameters that had a gradient in the first of them alone, all at once.

The first step, of rate :math:`\eta_0`, leaves the running means m and v. Without gradient these
only decay, to :math:`\beta_1^j m` and :math:`\beta_2^j v` in the j-th step from there, so that all
steps together move a parameter by

.. math:: -\sum_{j=0}^n \frac{\eta_j \beta_1^j m}{\beta_2^{j/2} s + \epsilon}
   = -\frac{m}{s + \epsilon} \sum_{p \ge 0} a^p \sum_{j=0}^n \eta_j \beta_1^j y_j^p,
   \quad s = \sqrt v, \quad a = \frac{s}{s + \epsilon}, \quad y_j = 1 - \beta_2^{j/2},

a geometric series in :math:`a y_j`. The inner sums, its moments, are the same for all parameters
that had their gradient in the same step: a table keeps them, to which a new step adds a term for
each of the last steps. As :math:`\beta_1^j` ends the sums where :math:`y_j` is still small, the
series is short: six terms leave a relative error of
:math:`6! ((1 - \sqrt{\beta_2}) / (1 - \beta_1))^6`, 1e-11 by default. So any number of steps costs
as much as one.

AdamW also multiplies the parameters by :math:`\kappa < 1` in every step. Then all steps together
make :math:`\kappa^{n+1} \theta` of them, less the sum above with :math:`\kappa^{n-j} \eta_j` in
place of :math:`\eta_j`. The table holds it with :math:`\kappa^{-j} \eta_j`; what uses it
multiplies by :math:`\kappa^n`.

With a penalty as weight decay the gradient is never zero, and there is no such sum. The steps are
taken one by one, with the parameters in the processor's nearest memory.
"""

import numpy as np

from skmtl.engine.prefetch import prefetch_row

#: Terms of the series; the longest sum, of which no term is missed: ``0.9 ** 400`` is 5e-19.
N_MOMENTS, LONGEST = 6, 400
#: The largest relative error for which the series is used.
TOLERANCE = 1e-10


def n_work(n_steps):
    """Length of the tables for an epoch of some steps: see ``tables``."""
    return 1 + n_steps * (4 + N_MOMENTS) + (LONGEST + 1) * N_MOMENTS


def adam_catch_up(theta, grad, state, rows, since, width, first, step, decay, lr, hp, work):
    """Adam on rows of parameters from their step since_i on; see ``Optimizer.catch_up``."""
    one = hp.dtype.type(1)
    return take_steps(theta, grad, state, rows, since, width, first, step, decay, lr, hp, work, one)


def adamw_catch_up(theta, grad, state, rows, since, width, first, step, decay, lr, hp, work):
    """AdamW likewise."""
    keep = hp.dtype.type(1) - lr * hp[3]
    return take_steps(
        theta, grad, state, rows, since, width, first, step, decay, lr, hp, work, keep
    )


def take_steps(theta, grad, state, rows, since, width, first, step, decay, lr, hp, work, keep):
    """Steps in which the parameters first shrink to theta * keep."""
    at_once = decay == 0 and has_short_series(hp, keep)
    fill_tables(work, first, step, lr, hp, keep, at_once)
    _, rates, power_1, power_2, shrunk, moments, _ = tables(work)
    squares = 0.0
    for i in range(rows.size):
        prefetch_row(theta, grad, state, rows, i, width)
        # Views: with indices from 0 on, the loops over a row are vectorised.
        start, end, t, n = rows[i] * width, (rows[i] + 1) * width, since[i] - first, step - since[i]
        w, dw = theta[start:end], grad[start:end]
        mean, square = state[0, start:end], state[1, start:end]
        if at_once:
            powers = power_1[n - 1], power_2[n - 1], shrunk[n - 1]
            steps_at_once(w, dw, mean, square, moments[t], powers, keep, hp)
        else:
            for u in range(t, t + n):
                squares += one_step(w, dw, mean, square, decay, rates[u], keep, hp)
    return squares


def steps_at_once(theta, grad, mean, square, moments, powers, keep, hp):
    """theta <- keep^(n+1) theta - keep^n m / (s + eps) sum_p a^p moments_p; m and v decay.

    The powers, of beta_1, beta_2 and keep, are the n-th. The gradient becomes zero.
    """
    real = hp.dtype.type
    scale = powers[2]
    c0, c1, c2 = real(scale * moments[0]), real(scale * moments[1]), real(scale * moments[2])
    c3, c4, c5 = real(scale * moments[3]), real(scale * moments[4]), real(scale * moments[5])
    one, beta_1, beta_2, epsilon = real(1), hp[0], hp[1], hp[2]
    power_1, power_2, shrink = real(powers[0]), real(powers[1]), keep * real(scale)
    for j in range(theta.size):
        g = grad[j]
        m = beta_1 * mean[j] + (one - beta_1) * g
        v = beta_2 * square[j] + (one - beta_2) * g * g
        s = np.sqrt(v)
        inverse = one / (s + epsilon)
        a = s * inverse
        total = c0 + a * (c1 + a * (c2 + a * (c3 + a * (c4 + a * c5))))
        theta[j] = shrink * theta[j] - m * inverse * total
        mean[j] = m * power_1
        square[j] = v * power_2
        grad[j] = 0


def one_step(theta, grad, mean, square, decay, rate, keep, hp):
    """One step, after which the gradient is zero; gives sum_j theta_j^2 before it."""
    one, zero, rate = hp.dtype.type(1), hp.dtype.type(0), hp.dtype.type(rate)
    beta_1, beta_2, epsilon, total = hp[0], hp[1], hp[2], zero
    for j in range(theta.size):
        w = theta[j]
        total += w * w
        g = grad[j] + decay * w
        m = beta_1 * mean[j] + (one - beta_1) * g
        v = beta_2 * square[j] + (one - beta_2) * g * g
        mean[j] = m
        square[j] = v
        theta[j] = keep * w - rate * m / (np.sqrt(v) + epsilon)
        grad[j] = zero
    return np.float64(total)


def has_short_series(hp, keep):
    """Whether the terms of the series that are left out are small enough."""
    beta_1, beta_2 = np.float64(hp[0]), np.float64(hp[1])
    if keep <= beta_1:
        return False
    ratio = (1.0 - np.sqrt(beta_2)) / (1.0 - beta_1 / keep)
    error = 1.0
    for p in range(N_MOMENTS):
        error *= (p + 1) * ratio
    return error < TOLERANCE and (beta_1 / keep) ** LONGEST < TOLERANCE


def tables(work):
    """Cut up ``work``, for the S steps of an epoch.

    How many are known; of each its rate; beta_1, beta_2 and keep to the power of 0 to S - 1; the
    moments of a last gradient in each, (S, N_MOMENTS), divided by the power of keep; and
    ``(beta_1 / keep)^j y_j^p``, (LONGEST + 1, N_MOMENTS).
    """
    n_terms = (LONGEST + 1) * N_MOMENTS
    n = (work.size - 1 - n_terms) // (4 + N_MOMENTS)
    return (
        work[:1],
        work[1 : 1 + n],
        work[1 + n : 1 + 2 * n],
        work[1 + 2 * n : 1 + 3 * n],
        work[1 + 3 * n : 1 + 4 * n],
        work[1 + 4 * n : 1 + (4 + N_MOMENTS) * n].reshape(n, N_MOMENTS),
        work[work.size - n_terms :].reshape(LONGEST + 1, N_MOMENTS),
    )


def fill_tables(work, first, step, lr, hp, keep, at_once):
    """Bring the tables up to the steps before ``step``."""
    known, rates, power_1, power_2, shrunk, moments, terms = tables(work)
    beta_1, beta_2 = np.float64(hp[0]), np.float64(hp[1])
    if known[0] == 0 and at_once:
        for j in range(LONGEST + 1):
            term, y = (beta_1 / keep) ** j, 1.0 - np.sqrt(beta_2) ** j
            for p in range(N_MOMENTS):
                terms[j, p] = term
                term *= y
    for u in range(int(known[0]), step - first):
        t = first + u
        rates[u] = lr * np.sqrt(1.0 - beta_2 ** (t + 1.0)) / (1.0 - beta_1 ** (t + 1.0))
        power_1[u], power_2[u], shrunk[u] = beta_1**u, beta_2**u, np.float64(keep) ** u
        if at_once:
            for last in range(max(0, u - LONGEST), u + 1):
                for p in range(N_MOMENTS):
                    moments[last, p] += rates[u] * terms[u - last, p]
    known[0] = step - first
