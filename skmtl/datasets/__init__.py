"""Data to try several tasks and transfer on: `load_*` is there, `fetch_*` comes from the net."""

from skmtl.datasets.digits import load_digits_tasks
from skmtl.datasets.mnist import load_mnist_digits_pair
from skmtl.datasets.synthetic import make_related_tasks, make_transfer_pair
from skmtl.datasets.texts import fetch_books, fetch_movies
from skmtl.datasets.yeast import load_yeast_tasks

__all__ = [
    "fetch_books",
    "fetch_movies",
    "load_digits_tasks",
    "load_mnist_digits_pair",
    "load_yeast_tasks",
    "make_related_tasks",
    "make_transfer_pair",
]
