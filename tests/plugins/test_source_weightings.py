"""Weights of a source's rows: closed forms, direct maximisation, and what a fit makes of them."""

import numpy as np
import pytest
from scipy.optimize import LinearConstraint, minimize
from scipy.sparse import csr_array
from scipy.special import expit
from scipy.stats import norm
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from tables import QUICK, blobs, source_of, theta_of

from skmtl import TransferClassifier, TransferRegressor, as_source
from skmtl.plugins.base import SourceWeighting
from skmtl.plugins.source_weightings import KLIEP, KMM, Balanced, DiscriminatorRatio, Uniform
from skmtl.plugins.source_weightings.kernels import median_distance
from skmtl.plugins.source_weightings.kmm import match_means, project

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

READERS = [DiscriminatorRatio(), KLIEP(), KMM()]


def generator():
    return np.random.default_rng(0)


def gaussians(n_source=1500, n_target=1500, shift=1.0, scale=1.0):
    """Rows of N(0, 1) and N(shift, scale^2), and the ratio of their densities at the source's."""
    rng = np.random.default_rng(4)
    X_s, X_t = rng.standard_normal((n_source, 1)), rng.standard_normal((n_target, 1))
    ratio = norm.pdf(X_s.ravel(), shift, scale) / norm.pdf(X_s.ravel())
    return X_s, shift + scale * X_t, ratio


# --- against known density ratios ----------------------------------------------------------------


@pytest.mark.parametrize("weighting, error", list(zip(READERS, (0.03, 0.15, 0.25))), ids=str)
def test_two_gaussians_of_one_variance(weighting, error):
    X_s, X_t, ratio = gaussians(shift=0.7)
    w = weighting.weigh(X_s, None, X_t, None, generator())
    assert abs(w.mean() - 1) < 0.1
    assert np.abs(w - ratio).mean() < error


@pytest.mark.parametrize("weighting", [KLIEP(), KMM()], ids=str)
def test_kernels_see_another_variance(weighting):
    """Where a linear logit cannot: log w is a parabola."""
    X_s, X_t, ratio = gaussians(shift=0.0, scale=0.5)
    w = weighting.weigh(X_s, None, X_t, None, generator())
    linear = DiscriminatorRatio().weigh(X_s, None, X_t, None, generator())
    assert np.abs(w - ratio).mean() < 0.15
    assert np.abs(linear - ratio).mean() > 0.4


@pytest.mark.parametrize("weighting", READERS, ids=str)
def test_equal_samples_weigh_about_one(weighting):
    X_s, X_t, _ = gaussians(500, 500, shift=0.0)
    for X in (X_s, X_t):
        w = weighting.weigh(X_s, None, X, None, generator())
        assert w.max() < 2
        assert np.abs(w - 1).mean() < 0.15


def test_a_shift_of_units_changes_nothing():
    X_s, X_t, _ = gaussians(300, 200)
    for weighting in READERS:
        plain, scaled = (
            weighting.weigh(c * X_s + 3, None, c * X_t + 3, None, generator()) for c in (1, 1000)
        )
        np.testing.assert_allclose(plain, scaled, rtol=1e-2, atol=2e-3)


# --- the formulas --------------------------------------------------------------------------------


def test_the_discriminator_is_bayes_rule():
    rng = generator()
    X_s, X_t = rng.standard_normal((40, 3)), rng.standard_normal((25, 3)) + 0.5
    X = np.vstack([X_s, X_t])
    Z = (X - X.mean(axis=0)) / X.std(axis=0)
    model = LogisticRegression(C=0.3, max_iter=1000).fit(Z, np.arange(65) >= 40)
    p = model.predict_proba(Z[:40])[:, 1]
    expected = p / (1 - p) * 40 / 25
    w = DiscriminatorRatio(C=0.3).weigh(X_s, None, X_t, None, rng)
    np.testing.assert_allclose(w, expected, rtol=1e-6)
    clipped = DiscriminatorRatio(C=0.3, max_weight=1.5).weigh(X_s, None, X_t, None, rng)
    np.testing.assert_allclose(clipped, np.minimum(expected, 1.5), rtol=1e-6)
    assert (expected > 1.5).any()


