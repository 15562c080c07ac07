"""The yeast data: what river brings, and what is said where it does not."""

import gzip
import sys
from importlib.util import find_spec

import numpy as np
import pytest

from skmtl.datasets import load_yeast_tasks


@pytest.fixture
def river(tmp_path, monkeypatch):
    """A folder that stands in for the installed package; to import it would fail."""
    monkeypatch.delitem(sys.modules, "river", raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "river" / "datasets").mkdir(parents=True)
    (tmp_path / "river" / "__init__.py").write_text("raise RuntimeError('imported')")
    return tmp_path / "river" / "datasets"


def test_the_file_is_read(river):
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(7, 103)).round(6), rng.integers(2, size=(7, 14))
    names = [f"Att{j}" for j in range(1, 104)] + [f"Class{t}" for t in range(1, 15)]
    with gzip.open(river / "yeast.csv.gz", "wt") as out:
        print(*names, sep=",", file=out)
        for row, labels in zip(X, y):
            print(*row, *labels, sep=",", file=out)
    yeast = load_yeast_tasks()
    np.testing.assert_array_equal(yeast.data, X)
    np.testing.assert_array_equal(yeast.target, y)
    assert yeast.target.dtype == np.int64
    assert yeast.feature_names + yeast.task_names == names
    assert yeast.task_names[0] == "Class1"
    assert yeast.filename == str(river / "yeast.csv.gz")
    for array, expected in zip(load_yeast_tasks(return_X_y=True), (X, y)):
        np.testing.assert_array_equal(array, expected)


def test_an_old_river_has_no_file(river):
    with pytest.raises(ImportError, match=r"river 0\.26 or newer.*pip install skmtl\[data\]"):
        load_yeast_tasks()


def test_without_river(monkeypatch):
    monkeypatch.setitem(sys.modules, "river", None)
    with pytest.raises(ImportError, match=r"package river: pip install skmtl\[data\]"):
        load_yeast_tasks()


@pytest.mark.skipif(
    find_spec("river") is None, reason="needs skmtl[data]; river has no yeast for the oldest NumPy"
)
def test_the_real_file():
    """Rows, columns, labels a gene and genes a class as published with the data."""
    yeast = load_yeast_tasks()
    assert yeast.data.shape == (2417, 103)
    np.testing.assert_allclose(np.linalg.norm(yeast.data, axis=1), 1, atol=2e-6)
    assert np.unique(yeast.target).tolist() == [0, 1]
    assert yeast.target.sum(axis=1).mean() == pytest.approx(4.237, abs=5e-4)
    counts = [762, 1038, 983, 862, 722, 597, 428, 480, 178, 253, 289, 1816, 1799, 34]
    assert yeast.target.sum(axis=0).tolist() == counts
    assert "river" not in sys.modules
