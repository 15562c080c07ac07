"""Feature maps against their formulas."""

import numpy as np
import pytest
from scipy.linalg import orthogonal_procrustes
from scipy.sparse import csr_array, csr_matrix
from scipy.stats import ortho_group

from skmtl.engine import compile as compiler
from skmtl.plugins.feature_maps import (
    Affine,
    Diagonal,
    Identity,
    Linear,
    LowRank,
    MLPMap,
    Orthogonal,
    ResidualMLP,
    SubspaceAlignment,
)
from skmtl.plugins.feature_maps.axes import match_axes

pytestmark = pytest.mark.nojit

FEATURE_MAPS = [
    Identity(),
    Linear(),
    Affine(),
    Diagonal(),
    LowRank(2),
    MLPMap(7),
    MLPMap((2,), activation="relu"),
    ResidualMLP(7),
    ResidualMLP(2, activation="relu"),
    Orthogonal(),
    SubspaceAlignment(),
]
ONLY_SQUARE = {
    Identity: "{} columns, but X_source has {}",
    Diagonal: "the target's {}, but X_source has {}",
    SubspaceAlignment: "the target's {}, but X_source has {}",
}
SIZES = [(4, 4), (5, 3), (3, 5)]
ROWS = np.array([4, 0, 0, 5, 2, 1])


def formula(plugin, theta, X, n_out):
    """g(X) in NumPy, from the order of parameters that each class states."""
    n_in = X.shape[1]
    if isinstance(plugin, Identity):
        return X
    if isinstance(plugin, Diagonal):
        return X @ np.diag(theta[:n_in]) + theta[n_in:]
    if isinstance(plugin, Linear):
        A, b = np.split(theta, [n_in * n_out])
        return X @ A.reshape(n_in, n_out) + (b if b.size else 0)
    if isinstance(plugin, LowRank):
        U, V = np.split(theta, [n_in * plugin.rank])
        return X @ (np.eye(n_in, n_out) + U.reshape(n_in, -1) @ V.reshape(-1, n_out))
    width, has_base = int(plugin.hyper()[0]), isinstance(plugin, ResidualMLP)
    sizes = [n_in * width, n_in * n_out * has_base, width, width * n_out]
    W1, A, b1, W2, b2 = np.split(theta, np.cumsum(sizes))
    hidden = X @ W1.reshape(n_in, width) + b1
    hidden = np.tanh(hidden) if plugin.activation == "tanh" else np.maximum(hidden, 0)
    base = X @ A.reshape(n_in, n_out) if has_base else 0
    return base + hidden @ W2.reshape(width, n_out) + b2


class Case:
    """A map with random parameters, rows with zeros, and calls of its functions."""

    def __init__(self, plugin, n_in, n_out, dtype="float64"):
        rng = np.random.default_rng(0)
        self.plugin, self.n_out = plugin, n_out
        self.theta = rng.standard_normal(plugin.n_params(n_in, n_out)).astype(dtype)
        self.X = (rng.standard_normal((6, n_in)) * rng.integers(0, 2, (6, n_in))).astype(dtype)
        self.dout = rng.standard_normal((6, n_out)).astype(dtype)
        self.hp = np.array(plugin.hyper(), dtype)
        self.work = np.full(plugin.n_work(6, n_in, n_out), np.nan, dtype)
        sparse = csr_array(self.X)
        csr = sparse.data, sparse.indices.astype(np.int32), sparse.indptr.astype(np.int64), ROWS
        self.inputs = {"": (self.X[ROWS].copy(),), "_csr": csr}

    def __call__(self, suffix, get=getattr):
        """Mapped rows, and the gradient of their inner product with dout."""
        out, grad = np.full_like(self.dout, np.nan), np.zeros_like(self.theta)
        inputs = self.theta, *self.inputs[suffix], self.hp, self.work
        get(type(self.plugin), "forward" + suffix)(*inputs, out)
        get(type(self.plugin), "backward" + suffix)(*inputs, self.dout, grad)
        return out, grad


CASES = [
    pytest.param(plugin, *sizes, id=f"{plugin}-{sizes[0]}-{sizes[1]}")
    for plugin in FEATURE_MAPS
    for sizes in SIZES
    if sizes[0] == sizes[1] or type(plugin) not in ONLY_SQUARE
]


def start(plugin, X_source, X_target, seed=0, **labels):
    theta = plugin.init(X_source, X_target, np.random.default_rng(seed), **labels)
    assert theta.shape == (plugin.n_params(X_source.shape[1], X_target.shape[1]),)
    return theta