def test_the_discriminator_takes_domains_that_do_not_meet():
    X_s, X_t = np.zeros((20, 2)), np.full((20, 2), 1e6)
    w = DiscriminatorRatio(C=1e6).weigh(X_s, None, X_t, None, generator())
    assert np.isfinite(w).all()
    assert w.min() > 0


def test_kliep_against_direct_maximisation():
    """SciPy's SLSQP on alpha with the constraint, as the paper states it."""
    rng = np.random.default_rng(2)
    X_s, X_t, width = rng.standard_normal((30, 2)), rng.standard_normal((8, 2)) + 0.6, 0.9

    def kernel(X):
        return np.exp(-((X[:, None] - X_t) ** 2).sum(axis=2) / (2 * width**2))

    mean, of_target = kernel(X_s).mean(axis=0), kernel(X_t)
    best = minimize(
        lambda alpha: -np.log(of_target @ alpha).mean(),
        np.full(8, 1 / mean.sum()),
        jac=lambda alpha: -(1 / (of_target @ alpha)) @ of_target / 8,
        method="SLSQP",
        bounds=[(0, None)] * 8,
        constraints=LinearConstraint(mean, 1, 1),
        options={"ftol": 1e-14, "maxiter": 500},
    )
    w = KLIEP(width=width).weigh(X_s, None, X_t, None, generator())
    np.testing.assert_allclose(w, kernel(X_s) @ best.x, rtol=2e-3, atol=2e-3)
    assert w.mean() == pytest.approx(1, rel=1e-9)


def test_kliep_chooses_the_width_by_likelihood():
    """A narrow target needs a narrow kernel: no width that is tried does better by the truth."""
    X_s, X_t, ratio = gaussians(shift=0.5, scale=0.3)
    median = median_distance(X_s, X_t, generator())

    def error(width):
        w = KLIEP(width=width).weigh(X_s, None, X_t, None, generator())
        return np.abs(w - ratio).mean()

    errors = [error(factor * median) for factor in (0.1, 0.5, 1.0, 2.0)]
    assert error(None) < 1.3 * min(errors)
    assert error(None) < 0.5 * errors[-1]


@pytest.mark.parametrize("distance", [0.0, 100.0, 1e8])
@pytest.mark.parametrize("weighting", READERS, ids=str)
def test_domains_that_do_not_meet(weighting, distance):
    rng = np.random.default_rng(1)
    X_s, X_t = rng.standard_normal((30, 2)), rng.standard_normal((20, 2)) + distance
    w = weighting.weigh(X_s, None, X_t, None, rng)
    assert np.isfinite(w).all()
    assert w.max() > 0
    constant = weighting.weigh(np.ones((30, 2)), None, np.ones((20, 2)), None, rng)
    np.testing.assert_allclose(constant, constant[0])


def test_kmm_against_scipy():
    rng = np.random.default_rng(5)
    X_s, X_t = rng.standard_normal((12, 2)), rng.standard_normal((9, 2)) + 0.5
    width, n = 0.7, 12

    def kernel(X, Z):
        return np.exp(-((X[:, None] - Z) ** 2).sum(axis=2) / (2 * width**2))

    K, m = kernel(X_s, X_s), kernel(X_s, X_t).mean(axis=1)
    epsilon = (np.sqrt(n) - 1) / np.sqrt(n)
    slab = LinearConstraint(np.ones(n), n * (1 - epsilon), n * (1 + epsilon))
    for max_weight in (20.0, 1.4):
        best = minimize(
            lambda w: w @ K @ w / (2 * n) - w @ m,
            np.ones(n),
            jac=lambda w: K @ w / n - m,
            method="SLSQP",
            bounds=[(0, max_weight)] * n,
            constraints=slab,
            options={"ftol": 1e-15, "maxiter": 1000},
        )
        w = match_means(K, m, max_weight, tol=1e-9)
        np.testing.assert_allclose(w, best.x, atol=1e-4)
        assert (w <= max_weight).all()
    w = KMM(width=width).weigh(X_s, None, X_t, None, generator())
    np.testing.assert_allclose(w, match_means(K, m, 20.0), atol=1e-9)


