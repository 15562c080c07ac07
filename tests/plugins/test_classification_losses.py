"""Losses on classes against scikit-learn, their formulas and at their minimum."""

import numpy as np
import pytest
from loss_cases import fit, linear_problem, loss_arguments, one_row, value_and_grad
from scipy.optimize import minimize
from scipy.special import log_softmax, softmax
from sklearn._loss.loss import HalfBinomialLoss, HalfMultinomialLoss
from sklearn.metrics import hinge_loss, log_loss
from sklearn.svm import SVC, LinearSVC

from skmtl.plugins.losses import FocalLoss, LogLoss, MulticlassHinge

pytestmark = pytest.mark.nojit

# --- log loss ------------------------------------------------------------------------------------


@pytest.mark.parametrize("n_classes", [2, 3, 6])
def test_log_loss_is_that_of_scikit_learn(n_classes):
    out, y, weight, hp = loss_arguments(LogLoss(), n_classes)
    proba = LogLoss().proba(out)
    value, grad = value_and_grad(LogLoss(), out, y, weight, hp)
    expected = log_loss(y, proba, sample_weight=weight, labels=range(n_classes))
    assert value == pytest.approx(expected, rel=1e-12)

    oracle = HalfBinomialLoss() if n_classes == 2 else HalfMultinomialLoss(n_classes=n_classes)
    values, grads = oracle.loss_gradient(y[:, 0], out, weight)
    assert value == pytest.approx(values.sum() / weight.sum(), rel=1e-13)
    np.testing.assert_allclose(grad, grads.reshape(out.shape) / weight.sum(), rtol=1e-12)


def test_log_loss_known_values():
    value, grad = one_row(LogLoss(), [0.0], 1)
    assert value == pytest.approx(np.log(2))
    assert grad[0] == pytest.approx(-0.5)
    value, grad = one_row(LogLoss(), np.zeros(4), 0)
    assert value == pytest.approx(np.log(4))
    np.testing.assert_allclose(grad, [-0.75, 0.25, 0.25, 0.25])


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_log_loss_is_least_at_the_smoothed_class_frequencies(smoothing):
    y, weight = np.array([0.0, 0, 0, 1, 2, 2])[:, None], np.array([1.0, 1, 1, 4, 1, 2])
    three = (1 - smoothing) * np.array([3, 4, 3]) / 10 + smoothing / 3
    two = (1 - smoothing) * 0.7 + smoothing / 2
    cases = (np.log([three]), y), (np.log([[two / (1 - two)]]), np.minimum(y, 1))
    for out, codes in cases:
        grad = value_and_grad(LogLoss(smoothing), np.tile(out, (6, 1)), codes, weight)[1]
        np.testing.assert_allclose(grad.sum(axis=0), 0, atol=1e-15)


@pytest.mark.parametrize("smoothing", [0.05, 0.5, 0.99])
@pytest.mark.parametrize("n_classes", [2, 3, 6])
def test_smoothed_labels_are_rows_of_every_class(n_classes, smoothing):
    """A row is one of weight 1 - s and its label, and one of weight s / K for each class."""
    loss = LogLoss(smoothing)
    out, y, weight, _ = loss_arguments(loss, n_classes)
    value, grad = value_and_grad(loss, out, y, weight)
    labels = [y] + [np.full_like(y, k) for k in range(n_classes)]
    shares = [1 - smoothing] + n_classes * [smoothing / n_classes]
    parts = [value_and_grad(LogLoss(), out, label, weight) for label in labels]
    assert value == pytest.approx(np.dot(shares, [v for v, _ in parts]), rel=1e-13)
    np.testing.assert_allclose(grad, sum(s * g for s, (_, g) in zip(shares, parts)), atol=1e-15)


# --- focal loss ----------------------------------------------------------------------------------


