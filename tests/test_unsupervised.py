"""Scores without labels of the target: formulas by hand, and do they rank models."""

import pickle

import numpy as np
import pytest
import sklearn
from scipy.sparse import csr_array
from scipy.special import expit
from scipy.stats import entropy, norm
from sklearn.base import clone
from sklearn.datasets import make_classification
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, KFold, cross_val_score
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from tables import QUICK, blobs, source_of

from skmtl import TransferClassifier, as_source
from skmtl.plugins.alignments import MMD
from skmtl.plugins.base import SourceWeighting
from skmtl.unsupervised import (
    KINDS,
    WITH_SOURCE,
    coverage,
    dev_risk,
    entropy_score,
    importance_weighted_risk,
    information_score,
    make_unsupervised_scorer,
)

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def scorer_of(kind, source, **options):
    given = dict(zip(("X_source", "y_source"), source)) if kind in WITH_SOURCE else {}
    return make_unsupervised_scorer(kind, **given, **options)


# --- formulas ------------------------------------------------------------------------------------


def test_entropy_and_information_by_hand():
    rng = np.random.default_rng(0)
    proba = rng.dirichlet(np.ones(4), 30)
    proba[0] = [1, 0, 0, 0]
    rows = entropy(proba, axis=1).mean()
    assert entropy_score(proba) == pytest.approx(-rows)
    assert information_score(proba) == pytest.approx(entropy(proba.mean(axis=0)) - rows)
    sure = np.eye(4)[rng.permutation(20) % 4]
    assert entropy_score(sure) == 0
    assert information_score(sure) == pytest.approx(np.log(4))
    assert information_score(sure[[0] * 5]) == 0
    assert information_score(np.full((5, 4), 0.25)) == pytest.approx(0, abs=1e-12)


def test_risks_by_hand():
    losses, w = np.array([1.0, 0, 2, 0.5]), np.array([0.5, 2, 0.25, 1])
    weighted = 0.5 + 0 + 0.5 + 0.5
    assert importance_weighted_risk(losses, w) == pytest.approx(weighted / 4)
    cov = np.cov(w * losses, w)  # the factor n / (n - 1) cancels
    eta = -cov[0, 1] / cov[1, 1]
    assert dev_risk(losses, w) == pytest.approx(weighted / 4 + eta * (3.75 / 4 - 1))
    # Where all rows weigh the same there is nothing to correct by.
    assert dev_risk(losses, np.full(4, 0.8)) == pytest.approx(0.8 * losses.mean())
    # A constant loss has a risk that is known exactly.
    assert dev_risk(np.full(4, 3.0), w) == pytest.approx(3.0)


def test_risks_are_those_of_the_target_and_dev_varies_less():
    """A known ratio: the risk of the target is a normal probability."""
    shift, truth = 0.8, norm.sf(1.0, 0.8)
    found = {importance_weighted_risk: [], dev_risk: []}
    for seed in range(300):
        x = np.random.default_rng(seed).standard_normal(200)
        ratio = norm.pdf(x, shift) / norm.pdf(x)
        for risk, values in found.items():
            values.append(risk((x > 1.0) * 1.0, ratio))
    for values in found.values():
        assert abs(np.mean(values) - truth) < 3 * np.std(values) / np.sqrt(300) + 0.005
    assert np.std(found[dev_risk]) < 0.7 * np.std(found[importance_weighted_risk])


@pytest.mark.parametrize(
    "function, arguments, match",
    [
        (entropy_score, ([[0.5, 0.6]],), "off by up to 0.1"),
        (information_score, ([[1.5, -0.5]],), "down to -0.5"),
        (entropy_score, ([0.5, 0.5],), "Expected 2D array"),
        (dev_risk, ([1, 2], [1, 2, 3]), r"shapes \(2,\) and \(3,\)"),
        (importance_weighted_risk, ([[1, 2]], [[1, 2]]), r"shapes \(1, 2\)"),
        (importance_weighted_risk, ([1, 2], [1, -2]), "weights must be >= 0. Got -2"),
        (dev_risk, ([1, np.nan], [1, 2]), "losses contains NaN"),
    ],
)
def test_wrong_numbers(function, arguments, match):
    with pytest.raises(ValueError, match=match):
        function(*arguments)