def test_the_projection_of_kmm():
    rng = np.random.default_rng(0)
    for centre, low, high in ((-3.0, 2.0, 9.0), (3.0, 2.0, 9.0), (0.5, 2.0, 9.0)):
        w = centre + rng.standard_normal(10)
        found = project(w, 2.0, low, high)
        best = minimize(
            lambda v, w=w: ((v - w) ** 2).sum() / 2,
            np.full(10, 0.5),
            jac=lambda v, w=w: v - w,
            method="SLSQP",
            bounds=[(0, 2.0)] * 10,
            constraints=LinearConstraint(np.ones(10), low, high),
            options={"ftol": 1e-14},
        )
        np.testing.assert_allclose(found, best.x, atol=1e-6)


def test_kmm_in_blocks_is_kmm_on_each():
    X_s, X_t, _ = gaussians(900, 300, shift=0.7)
    w = KMM(block_size=300).weigh(X_s, None, X_t, None, generator())
    for rows in (slice(None), slice(450)):
        mean = np.average(X_s[rows].ravel(), weights=w[rows])
        assert abs(mean - X_t.mean()) < 0.2 * abs(X_s[rows].mean() - X_t.mean())
    rng = generator()
    width = median_distance(X_s, X_t, rng)
    rows = np.array_split(rng.permutation(900), 3)[1]
    alone = KMM(width=width).weigh(X_s[rows], None, X_t, None, generator())
    assert np.array_equal(w[rows], alone)


def test_balanced_by_hand():
    y_s, y_t = np.array([0] * 6 + [1] * 3 + [3]), np.array([0, 1, 1, 2, -1])
    for smoothing in (0.0, 1.0):
        wanted = np.array([1, 2, 0]) + smoothing  # class 2 is none of the source's
        w = Balanced(smoothing).weigh(None, y_s, None, y_t, None)
        expected = (wanted / wanted.sum() / [0.6, 0.3, 0.1])[[0] * 6 + [1] * 3 + [2]]
        np.testing.assert_allclose(w, expected)
    for unknown in (None, np.full(3, -1), np.array([2, 2])):
        w = Balanced(0.0).weigh(None, y_s, None, unknown, None)
        np.testing.assert_allclose([w[:6].sum(), w[6:9].sum(), w[9]], 10 / 3)


@pytest.mark.parametrize(
    "weighting",
    [
        Balanced(-1.0),
        DiscriminatorRatio(C=0.0),
        DiscriminatorRatio(max_weight=1.0),
        KLIEP(n_centers=0),
        KLIEP(width=0.0),
        KMM(width=-1.0),
        KMM(max_weight=0.5),
        KMM(block_size=1.5),
    ],
    ids=str,
)
def test_bad_numbers_are_named(weighting):
    default = type(weighting)().get_params()
    ((name, value),) = [(n, v) for n, v in weighting.get_params().items() if v != default[n]]
    with pytest.raises(ValueError, match=f"'{name}' parameter of .* Got {value!r}"):
        quick(source_sample_weighting=weighting).fit(*blobs(), **source_of())


# --- in a fit ------------------------------------------------------------------------------------


def quick(**parameters):
    return TransferClassifier(**{**QUICK, **parameters})


class Given(SourceWeighting):
    """Weights that a test chooses; ``keep`` notes the arguments of ``weigh``."""

    def __init__(self, weights=None, keep=None):
        self.weights, self.keep = weights, keep

    def weigh(self, X_source, y_source, X_target, y_target, rng):
        if self.keep is not None:
            self.keep.append((X_source, y_source, X_target, y_target))
        return self.weights


def test_uniform_is_the_default_and_draws_nothing():
    X, y = blobs()
    one = quick(feature_map="linear").fit(X, y, **source_of())
    other = quick(feature_map="linear", source_sample_weighting=Uniform()).fit(X, y, **source_of())
    ones = quick(feature_map="linear", source_sample_weighting=Given(np.full(80, 0.3)))
    ones.fit(X, y, **source_of())
    assert np.array_equal(theta_of(one), theta_of(other))
    assert np.array_equal(theta_of(one), theta_of(ones))
    assert np.array_equal(one.source_sample_weights_[0], np.ones(80))


