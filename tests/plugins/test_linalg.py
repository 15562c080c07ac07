"""Small linear algebra of the plugins against NumPy."""

import numpy as np
import pytest

from skmtl.plugins.linalg import eigh

pytestmark = pytest.mark.nojit


@pytest.mark.parametrize("n", [1, 2, 3, 8, 20])
@pytest.mark.parametrize("kind", ["random", "gram", "diagonal", "rank one", "zero", "scaled"])
def test_eigh(n, kind):
    rng = np.random.default_rng(n)
    m = rng.standard_normal((n, n))
    a = {
        "random": m + m.T,
        "gram": m @ m.T,
        "diagonal": np.diag(m[0]),
        "rank one": np.outer(m[0], m[0]),
        "zero": np.zeros((n, n)),
        "scaled": 1e-150 * (m + m.T),
    }[kind]
    values, vectors = np.full(n, np.nan), np.full((n, n), np.nan)
    eigh(a.copy(), values, vectors)
    scale = max(np.abs(a).max(), 1e-300)
    expected = np.linalg.eigvalsh(a)
    np.testing.assert_allclose(np.sort(values) / scale, expected / scale, atol=1e-13 * n)
    np.testing.assert_allclose(vectors.T @ vectors, np.eye(n), atol=1e-13 * n)
    np.testing.assert_allclose((vectors * values) @ vectors.T / scale, a / scale, atol=1e-13 * n)