@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0, 2.0, 5.0])
@pytest.mark.parametrize("n_classes", [2, 3, 6])
def test_focal_loss_is_its_formula(n_classes, gamma):
    out, y, weight, _ = loss_arguments(FocalLoss(gamma), n_classes)
    logits = np.hstack([np.zeros((8, 1)), out]) if n_classes == 2 else out
    log_p = np.take_along_axis(log_softmax(logits, axis=1), y.astype(int), axis=1)[:, 0]
    expected = np.average(-((1 - np.exp(log_p)) ** gamma) * log_p, weights=weight)
    value, grad = value_and_grad(FocalLoss(gamma), out, y, weight)
    assert value == pytest.approx(expected, rel=1e-12)
    if gamma == 0:
        value, of_log_loss = value_and_grad(LogLoss(), out, y, weight)
        assert value == pytest.approx(expected, rel=1e-13)
        np.testing.assert_allclose(grad, of_log_loss, rtol=1e-12)


@pytest.mark.parametrize("gamma", [0.5, 2.0])
@pytest.mark.parametrize(
    "out, label, n_others", [([40.0], 1, 1), ([-40.0], 0, 1), ([0, 40, 0], 1, 2)]
)
def test_focal_loss_near_certainty(out, label, n_others, gamma):
    """To first order in q = 1 - p it is q^(gamma + 1), though p is 1 in double precision."""
    q = n_others * np.exp(-40.0)
    value, grad = one_row(FocalLoss(gamma), out, label)
    assert value == pytest.approx(q ** (gamma + 1), rel=1e-12)
    slope = (gamma + 1) * q ** (gamma + 1)
    if n_others == 1:
        assert abs(grad[0]) == pytest.approx(slope, rel=1e-12)
    else:
        np.testing.assert_allclose(grad, [slope / 2, -slope, slope / 2], rtol=1e-12)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0, 2.0, 5.0])
@pytest.mark.parametrize("shares", [[0.3, 0.7], [0.05, 0.95], [0.1, 0.2, 0.7], [0.25, 0.35, 0.4]])
def test_focal_loss_gives_the_class_frequencies(shares, gamma):
    """Its minimum's softmax does not, but for gamma = 0; ``proba`` does."""
    loss, codes, weight = FocalLoss(gamma), np.arange(float(len(shares)))[:, None], np.array(shares)

    def objective(z):
        out = np.tile(z, (len(shares), 1))
        value, grad = value_and_grad(loss, out, codes, weight)
        return value, grad.sum(axis=0)

    start = np.zeros(loss.n_outputs(shares))
    best = minimize(objective, start, jac=True, method="BFGS", options={"gtol": 1e-10}).x[None]
    np.testing.assert_allclose(loss.proba(best)[0], shares, rtol=1e-6)
    off = np.abs(LogLoss().proba(best)[0] - shares).max()
    assert off < 1e-6 if gamma == 0 else off > 1e-3


def test_focal_probabilities_without_focus_are_the_softmax():
    out = loss_arguments(FocalLoss(0.0), 4, n_rows=50, scale=20)[0]
    np.testing.assert_allclose(FocalLoss(0.0).proba(out), softmax(out, axis=1), rtol=1e-12)


# --- hinge ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("n_classes", [2, 3, 6])
def test_hinge_is_that_of_scikit_learn(n_classes):
    out, y, weight, _ = loss_arguments(MulticlassHinge(), n_classes)
    decision = out[:, 0] if n_classes == 2 else out
    expected = hinge_loss(y[:, 0], decision, sample_weight=weight, labels=range(n_classes))
    assert value_and_grad(MulticlassHinge(), out, y, weight)[0] == pytest.approx(
        expected, rel=1e-13
    )

    rows = [
        hinge_loss(y[:, 0], decision, sample_weight=only, labels=range(n_classes))
        for only in np.eye(8)
    ]
    squared = value_and_grad(MulticlassHinge(squared=True), out, y, weight)[0]
    assert squared == pytest.approx(np.average(np.square(rows), weights=weight), rel=1e-13)


