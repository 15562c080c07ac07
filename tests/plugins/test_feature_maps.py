"""Feature maps against their formulas."""

import numpy as np
import pytest
from scipy.optimize import approx_fprime
from scipy.sparse import csr_array, csr_matrix

from skmtl.plugins.feature_maps import Affine, Identity, Linear

pytestmark = pytest.mark.nojit

FEATURE_MAPS = [Identity(), Linear(), Affine()]


@pytest.mark.parametrize("plugin", FEATURE_MAPS, ids=str)
@pytest.mark.parametrize("n_in, n_out", [(4, 4), (5, 3), (3, 5)])
def test_map_forward_transform_and_gradient(plugin, n_in, n_out):
    rng = np.random.default_rng(0)
    if isinstance(plugin, Identity) and n_in != n_out:
        with pytest.raises(ValueError, match=f"{n_out} columns, but X_source has {n_in}"):
            plugin.init(np.zeros((2, n_in)), np.zeros((2, n_out)), rng)
        return
    theta, hp = (
        plugin.init(np.zeros((2, n_in)), np.zeros((2, n_out)), rng),
        np.array(plugin.hyper()),
    )
    assert theta.shape == (plugin.n_params(n_in, n_out),)
    theta = rng.standard_normal(theta.size)
    X = rng.standard_normal((6, n_in)) * rng.integers(0, 2, (6, n_in))
    dout, work = rng.standard_normal((6, n_out)), np.zeros(plugin.n_work(6, n_in, n_out))
    expected = X
    if theta.size:
        expected = X @ theta[: n_in * n_out].reshape(n_in, n_out)
        expected = expected + (theta[n_in * n_out :] if isinstance(plugin, Affine) else 0)
    for container in (np.asarray, csr_array, csr_matrix):
        mapped = plugin.transform(theta, container(X), n_out)
        if theta.size:
            assert type(mapped) is np.ndarray
        mapped = mapped if isinstance(mapped, np.ndarray) else mapped.toarray()
        np.testing.assert_allclose(mapped, expected, rtol=1e-13)

    def projected(theta):
        out = np.empty((6, n_out))
        plugin.forward(theta, X, hp, work, out)
        np.testing.assert_allclose(out, plugin.transform(theta, X, n_out), rtol=1e-13)
        return (dout * out).sum()

    sparse, rows = csr_array(X), np.arange(6)
    csr = sparse.data, sparse.indices.astype(np.int32), sparse.indptr.astype(np.int64), rows
    out, grad, grad_csr = np.empty((6, n_out)), np.zeros(theta.size), np.zeros(theta.size)
    projected(theta)
    plugin.backward(theta, X, hp, work, dout, grad)
    plugin.forward_csr(theta, *csr, hp, work, out)
    plugin.backward_csr(theta, *csr, hp, work, dout, grad_csr)
    np.testing.assert_allclose(out, expected, rtol=1e-13)
    np.testing.assert_allclose(grad_csr, grad, rtol=1e-12, atol=1e-14)
    if theta.size:  # linear in theta
        np.testing.assert_allclose(
            grad, approx_fprime(theta, projected, 1e-2), rtol=1e-9, atol=1e-11
        )


@pytest.mark.parametrize("plugin", [Linear(), Affine()], ids=str)
def test_where_maps_start(plugin):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((6, 4))
    np.testing.assert_allclose(
        plugin.transform(plugin.init(np.zeros((2, 4)), np.zeros((2, 4)), rng), X, 4), X
    )
    wide = plugin.transform(plugin.init(np.zeros((2, 4)), np.zeros((2, 7)), rng), X, 7)
    np.testing.assert_allclose(wide @ wide.T, X @ X.T, rtol=1e-12)
    assert plugin.init(np.zeros((2, 7)), np.zeros((2, 4)), rng).shape == (plugin.n_params(7, 4),)