@pytest.mark.parametrize("plugin, n_in, n_out", CASES)
def test_forward_transform_and_gradient(plugin, n_in, n_out):
    case = Case(plugin, n_in, n_out)
    expected = formula(plugin, case.theta, case.X, n_out)
    for container in (np.asarray, csr_array, csr_matrix):
        mapped = plugin.transform(case.theta, container(case.X), n_out)
        if not isinstance(plugin, Identity):
            assert type(mapped) is np.ndarray
        mapped = mapped if isinstance(mapped, np.ndarray) else mapped.toarray()
        np.testing.assert_allclose(mapped, expected, rtol=1e-12, atol=1e-14)
    (out, grad), (out_csr, grad_csr) = case(""), case("_csr")
    np.testing.assert_allclose(out, expected[ROWS], rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(out_csr, expected[ROWS], rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(grad_csr, grad, rtol=1e-11, atol=1e-13)

    numerical, step = np.empty_like(grad), 1e-6
    for k in range(grad.size):
        above, below = case.theta.copy(), case.theta.copy()
        above[k] += step
        below[k] -= step
        gap = formula(plugin, above, case.X, n_out) - formula(plugin, below, case.X, n_out)
        numerical[k] = (case.dout * gap[ROWS]).sum() / (2 * step)
    assert np.linalg.norm(grad - numerical) <= 1e-6 * np.linalg.norm(numerical)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("plugin, n_in, n_out", CASES)
def test_compiled_equals_plain(plugin, n_in, n_out, dtype):
    def compiled(owner, name):
        return compiler.compiled(getattr(owner, name), name, dtype)

    rtol = {"float32": 1e-5, "float64": 1e-12}[dtype]
    case = Case(plugin, n_in, n_out, dtype)
    for suffix in case.inputs:
        for array, expected in zip(case(suffix, compiled), case(suffix)):
            assert array.dtype == dtype
            np.testing.assert_allclose(array, expected, rtol=rtol, atol=rtol)


@pytest.mark.parametrize("plugin, n_in, n_out", CASES)
def test_blocks_cover_the_parameters_but_not_twice(plugin, n_in, n_out):
    counts = np.zeros(plugin.n_params(n_in, n_out), int)
    for offset, rows, columns, bias, *_ in plugin.blocks(n_in, n_out):
        counts[offset : offset + rows * columns] += 1
        if bias >= 0:
            counts[bias : bias + columns] += 1
    np.testing.assert_array_equal(counts, 1)


@pytest.mark.parametrize("plugin", FEATURE_MAPS, ids=str)
@pytest.mark.parametrize("n_in, n_out", SIZES[1:])
def test_maps_between_unlike_spaces(plugin, n_in, n_out):
    spaces = np.zeros((2, n_in)), np.zeros((2, n_out))
    if type(plugin) in ONLY_SQUARE:
        with pytest.raises(ValueError, match=ONLY_SQUARE[type(plugin)].format(n_out, n_in)):
            start(plugin, *spaces)
    else:
        assert np.isfinite(start(plugin, *spaces)).all()


@pytest.mark.parametrize(
    "plugin", [Linear(), Affine(), Diagonal(), LowRank(3), ResidualMLP(5)], ids=str
)
def test_start_at_the_identity(plugin):
    X = np.random.default_rng(0).standard_normal((6, 4))
    np.testing.assert_allclose(plugin.transform(start(plugin, X, X), X, 4), X)


def test_start_between_unlike_spaces():
    rng = np.random.default_rng(0)
    X, wide, narrow = rng.standard_normal((6, 4)), np.zeros((2, 7)), np.zeros((2, 3))
    for plugin in (Linear(), Affine(), ResidualMLP(5)):
        mapped = plugin.transform(start(plugin, X, wide), X, 7)
        np.testing.assert_allclose(mapped @ mapped.T, X @ X.T, rtol=1e-12)
        mapped = plugin.transform(start(plugin, X, narrow), np.eye(4), 3)
        np.testing.assert_allclose(mapped.T @ mapped, np.eye(3), atol=1e-12)
    for target, expected in ((narrow, X[:, :3]), (wide, np.pad(X, ((0, 0), (0, 3))))):
        mapped = LowRank(2).transform(start(LowRank(2), X, target), X, target.shape[1])
        np.testing.assert_array_equal(mapped, expected)


def test_mlp_start_is_glorot():
    theta = start(MLPMap(200), np.zeros((2, 100)), np.zeros((2, 50)))
    W1, b1, W2, b2 = np.split(theta, np.cumsum([20_000, 200, 10_000]))
    assert not b1.any()
    assert not b2.any()
    for weight, n in ((W1, 300), (W2, 250)):
        assert 0.99 * np.sqrt(6 / n) < np.abs(weight).max() <= np.sqrt(6 / n)
        assert weight.var() == pytest.approx(2 / n, rel=0.05)


# --- starts in closed form -------------------------------------------------------------------


def rotated(n, d, seed, n_classes, skewed=False):
    """Target rows of some classes, the same rows rotated and moved as a source, and the map."""
    rng = np.random.default_rng(seed)
    y = np.arange(n) % n_classes
    noise = rng.exponential(size=(n, d)) if skewed else rng.standard_normal((n, d))
    X = 3 * rng.standard_normal((n_classes, d))[y] + noise * np.arange(1, d + 1)
    A = ortho_group.rvs(d, random_state=seed)
    offset = rng.standard_normal(d)
    return (X - offset) @ A.T, X, y, A, offset


def parts(theta, n_in, n_out):
    return theta[: n_in * n_out].reshape(n_in, n_out), theta[n_in * n_out :]


@pytest.mark.parametrize("container", [np.asarray, csr_array])
@pytest.mark.parametrize("seed", range(3))
def test_orthogonal_recovers_a_planted_rotation(seed, container):
    """From class means that span the space; on few classes, or no labels, from skewed rows."""
    for n_classes, skewed, labelled in ((6, False, True), (3, True, True), (2, True, False)):
        source, target, y, A, offset = rotated(240, 4, seed, n_classes, skewed)
        labels = {"y_source": y, "y_target": y} if labelled else {}
        theta = start(Orthogonal(), container(source), container(target), **labels)
        found, b = parts(theta, 4, 4)
        np.testing.assert_allclose(found, A, atol=1e-8)
        np.testing.assert_allclose(b, offset, atol=1e-8)


@pytest.mark.parametrize("turn", [np.eye(2), -np.eye(2), np.array([[0, 1], [-1, 0]])])
@pytest.mark.parametrize("seed", range(4))
def test_orthogonal_finds_what_no_moment_tells(seed, turn):
    """Axes of nearly one variance and no skewness: one cloud on this side, two on the other."""
    rng = np.random.default_rng(seed)
    means = np.array([[-1, 1], [-1, 1], [1.5, 0.5], [-0.5, -1.5]])

    def draw():
        return means[np.arange(400) % 4] + 0.5 * rng.standard_normal((400, 2))

    A, b = parts(start(Orthogonal(), draw() @ turn.T, draw()), 2, 2)
    found = means @ turn.T @ A + b
    # The two clouds may change places, and the axes turn by some degrees: they lie 1.6 apart.
    np.testing.assert_allclose(found[0], means[0], atol=0.6)
    np.testing.assert_allclose(found[2:].mean(axis=0), means[2:].mean(axis=0), atol=0.6)


@pytest.mark.parametrize("seed", range(4))
def test_orthogonal_turns_nothing_where_columns_fit_as_they_are(seed):
    """A round cloud has axes in any direction; moved and shrunken, it needs none of them."""
    source, target = np.random.default_rng(seed).standard_normal((2, 300, 3))
    A, b = parts(start(Orthogonal(), source, 0.7 * target + 1), 3, 3)
    np.testing.assert_allclose(A, np.eye(3), atol=1e-12)
    np.testing.assert_allclose(b, 0.7 * target.mean(axis=0) + 1 - source.mean(axis=0), atol=1e-12)


@pytest.mark.parametrize("n_axes", [1, 2, 3])
def test_axes_are_matched_to_the_nearest_rows(n_axes):
    rng = np.random.default_rng(0)
    rows = rng.exponential(size=(600, n_axes)) * np.linspace(2, 1, n_axes)
    rows -= rows.mean(axis=0)
    order = [1, 0, *range(2, n_axes)] if n_axes > 1 else [0]
    Q = np.eye(n_axes)[:, order] * np.where(np.arange(n_axes) % 3, 1, -1)
    np.testing.assert_allclose(match_axes(3 * rows @ Q, rows), Q.T, atol=1e-12)
    np.testing.assert_array_equal(match_axes(rows, rows[::-1]), np.eye(n_axes))


def test_orthogonal_is_scipys_procrustes_between_class_means():
    rng = np.random.default_rng(0)
    y_source, y_target = rng.integers(-1, 6, 90), rng.integers(-1, 5, 70)  # -1: no label
    source, target = rng.standard_normal((90, 4)), rng.standard_normal((70, 4))
    theta = start(Orthogonal(), source, target, y_source=y_source, y_target=y_target)
    means = [
        np.array([X[y == c].mean(axis=0) for c in range(5)])
        for X, y in ((source, y_source), (target, y_target))
    ]
    centres = [m.mean(axis=0) for m in means]
    expected, _ = orthogonal_procrustes(means[0] - centres[0], means[1] - centres[1])
    A, b = parts(theta, 4, 4)
    np.testing.assert_allclose(A, expected, atol=1e-12)
    np.testing.assert_allclose(b, centres[1] - centres[0] @ A, atol=1e-12)


@pytest.mark.parametrize("n_in, n_out", [(4, 4), (6, 3), (3, 6)])
@pytest.mark.parametrize("n_classes", [0, 1, 2, 3, 9])
def test_orthogonal_starts_semi_orthogonal(n_in, n_out, n_classes):
    rng = np.random.default_rng(0)
    source, target = rng.standard_normal((50, n_in)), rng.standard_normal((40, n_out))
    labels = {}
    if n_classes:
        labels = {"y_source": np.arange(50) % n_classes, "y_target": np.arange(40) % n_classes}
    A, b = parts(start(Orthogonal(), source, target, **labels), n_in, n_out)
    gram = A.T @ A if n_in >= n_out else A @ A.T
    np.testing.assert_allclose(gram, np.eye(min(n_in, n_out)), atol=1e-12)
    if n_classes < 2:
        np.testing.assert_allclose(source.mean(axis=0) @ A + b, target.mean(axis=0), atol=1e-12)
    if n_classes == 2:  # the difference of means is taken onto the other one
        gap_s = source[1::2].mean(axis=0) - source[::2].mean(axis=0)
        gap_t = target[1::2].mean(axis=0) - target[::2].mean(axis=0)
        cosine = gap_s @ A @ gap_t / np.linalg.norm(gap_s) / np.linalg.norm(gap_t)
        assert cosine == pytest.approx(1)


@pytest.mark.parametrize("container", [np.asarray, csr_array])
@pytest.mark.parametrize("n_components, dimension", [(1, 1), (3, 3), (0.9, None), (None, 5)])
def test_subspace_alignment_formula(container, n_components, dimension):
    rng = np.random.default_rng(0)
    source = rng.standard_normal((40, 5)) @ rng.standard_normal((5, 5)) + 1
    target = rng.standard_normal((30, 5)) @ rng.standard_normal((5, 5)) - 2
    plugin = SubspaceAlignment(n_components)
    A, b = parts(start(plugin, container(source), container(target)), 5, 5)
    (_, s, axes_s), (_, t, axes_t) = (
        np.linalg.svd(X - X.mean(axis=0), full_matrices=False) for X in (source, target)
    )
    if dimension is None:
        explained = [np.cumsum(v**2) / np.sum(v**2) for v in (s, t)]
        dimension = 1 + max(np.flatnonzero(e >= n_components)[0] for e in explained)
        assert 1 < dimension < 5
    P_s, P_t = axes_s[:dimension].T, axes_t[:dimension].T
    np.testing.assert_allclose(A, P_s @ (P_s.T @ P_t) @ P_t.T, atol=1e-10)
    np.testing.assert_allclose(b, target.mean(axis=0) - source.mean(axis=0) @ A, atol=1e-10)
    # Distances to target rows within the subspace are those of the paper.
    ours = (source @ A + b - target.mean(axis=0)) @ P_t
    np.testing.assert_allclose(ours, (source - source.mean(axis=0)) @ P_s @ P_s.T @ P_t, atol=1e-9)


def test_subspace_alignment_of_few_rows():
    rng = np.random.default_rng(0)
    A, _ = parts(
        start(SubspaceAlignment(None), rng.standard_normal((3, 5)), rng.standard_normal((9, 5))),
        5,
        5,
    )
    assert np.linalg.matrix_rank(A) == 2


@pytest.mark.parametrize(
    "plugin, message",
    [
        (LowRank(0), "'rank' parameter of LowRank must be a number in"),
        (LowRank(1.5), "'rank' parameter of LowRank must be an int"),
        (MLPMap(()), "'hidden_layer_sizes' parameter of MLPMap must be one int"),
        (MLPMap((4, 4)), "'hidden_layer_sizes' parameter of MLPMap must be one int"),
        (ResidualMLP(0), "'hidden_layer_sizes' parameter of ResidualMLP must be one int"),
        (ResidualMLP(2.0), "'hidden_layer_sizes' parameter of ResidualMLP must be one int"),
        (MLPMap(activation="gelu"), "'activation' parameter of MLPMap must be one of"),
        (SubspaceAlignment(0), "'n_components' parameter of SubspaceAlignment"),
        (SubspaceAlignment(1.0), "'n_components' parameter of SubspaceAlignment"),
        (SubspaceAlignment(True), "'n_components' parameter of SubspaceAlignment"),
        (SubspaceAlignment("mle"), "'n_components' parameter of SubspaceAlignment"),
    ],
    ids=str,
)
def test_invalid_parameters(plugin, message):
    with pytest.raises(ValueError, match=message):
        plugin.hyper()
    with pytest.raises(ValueError, match=message):
        plugin.init(np.ones((3, 4)), np.ones((3, 4)), np.random.default_rng(0))