# --- do they rank models? ------------------------------------------------------------------------


def covariate_shift(seed, n=600):
    """One rule for both domains that no line follows: source and target see other parts of it."""
    rng = np.random.default_rng(seed)
    X_s, X_t = rng.standard_normal((n, 1)), 1.2 + 0.4 * rng.standard_normal((n, 1))
    return [(X, (rng.random(n) < expit(4 * np.sin(2 * X.ravel()))) * 1) for X in (X_s, X_t)]


@pytest.mark.parametrize("loss", ["zero_one", "log_loss"])
@pytest.mark.parametrize("kind", ["importance_weighted", "dev"])
def test_weighted_risks_see_what_the_source_alone_does_not(kind, loss):
    """The better line on the source is the worse one on the target."""
    source, (X, y) = covariate_shift(0)
    held_out, (X_new, y_new) = covariate_shift(1)
    bad, good = LogisticRegression().fit(*source), LogisticRegression().fit(X, y)
    assert good.score(X_new, y_new) > bad.score(X_new, y_new) + 0.05
    assert good.score(*held_out) < bad.score(*held_out)
    scorer = scorer_of(kind, held_out, loss=loss)
    assert scorer(good, X_new) > scorer(bad, X_new) + 0.05


def two_clouds(seed, shift=1.0, n=200):
    """Two classes in two clouds, shifted from source to target."""
    rng = np.random.default_rng(seed)
    y = rng.permutation(np.arange(n) % 2)
    X = 0.8 * rng.standard_normal((n, 2)) + np.column_stack([4 * y - 2, np.zeros(n)])
    return X + shift, y


@pytest.mark.parametrize("kind", KINDS)
def test_every_score_ranks_a_good_model_above_a_bad_one(kind):
    """The bad one's line goes through both clouds."""
    source, (X, y) = two_clouds(0, shift=0.0), two_clouds(1)
    good = LogisticRegression().fit(*two_clouds(2, shift=0.5))
    bad = clone(good).fit(source[0], (source[0][:, 1] + 0.5 * source[0][:, 0] > 0) * 1)
    assert good.score(X, y) > 0.95 > bad.score(X, y) + 0.2
    scorer = scorer_of(kind, two_clouds(3, shift=0.0))
    assert scorer(good, X) > scorer(bad, X)


def test_one_class_for_all_is_no_good():
    source, (X, y) = two_clouds(0, shift=0.0), two_clouds(1)
    good = LogisticRegression().fit(*two_clouds(2))
    constant = DummyClassifier(strategy="constant", constant=1).fit(X, y)
    for kind in ("information", "importance_weighted", "circular"):
        scorer = scorer_of(kind, source)
        assert scorer(good, X) > scorer(constant, X)
    assert scorer_of("circular", source)(constant, X) == np.mean(source[1] == 1)
    assert scorer_of("entropy", source)(constant, X) == 0  # as the docstring warns


# --- the scorer ----------------------------------------------------------------------------------


class Known(SourceWeighting):
    """w = 1 + x_0^2."""

    def weigh(self, X_source, y_source, X_target, y_target, rng):
        return 1.0 + np.asarray(X_source[:, [0]].sum(axis=1)).ravel() ** 2


@pytest.mark.parametrize("form", [np.asarray, csr_array], ids=["dense", "csr"])
def test_the_scorer_puts_the_parts_together(form):
    (X_s, y_s), (X, _) = two_clouds(0, shift=0.0), two_clouds(1)
    y_s = np.array(["no", "yes"])[y_s].astype(object)
    y_s[::5] = None
    seen = np.array([label is not None for label in y_s])
    clf = LogisticRegression(C=0.01).fit(X_s[seen], y_s[seen].astype(str))
    w = 1 + X_s[seen][:, 0] ** 2
    wrong = clf.predict(X_s[seen]) != y_s[seen]
    proba = clf.predict_proba(X_s[seen])
    log_loss = -np.log(proba[np.arange(seen.sum()), (y_s[seen] == "yes") * 1])
    for kind, risk in (("importance_weighted", importance_weighted_risk), ("dev", dev_risk)):
        for loss, losses in (("zero_one", wrong), ("log_loss", log_loss)):
            scorer = scorer_of(kind, (form(X_s), y_s), weighting=Known(), loss=loss)
            assert scorer(clf, form(X)) == pytest.approx(-risk(losses * 1.0, w))
    proba = clf.predict_proba(X)
    assert scorer_of("entropy", None)(clf, form(X)) == pytest.approx(entropy_score(proba))
    back = clone(clf).fit(X, clf.predict(X))
    expected = np.mean(back.predict(X_s[seen]) == y_s[seen])
    assert scorer_of("circular", (form(X_s), y_s))(clf, form(X)) == pytest.approx(expected)