@pytest.mark.parametrize("strategy", ["joint", "source_only", "finetune", "pooled"])
def test_a_weight_of_two_is_the_row_twice(strategy):
    """And of zero, no row; mean 1 keeps the rows' number, which counts in "pooled"."""
    X, y = blobs()
    (X_s,), (y_s,) = source_of(60).values()
    weights = np.repeat([2.0, 0.0, 1.0], 20)
    twice = np.repeat(np.arange(60), weights.astype(int))
    options = {"strategy": strategy, "solver": "lbfgs", "max_iter": 40, "alpha": 0.1}
    weighed = quick(source_sample_weighting=Given(weights), **options)
    weighed.fit(X, y, **as_source(X_s, y_s))
    plain = quick(**options).fit(X, y, **as_source(X_s[twice], y_s[twice]))
    np.testing.assert_allclose(theta_of(weighed), theta_of(plain), rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(weighed.source_sample_weights_[0], weights)


def test_what_weigh_gets():
    X, y = blobs()
    X_s, y_s = blobs(50, seed=5)
    y = np.where(np.arange(60) < 40, y, np.nan)
    weight = np.where(np.arange(60) < 30, 1.0, 0.0)
    holes = np.where(np.arange(50) % 5 == 0, np.nan, y_s)
    more = np.full((7, 4), 0.5)
    kept = []
    clf = quick(source_sample_weighting=Given(np.arange(40.0), kept), standardize="per_domain")
    clf.fit(X, y, weight, **as_source(X_s, holes), X_unlabeled=more)
    ((rows, codes, target, target_codes),) = kept
    seen = ~np.isnan(holes)
    np.testing.assert_allclose(rows, clf.source_scalers_[0].transform(X_s)[seen])
    assert np.array_equal(codes, y_s[seen])
    np.testing.assert_allclose(target, clf.target_scaler_.transform(np.vstack([X, more])))
    assert np.array_equal(target_codes, np.append(np.where(weight > 0, y, -1), np.full(7, -1)))
    weights = clf.source_sample_weights_[0]
    assert (weights[~seen] == 0).all()
    np.testing.assert_allclose(weights[seen], np.arange(40) / 19.5)
    # Without labels in common there are no codes to compare.
    clf.fit(X, y, **as_source(X_s, holes + 5))
    assert kept[-1][3] is None
    assert set(kept[-1][1]) == {0, 1, 2}


def test_sources_that_take_no_part_are_not_weighed():
    kept = []
    clf = quick(source_sample_weighting=Given(np.ones(80), kept))
    for parameters in ({"strategy": "target_only"}, {"lam": np.inf}):
        fitted = clone(clf).set_params(**parameters).fit(*blobs(), **source_of())
        assert fitted.source_sample_weights_ == [None]
    assert quick().fit(*blobs()).source_sample_weights_ == []
    assert kept == []


@pytest.mark.parametrize("name", ["balanced", "discriminator_ratio", "kliep", "kmm"])
@pytest.mark.parametrize("sparse", [False, True])
def test_every_name_fits(name, sparse):
    X, y = blobs()
    two = as_source(*blobs(80, seed=5, shift=0.3), *blobs(40, seed=6))
    if sparse:
        X, two["X_source"] = csr_array(X), tuple(map(csr_array, two["X_source"]))
    clf = quick(source_sample_weighting=name).fit(X, y, **two)
    again = clone(clf).fit(X, y, **two)
    assert np.array_equal(theta_of(clf), theta_of(again))
    assert [w.shape for w in clf.source_sample_weights_] == [(80,), (40,)]
    for w in clf.source_sample_weights_:
        assert w.mean() == pytest.approx(1)
        assert (w >= 0).all()
    assert not np.array_equal(theta_of(clf), theta_of(quick().fit(X, y, **two)))


def covariate_shift(seed, n=400):
    """One rule for both domains that no line follows: p(1 | x) = expit(4 sin(2 x))."""
    rng = np.random.default_rng(seed)
    X_s, X_t = rng.standard_normal((n, 1)), 1.2 + 0.4 * rng.standard_normal((n, 1))
    return [(X, (rng.random(n) < expit(4 * np.sin(2 * X.ravel()))) * 1) for X in (X_s, X_t)]


@pytest.mark.parametrize("name", ["discriminator_ratio", "kliep", "kmm"])
def test_weights_help_a_model_that_is_too_simple(name):
    """Shimodaira's setting: a linear model, fitted where the target is."""
    scores = {"uniform": [], name: []}
    for seed in range(3):
        source, (X, y) = covariate_shift(seed)
        for weighting, found in scores.items():
            clf = quick(
                hidden_layer_sizes=(),
                solver="lbfgs",
                strategy="source_only",
                source_sample_weighting=weighting,
            )
            found.append(clf.fit(X, np.full(400, np.nan), **as_source(*source)).score(X, y))
    assert np.mean(scores[name]) > np.mean(scores["uniform"]) + 0.05


@pytest.mark.parametrize("given", [np.ones((80, 1)), np.ones(79), 1.0])
def test_weights_of_another_shape(given):
    with pytest.raises(ValueError, match=r"Given.weigh must give a weight for each of the 80 lab"):
        quick(source_sample_weighting=Given(given)).fit(*blobs(), **source_of())


@pytest.mark.parametrize("bad", [-1.0, np.nan, np.inf, 0.0])
def test_weights_that_are_none(bad):
    weights = np.append(np.zeros(79), bad)
    with pytest.raises(ValueError, match=r"finite weights >= 0, not all 0, for X_source\[0\]"):
        quick(source_sample_weighting=Given(weights)).fit(*blobs(), **source_of())


def test_rows_of_other_columns_cannot_be_compared():
    X, y = blobs()
    source = source_of(n_features=6)
    for name in ("kliep", "kmm", "discriminator_ratio"):
        with pytest.raises(ValueError, match=r"the same columns: X has 4, X_source\[0\] has 6"):
            quick(feature_map="linear", source_sample_weighting=name).fit(X, y, **source)
    quick(feature_map="linear", source_sample_weighting="balanced").fit(X, y, **source)


@pytest.mark.parametrize(
    "value, match", [("klep", "unknown name 'klep'; installed: balanced, disc"), (3, "Got 3")]
)
def test_wrong_names(value, match):
    with pytest.raises(ValueError, match=f"'source_sample_weighting' parameter.*{match}"):
        quick(source_sample_weighting=value).fit(*blobs(), **source_of())


def test_partial_fit_sees_too_few_rows():
    assert hasattr(quick(), "partial_fit")
    assert hasattr(quick(source_sample_weighting=Uniform()), "partial_fit")
    with pytest.raises(AttributeError) as caught:
        quick(source_sample_weighting="kliep").partial_fit(*blobs())
    assert "source_sample_weighting compares all rows at once" in str(caught.value.__cause__)


def test_numbers_as_labels():
    """Rows are compared as ever; there are no classes to balance."""
    X, y = blobs()
    (X_s,), (y_s,) = source_of().values()
    y_s = np.where(np.arange(80) % 4 == 0, np.nan, y_s + 0.5)
    source = as_source(X_s, y_s)
    kept = []
    reg = TransferRegressor(**QUICK, source_sample_weighting=Given(np.arange(60.0), kept))
    reg.fit(X, y + 0.5, **source)
    ((rows, codes, target, target_codes),) = kept
    assert codes is target_codes is None
    assert np.array_equal(rows, X_s[~np.isnan(y_s)])
    assert np.array_equal(target, X)
    np.testing.assert_allclose(reg.source_sample_weights_[0][~np.isnan(y_s)], np.arange(60) / 29.5)
    plain, kliep = (
        clone(reg).set_params(source_sample_weighting=name).fit(X, y + 0.5, **source)
        for name in ("uniform", "kliep")
    )
    assert not np.array_equal(theta_of(plain), theta_of(kliep))
    with pytest.raises(ValueError, match="Balanced weighs classes, and labels are numbers"):
        clone(reg).set_params(source_sample_weighting="balanced").fit(X, y + 0.5, **source)
