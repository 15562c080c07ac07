"""Data to try several tasks and transfer on."""

from skmtl.datasets.digits import load_digits_tasks
from skmtl.datasets.mnist import load_mnist_digits_pair

__all__ = ["load_digits_tasks", "load_mnist_digits_pair"]