def test_classes_that_the_model_does_not_know_cost_much():
    (X_s, y_s), (X, _) = two_clouds(0, shift=0.0), two_clouds(1)
    clf = LogisticRegression().fit(X_s, y_s)
    scorer = scorer_of("importance_weighted", (X_s, y_s + 5), loss="log_loss", weighting="uniform")
    assert scorer(clf, X) == pytest.approx(np.log(np.finfo(float).eps))


def test_the_way_back():
    """The estimator anew, or another one; the given ones stay as they are."""
    X, y = blobs()
    (X_s,), (y_s,) = source_of().values()
    clf = TransferClassifier(**{**QUICK, "learning_rate_init": 0.02}, strategy="finetune", freeze=1)
    clf.set_params(layer_decay=0.5).fit(X, y, **source_of())
    alone = clone(clf).set_params(strategy="target_only", freeze=0, layer_decay=1.0)
    expected = alone.fit(X, clf.predict(X)).score(X_s, y_s)
    assert scorer_of("circular", (X_s, y_s))(clf, X) == pytest.approx(expected)
    pipeline = make_pipeline(StandardScaler(), TransferClassifier(**QUICK, strategy="joint"))
    assert 0 <= scorer_of("circular", (X_s, y_s))(pipeline.fit(X, y), X) <= 1
    knn = KNeighborsClassifier(3)
    expected = clone(knn).fit(X, clf.predict(X)).score(X_s, y_s)
    assert scorer_of("circular", (X_s, y_s), reverse=knn)(clf, X) == pytest.approx(expected)
    assert not hasattr(knn, "classes_")


@pytest.mark.parametrize("routing", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_in_a_search_without_labels(kind, routing):
    X, _ = blobs(45)
    (X_s,), (y_s,) = source_of().values()
    scorer = scorer_of(kind, (X_s, y_s))
    clf = TransferClassifier(**{**QUICK, "max_iter": 5}, strategy="source_only")
    with sklearn.config_context(enable_metadata_routing=routing):
        search = GridSearchCV(clf, {"alpha": [1e-4, 10.0]}, scoring=scorer, cv=KFold(3))
        search.fit(X, np.full(45, np.nan), **source_of())
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    again = pickle.loads(pickle.dumps(scorer))
    assert again(search.best_estimator_, X) == scorer(search.best_estimator_, X)
    assert repr(scorer) == f"make_unsupervised_scorer('{kind}')"


def test_labels_of_the_target_are_not_read():
    X, y = make_classification(60, random_state=0)
    clf = RandomForestClassifier(5, random_state=0)
    scorer = scorer_of("dev", (X + 0.1, y), weighting="kliep")
    assert scorer(clf.fit(X, y), X, y) == scorer(clf, X, None) == scorer(clf, X, 1 - y)
    assert np.isfinite(cross_val_score(clf, X, y, scoring=scorer, cv=2)).all()


def test_mu_is_chosen_without_labels_of_the_target():
    """A shifted target: the alignment of means that its labels would choose."""
    source, (X, y) = two_clouds(0, shift=0.0), two_clouds(1, shift=2.0)
    clf = TransferClassifier(
        (),
        strategy="source_only",
        feature_map="affine",
        map_penalty=MMD(where="input"),
        learning_rate_init=0.02,
        max_iter=100,
        tol=0.0,
        random_state=0,
    )
    nothing, source = np.full(200, np.nan), as_source(*source)
    search = GridSearchCV(
        clf, {"mu": [0.0, 10.0]}, scoring=make_unsupervised_scorer("information"), cv=KFold(2)
    ).fit(X, nothing, **source)
    assert search.best_params_ == {"mu": 10.0}
    without = clone(clf).set_params(mu=0.0).fit(X, nothing, **source)
    assert search.best_estimator_.score(X, y) > without.score(X, y) + 0.1


# --- mistakes ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments, match",
    [
        ({"kind": "entropie"}, "one of entropy, information, .*Got 'entropie'"),
        ({"kind": "dev"}, "kind='dev' needs X_source and y_source"),
        ({"kind": "circular", "X_source": np.zeros((3, 2))}, "needs X_source and y_source"),
        ({"kind": "entropy", "y_source": [1, 2]}, "leave out X_source, y_source"),
        ({"loss": "hinge"}, "'zero_one' or 'log_loss'. Got 'hinge'"),
        ({"weighting": "kleip"}, "'weighting' parameter: unknown name 'kleip'; installed"),
        (
            {"kind": "dev", "X_source": np.zeros((3, 2)), "y_source": [1, 2]},
            "inconsistent numbers of samples",
        ),
        (
            {"kind": "dev", "X_source": np.zeros((3, 2)), "y_source": [np.nan] * 3},
            "y_source has no label",
        ),
        (
            {"kind": "dev", "X_source": np.zeros((3, 2)), "y_source": np.zeros((3, 2))},
            "y_source must be 1-D. Got 2 columns",
        ),
        (
            {"kind": "dev", "X_source": np.full((3, 2), np.nan), "y_source": [1, 2, 3]},
            "X_source contains NaN",
        ),
    ],
)
def test_wrong_arguments(arguments, match):
    with pytest.raises(ValueError, match=match):
        make_unsupervised_scorer(**arguments)