@pytest.mark.parametrize("squared", [False, True])
def test_hinge_of_two_classes_is_that_of_two_outputs(squared):
    loss = MulticlassHinge(squared)
    out, y, weight, hp = loss_arguments(loss, 2)
    value, grad = value_and_grad(loss, out, y, weight, hp)
    two, of_two = value_and_grad(loss, np.hstack([-out / 2, out / 2]), y, weight, hp)
    assert value == pytest.approx(two, rel=1e-14)
    np.testing.assert_allclose(grad[:, 0], (of_two[:, 1] - of_two[:, 0]) / 2, rtol=1e-14)


def test_hinge_known_gradients():
    """Pushes the right class against the first of its best rivals, and not beyond the margin."""
    loss = MulticlassHinge()
    np.testing.assert_array_equal(one_row(loss, [0.5, 0.2, 0.2], 0)[1], [-1, 1, 0])
    np.testing.assert_array_equal(one_row(loss, [0.5, 0.2, 0.9], 0)[1], [-1, 0, 1])
    np.testing.assert_array_equal(one_row(loss, [1.5, 0.2, 0.5], 0)[1], [0, 0, 0])
    assert one_row(loss, [1.0], 1) == (0, [0])
    assert one_row(MulticlassHinge(squared=True), [0.0], 0) == (1, [2])


def linear_data(n_classes, n=60):
    rng = np.random.default_rng(0)
    X, weight = rng.normal(size=(n, 3)), rng.uniform(0.2, 3, n)
    y = (X @ rng.normal(size=(3, n_classes)) + 0.7 * rng.normal(size=(n, n_classes))).argmax(axis=1)
    return X, y, weight


def test_hinge_is_the_support_vector_machine():
    """No point lies below the machine's, and L-BFGS comes near in spite of the kinks."""
    X, y, weight = linear_data(2)
    C = 1 / (0.1 * weight.sum())
    peer = SVC(kernel="linear", C=C, tol=1e-10).fit(X, y, sample_weight=weight)
    theta = np.append(peer.coef_, peer.intercept_)
    problem = linear_problem(MulticlassHinge(), X, y, weight, 0.1)
    best = problem.objective(theta)[0]
    for direction in np.random.default_rng(0).normal(size=(50, 4)):
        for size in (1e-4, 1e-2, 1.0):
            assert problem.objective(theta + size * direction)[0] > best
    value = fit(MulticlassHinge(), X, y, weight, 0.1)[1]
    assert best <= value * (1 + 1e-9)
    assert value <= 1.01 * best


def test_multiclass_hinge_is_that_of_crammer_and_singer():
    X, y, weight = linear_data(4)
    C = 1 / (0.1 * weight.sum())
    peer = LinearSVC(
        C=C, multi_class="crammer_singer", fit_intercept=False, tol=1e-10, max_iter=100_000
    ).fit(X, y, sample_weight=weight)
    problem = linear_problem(MulticlassHinge(), X, y, weight, 0.1, n_outputs=4)
    theta = np.append(peer.coef_.ravel(), np.zeros(4))
    best = problem.objective(theta)[0]
    for direction in np.random.default_rng(0).normal(size=(50, 12)):
        for size in (1e-4, 1e-2, 1.0):
            assert problem.objective(theta + size * np.append(direction, np.zeros(4)))[0] > best


def test_squared_hinge_is_its_minimum():
    X, y, weight = linear_data(2)

    def objective(theta):
        lack = np.maximum(0, 1 - (2 * y - 1) * (X @ theta[:-1] + theta[-1]))
        return weight @ lack**2 / weight.sum() + 0.05 * theta[:-1] @ theta[:-1]

    expected = minimize(objective, np.zeros(4), method="BFGS", options={"gtol": 1e-8})
    theta, value = fit(MulticlassHinge(squared=True), X, y, weight, 0.1)
    assert value == pytest.approx(expected.fun, rel=1e-12)
    np.testing.assert_allclose(theta, expected.x, rtol=1e-5, atol=1e-6)
