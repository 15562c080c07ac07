"""Steps of one length."""

import numpy as np

from skmtl.plugins.base import Optimizer


class SignDescent(Optimizer):
    """theta_j moves by the learning rate against the sign of its gradient."""

    @staticmethod
    def step(theta, grad, state, lr, step, hp):
        for j in range(theta.size):
            theta[j] -= lr * np.sign(grad[j])