def test_rows_of_other_columns_cannot_be_compared():
    X, y = two_clouds(0)
    scorer = make_unsupervised_scorer("dev", X_source=X, y_source=y)
    with pytest.raises(ValueError, match="X has 3 columns and X_source has 2"):
        scorer(LogisticRegression().fit(X, y), np.zeros((5, 3)))


# --- coverage ------------------------------------------------------------------------------------


def test_coverage_by_hand():
    X_source = np.arange(20.0)[:, None] ** 2
    # The nearest other row lies 1, 1, 3, 5, ... 37 away.
    within = np.quantile([1, *np.arange(1, 38, 2)], 0.95)
    beyond = X_source[-1] + within * np.array([0.99, 1.01, 1.5])
    X = np.append(X_source.ravel(), beyond)[:, None]
    assert coverage(X_source, X, n_neighbors=1) == pytest.approx(21 / 23)
    assert coverage(csr_array(X_source), csr_array(X), n_neighbors=1) == pytest.approx(21 / 23)


def test_coverage_of_the_same_of_a_part_and_of_what_lies_elsewhere():
    rng = np.random.default_rng(0)
    X_source, X = rng.standard_normal((2, 2000, 3))
    assert coverage(X_source, X) == pytest.approx(0.95, abs=0.015)
    assert coverage(X_source, X[np.abs(X).max(axis=1) < 1]) > 0.99
    assert coverage(X_source, np.vstack([X[:1000], X[:1000] + 9])) == pytest.approx(0.475, abs=0.02)


@pytest.mark.parametrize(
    "X_source, X, n_neighbors, match",
    [
        (np.zeros((9, 2)), np.zeros((4, 3)), 5, "X has 3 columns and X_source has 2"),
        (np.zeros((5, 2)), np.zeros((4, 2)), 5, "an int from 1 to 4, .*Got 5"),
        (np.zeros((5, 2)), np.zeros((4, 2)), 0, "an int from 1 to 4, .*Got 0"),
        (np.zeros((5, 2)), np.zeros((4, 2)), 2.0, "Got 2.0"),
        (np.full((5, 2), np.nan), np.zeros((4, 2)), 2, "X_source contains NaN"),
    ],
)
def test_coverage_of_wrong_arguments(X_source, X, n_neighbors, match):
    with pytest.raises(ValueError, match=match):
        coverage(X_source, X, n_neighbors=n_neighbors)
