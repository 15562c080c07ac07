"""Powers of the weights."""

from skmtl.plugins.base import COLUMNS, OFFSET, ROWS, Penalty


class Power(Penalty):
    """Sum of |theta_j| ** power / power, for a power above 1."""

    def __init__(self, power=1.5):
        self.power = power

    def hyper(self):
        self._check_number("power", low=1, closed="neither")
        return [float(self.power)]

    @staticmethod
    def value_grad(theta, layout, strength, hp, constants, work, grad):
        total, power = 0.0, float(hp[0])
        for b in range(layout.shape[0]):
            start = layout[b, OFFSET]
            for j in range(start, start + layout[b, ROWS] * layout[b, COLUMNS]):
                slope = abs(theta[j]) ** (power - 1)
                total += slope * abs(theta[j]) / power
                grad[j] += strength * slope if theta[j] > 0 else -strength * slope
        return strength * total
