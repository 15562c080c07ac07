"""TransferClassifier: strategies, maps, heads, frozen layers, source models, several sources."""

import functools

import numpy as np
import pytest
from scipy.sparse import csr_array
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.neural_network import MLPClassifier
from sklearn.preprocessing import StandardScaler
from tables import QUICK, blobs, digest, source_of, theta_of, wide

from skmtl import MultiTaskClassifier, TransferClassifier, as_source
from skmtl.plugins.feature_maps import Affine
from skmtl.plugins.optimizers import SGD

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

STRATEGIES = ["joint", "finetune", "source_only", "target_only", "pooled"]


def quick(**parameters):
    return TransferClassifier(**{**QUICK, **parameters})


def fits(one, other, *args, **keywords):
    """Weights of two estimators fitted on the same data."""
    return [theta_of(clf.fit(*args, **keywords)) for clf in (one, other)]


# --- the objective: lambda and strategies --------------------------------------------------------


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
@pytest.mark.parametrize("feature_map", ["identity", "affine"])
@pytest.mark.parametrize("share_head", ["auto", False])
@pytest.mark.parametrize("lam, strategy", [(0, "source_only"), (np.inf, "target_only")])
def test_the_ends_of_lambda(lam, strategy, share_head, feature_map, solver):
    X, y = blobs()
    options = {"feature_map": feature_map, "share_head": share_head, "solver": solver}
    options["alpha"] = 0.1
    end, named = quick(lam=lam, **options), quick(strategy=strategy, **options)
    one, other = fits(end, named, X, y, **source_of())
    assert np.array_equal(one, other)
    assert end.loss_curve_ == named.loss_curve_
    assert np.array_equal(end.predict_proba(X), named.predict_proba(X))
    # lambda does not matter to the named ones, and in between it is another fit.
    again = quick(strategy=strategy, lam=7.0, **options).fit(X, y, **source_of())
    assert np.array_equal(again.predict_proba(X), named.predict_proba(X))
    joint = quick(**options).fit(X, y, **source_of())
    assert not np.allclose(joint.predict_proba(X), named.predict_proba(X), atol=1e-3)


@pytest.mark.parametrize("lam", [1e-300, 1e-20, 1e20, 1e300])
def test_near_the_ends_source_and_target_both_take_part(lam):
    clf = quick(lam=lam, share_head=False).fit(*blobs(), **source_of())
    assert clf.task_loss_curves_.shape == (15, 2)
    assert len(clf.head_coefs_) == 2
    assert np.isfinite(clf.task_loss_curves_).all()
    assert np.isfinite(theta_of(clf)).all()


def test_source_only_does_not_see_the_target_and_the_other_way_round():
    X, y = blobs()
    source = source_of()
    for strategy, same in [("source_only", (True, False)), ("target_only", (False, True))]:
        clf = quick(strategy=strategy, max_iter=5)
        fitted = theta_of(clf.fit(X, y, **source))
        other_target = theta_of(clf.fit(X[::-1] + 1, y, **source))
        other_source = theta_of(clf.fit(X, y, **source_of(seed=9)))
        assert np.array_equal(fitted, other_target) == same[0]
        assert np.array_equal(fitted, other_source) == same[1]


def test_source_only_does_without_labels_of_the_target():
    X, y = blobs()
    nothing = np.full(60, np.nan)
    clf = quick(strategy="source_only", share_head=True)
    one, other = fits(clone(clf), clf, X, nothing, **source_of())
    assert np.array_equal(one, other)
    assert clf.classes_.tolist() == [0, 1, 2]
    assert clf.classes_.dtype.kind == "i"
    with_labels = theta_of(clone(clf).fit(X, y, **source_of()))
    assert np.array_equal(one, with_labels)
    for strategy in ("joint", "finetune", "target_only", "pooled"):
        with pytest.raises(ValueError, match="y has no label.*source_only"):
            quick(strategy=strategy).fit(X, nothing, **source_of())


def test_the_joint_objective():
    """J = (L_s + lam L_t + mu R(g)) / (1 + lam) + alpha R(theta), at the start of a fit."""
    X, y = blobs()
    X_s, y_s = blobs(80, seed=5, n_features=6)
    lam, mu, alpha = 3.0, 0.7, 0.2
    clf = quick(
        lam=lam, mu=mu, alpha=alpha, feature_map="linear", learning_rate_init=1e-300, max_iter=1
    ).fit(X, y, **as_source(X_s, y_s))

    def log_loss(X, y):
        return -np.log(clf.predict_proba(X)[np.arange(len(y)), y]).mean()

    A = clf.map_params_[0].reshape(6, 4)
    losses = log_loss(X, y), log_loss(X_s @ A, y_s)
    np.testing.assert_allclose(clf.task_loss_curves_, [losses], rtol=1e-10)
    np.testing.assert_allclose(clf.map_source(X_s), X_s @ A, rtol=1e-12)
    distance = ((A.T @ A - np.eye(4)) ** 2).sum() / 4
    weights = [*clf.coefs_, clf.head_coefs_[0][0]]
    norm = sum((weight**2).sum() for weight in weights) / 2
    objective = (losses[1] + lam * losses[0] + mu * distance) / (1 + lam) + alpha * norm
    assert clf.loss_curve_ == [pytest.approx(objective, rel=1e-10)]


@pytest.mark.parametrize("share_head", ["auto", False])
def test_pooled_is_joint_where_every_row_weighs_the_same(share_head):
    X, y = blobs(50)
    y = np.where(np.arange(50) < 40, y.astype(float), np.nan)
    pooled = quick(strategy="pooled", lam=9.0, share_head=share_head)
    joint = quick(lam=40 / 80, share_head=True)
    one, other = fits(pooled, joint, X, y, **source_of(80))
    assert np.array_equal(one, other)
    # And that is one table with all the rows.
    source = source_of(80)
    table = np.vstack([X[:40], source["X_source"][0]]), np.append(y[:40], source["y_source"][0])
    for solver in (SGD(), "lbfgs"):
        pooled = quick(strategy="pooled", solver=solver).fit(X, y, **source)
        plain = quick(solver=solver).fit(*table)
        np.testing.assert_allclose(pooled.predict_proba(X), plain.predict_proba(X), rtol=1e-6)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_strategies_predict_and_learn(strategy):
    X, y = blobs()
    clf = quick(strategy=strategy, learning_rate_init=0.05, max_iter=40)
    clf.fit(X, y, **source_of(shift=0.0))
    assert clf.score(X, y) > 0.95
    assert clf.predict(X).shape == (60,)
    assert clf.predict_proba(X).shape == clf.decision_function(X).shape == (60, 3)
    assert clf.transform(X).shape == (60, 8)
    assert len(clf.get_feature_names_out()) == 8
    n_tasks = 2 if strategy in ("joint", "pooled") else 1
    assert clf.task_loss_curves_.shape == (clf.n_iter_, n_tasks)
    assert (clf.pretrain_loss_curve_ is not None) == (strategy == "finetune")


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_the_first_stage_has_epochs_of_its_own(solver):
    (X, y), source = blobs(), source_of()
    clf = quick(strategy="finetune", solver=solver, max_iter=9, pretrain_max_iter=4)
    clf.fit(X, y, **source)
    assert len(clf.pretrain_loss_curve_) == 4
    assert clf.n_iter_ == 9
    first = quick(strategy="source_only", solver=solver, max_iter=4).fit(X, y, **source)
    assert clf.pretrain_loss_curve_ == first.loss_curve_


def test_the_first_stage_waits_for_progress_the_same_part_of_its_epochs():
    never = {"tol": 1e9, "n_iter_no_change": 10, "max_iter": 40, "pretrain_max_iter": 21}
    clf = TransferClassifier((4,), strategy="finetune", random_state=0, **never)
    clf.fit(*blobs(), **source_of())
    assert len(clf.loss_curve_) == 1 + 10 + 1  # the first has nothing to be compared with
    assert len(clf.pretrain_loss_curve_) == 1 + 6 + 1


@pytest.mark.parametrize("solver", ["adam", "lbfgs", "sgd"])
@pytest.mark.parametrize("batch_size", ["auto", 16])
def test_without_source_it_is_a_plain_classifier(solver, batch_size):
    X, y = blobs()
    options = {"solver": solver, "batch_size": batch_size}
    plain = MultiTaskClassifier(**QUICK, lam=0.02, **options).fit(X, y)
    for strategy in ("joint", "finetune", "target_only", "pooled"):
        clf = quick(alpha=0.02, strategy=strategy, **options).fit(X, y)
        assert np.array_equal(theta_of(clf), theta_of(plain))
        assert clf.loss_curve_ == plain.loss_curve_
    with pytest.raises(ValueError, match="strategy='source_only' needs X_source and y_source"):
        quick(strategy="source_only", **options).fit(X, y)


def test_a_related_source_helps_a_small_target():
    X, digit = load_digits(return_X_y=True)
    X = X / 16
    few = np.concatenate([np.flatnonzero(digit[1000:1200] == k)[:1] for k in range(10)]) + 1000
    score = {}
    for strategy in STRATEGIES:
        clf = TransferClassifier(strategy=strategy, max_iter=30, random_state=0)
        clf.fit(1 - X[few], digit[few], **as_source(1 - 0.5 * X[:800], digit[:800]))
        score[strategy] = clf.score(1 - X[1200:], digit[1200:])
    assert min(score["joint"], score["finetune"]) > score["target_only"] + 0.1


# --- maps ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("n_columns", [3, 4, 7])
@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("feature_map", ["linear", "affine"])
@pytest.mark.parametrize("strategy", ["joint", "finetune", "source_only"])
def test_maps_between_spaces(strategy, feature_map, sparse, n_columns):
    X, y = blobs()
    X_s, y_s = blobs(80, seed=5, n_features=n_columns)
    X_s = csr_array(X_s) if sparse else X_s
    clf = quick(feature_map=feature_map, strategy=strategy, learning_rate_init=0.02)
    clf.fit(csr_array(X) if sparse else X, y, **as_source(X_s, y_s))
    n = n_columns * 4
    params = clf.map_params_[0]
    assert params.shape == (n + 4 * (feature_map == "affine"),)
    Z = clf.map_source(X_s)
    offset = params[n:] if feature_map == "affine" else 0
    np.testing.assert_allclose(Z, X_s @ params[:n].reshape(n_columns, 4) + offset, rtol=1e-10)
    assert Z.shape == (80, 4)
    assert clf.predict(X).shape == (60,)
    with pytest.raises(ValueError, match=f"X_source has 9 columns; source 0 had {n_columns}"):
        clf.map_source(np.zeros((2, 9)))


def test_a_map_undoes_a_rotation_of_the_source():
    X, y = blobs(40)
    X_s, y_s = blobs(300, seed=5)
    rotation, _ = np.linalg.qr(np.random.default_rng(3).standard_normal((4, 4)))
    source = as_source(X_s @ rotation, y_s)
    options = {"solver": "lbfgs", "max_iter": 300, "alpha": 0.1, "mu": 1e-3}
    losses = {
        g: quick(feature_map=g, **options).fit(X, y, **source).task_loss_curves_[-1].sum()
        for g in ("identity", "linear")
    }
    assert losses["linear"] < 0.8 * losses["identity"]


def test_a_strong_mu_keeps_a_square_map_at_the_identity():
    X, y = blobs()
    options = {"solver": "lbfgs", "max_iter": 500, "alpha": 0.05, "tol": 1e-6}
    options["hidden_layer_sizes"] = ()  # one minimum
    plain = quick(feature_map="identity", **options).fit(X, y, **source_of())
    gaps = []
    for mu in (0.0, 0.1, 100.0):
        clf = quick(feature_map="linear", mu=mu, **options).fit(X, y, **source_of())
        gaps.append(np.abs(clf.map_params_[0].reshape(4, 4) - np.eye(4)).max())
    assert gaps[2] < 1e-3 < 0.02 < gaps[1] < gaps[0]
    np.testing.assert_allclose(clf.predict_proba(X), plain.predict_proba(X), atol=2e-3)


def test_map_penalties():
    X, y = blobs()
    options = {"feature_map": Affine(), "solver": "lbfgs", "max_iter": 300, "mu": 100.0}
    near = quick(map_penalty="identity", **options).fit(X, y, **source_of()).map_params_[0]
    small = quick(map_penalty="l2", **options).fit(X, y, **source_of()).map_params_[0]
    assert np.abs(near[:16].reshape(4, 4) - np.eye(4)).max() < 0.05
    assert np.abs(small[:16]).max() < 0.1


def test_map_source_of_each_source():
    X, y = blobs()
    A, B = blobs(50, seed=3), blobs(70, seed=4, n_features=6)
    clf = quick(feature_map="linear").fit(X, y, **as_source(*A, *B))
    assert [p.size for p in clf.map_params_] == [16, 24]
    assert clf.map_source(B[0], source=1).shape == (70, 4)
    assert np.array_equal(clf.map_source(B[0], -1), clf.map_source(B[0], 1))
    for wrong in (2, -3):
        with pytest.raises(ValueError, match=f"no map of source {wrong}: 2 sources were given"):
            clf.map_source(B[0], wrong)
    identity = quick().fit(X, y, **as_source(*A))
    assert np.array_equal(identity.map_source(A[0]), A[0])
    with pytest.raises(ValueError, match="X_source has 6 columns; source 0 had 4"):
        identity.map_source(B[0])
    alone = quick(strategy="target_only").fit(X, y, **as_source(*A))
    assert alone.map_params_ == [None]
    with pytest.raises(ValueError, match="no map of source 0.*strategy='target_only'"):
        alone.map_source(A[0])
    with pytest.raises(ValueError, match="no map of source 0: 0 sources"):
        quick().fit(X, y).map_source(A[0])
    with pytest.raises(NotFittedError):
        quick().map_source(A[0])


@pytest.mark.parametrize("strategy", ["joint", "finetune", "source_only", "pooled"])
def test_the_identity_needs_the_columns_of_the_target(strategy):
    X, y = blobs()
    source = source_of(n_features=6)
    message = "feature_map='identity' needs .* 4 columns, but X_source has 6.*'linear'"
    with pytest.raises(ValueError, match=message):
        quick(strategy=strategy).fit(X, y, **source)


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_columns_of_the_source_must_have_the_names_of_the_target(library):
    library = pytest.importorskip(library)
    X, y = blobs()
    X_s, y_s = blobs(80, seed=5)
    names = ["a", "b", "c", "d"]

    def frame(X, names):
        return library.DataFrame(dict(zip(names, X.T)))

    clf = quick().fit(frame(X, names), y, **as_source(frame(X_s, names), y_s))
    assert np.array_equal(theta_of(clf), theta_of(quick().fit(X, y, **as_source(X_s, y_s))))
    if not hasattr(clf, "feature_names_in_"):  # polars, with scikit-learn < 1.9
        return
    swapped = frame(X_s, ["b", "a", "c", "d"])
    with pytest.raises(ValueError, match="Source 0 must have the columns of X, in their order"):
        quick().fit(frame(X, names), y, **as_source(swapped, y_s))
    quick(feature_map="linear").fit(frame(X, names), y, **as_source(swapped, y_s))
    quick().fit(frame(X, names), y, **as_source(X_s, y_s))


# --- heads ---------------------------------------------------------------------------------------

# source labels, share_head, number of heads, classes
HEADS = [
    ([0, 1, 2], "auto", 1, [0, 1, 2]),
    ([0, 1, 2], True, 1, [0, 1, 2]),
    ([0, 1, 2], False, 2, [0, 1, 2]),
    ([0, 2, 5], "auto", 2, [0, 1, 2]),
    ([0, 2, 5], True, 1, [0, 1, 2, 5]),
    ([0, 2, 5], False, 2, [0, 1, 2]),
    ([7, 8, 9], "auto", 2, [0, 1, 2]),
    ([7, 8, 9], True, 1, [0, 1, 2, 7, 8, 9]),
    ([7, 8, 9], False, 2, [0, 1, 2]),
]


@pytest.mark.parametrize("labels, share_head, n_heads, classes", HEADS)
@pytest.mark.parametrize("strategy", ["joint", "finetune"])
def test_heads(strategy, labels, share_head, n_heads, classes):
    X, y = blobs()
    X_s, codes = blobs(80, seed=5)
    clf = quick(strategy=strategy, share_head=share_head, learning_rate_init=0.05, max_iter=100)
    clf.fit(X, y, **as_source(X_s, np.array(labels)[codes]))
    assert clf.classes_.tolist() == classes
    assert len(clf.head_coefs_) == (n_heads if strategy == "joint" else 1)
    assert clf.predict_proba(X).shape == (60, len(classes))
    # A shared head cannot tell a target row from a source row with another label.
    assert clf.score(X, y) > (0.6 if share_head is True and strategy == "joint" else 0.9)


def test_source_only_speaks_the_language_of_the_source():
    X, y = blobs()
    X_s, codes = blobs(80, seed=5)
    names = np.array(["ape", "bee", "cat"])
    clf = quick(strategy="source_only", learning_rate_init=0.05, max_iter=40)
    clf.fit(X, y, **as_source(X_s, names[codes]))
    assert clf.classes_.tolist() == names.tolist()
    assert clf.score(X, names[y]) > 0.9
    clf.fit(X, names[y], **as_source(X_s, names[codes]))
    assert clf.score(X, names[y]) > 0.9


@pytest.mark.parametrize("names", [np.array(["a", "b", "c"]), np.array(["a", "b", "c"], object)])
@pytest.mark.parametrize("options", [{"share_head": True}, {"strategy": "pooled"}])
def test_one_head_needs_labels_of_one_kind(options, names):
    X, y = blobs()
    X_s, codes = blobs(80, seed=5)
    with pytest.raises(ValueError, match="need labels of one kind"):
        quick(**options).fit(X, y, **as_source(X_s, names[codes]))
    clf = quick().fit(X, y, **as_source(X_s, names[codes]))
    assert len(clf.head_coefs_) == 2


def test_a_shared_head_translates_the_labels():
    """Sharing a head over overlapping labels is one table with all labels."""
    X, y = blobs(60, n_classes=3)
    X_s, y_s = blobs(60, seed=5, n_classes=3)
    y, y_s = np.array([4, 6, 9])[y], np.array([1, 6, 4])[y_s]
    joint = quick(share_head=True, solver=SGD()).fit(X, y, **as_source(X_s, y_s))
    table = quick(solver=SGD()).fit(np.vstack([X, X_s]), np.append(y, y_s))
    assert joint.classes_.tolist() == table.classes_.tolist() == [1, 4, 6, 9]
    np.testing.assert_allclose(theta_of(joint), theta_of(table), rtol=1e-8)


# --- several sources -----------------------------------------------------------------------------


@pytest.mark.parametrize("solver", [SGD(), "lbfgs"])
@pytest.mark.parametrize("strategy", ["joint", "finetune", "source_only", "pooled"])
def test_sources_weighted_by_rows_are_a_stacked_source(strategy, solver):
    X, y = blobs()
    A, B = blobs(40, seed=3), blobs(90, seed=4, shift=0.5)
    stacked = np.vstack([A[0], B[0]]), np.append(A[1], B[1])
    options = {"strategy": strategy, "solver": solver, "max_iter": 30, "alpha": 0.01}
    one = quick(source_weighting="n_samples", **options).fit(X, y, **as_source(*A, *B))
    other = quick(**options).fit(X, y, **as_source(*stacked))
    np.testing.assert_allclose(one.predict_proba(X), other.predict_proba(X), rtol=1e-6)
    np.testing.assert_allclose(theta_of(one), theta_of(other), rtol=1e-6, atol=1e-8)
    uniform = quick(**options).fit(X, y, **as_source(*A, *B))
    differs = not np.allclose(theta_of(uniform), theta_of(other), atol=1e-4)
    assert differs == (strategy != "pooled")


def test_weights_of_sources():
    X, y = blobs()
    A, B = blobs(40, seed=3), blobs(90, seed=4, shift=0.5)
    both = as_source(*A, *B)
    assert np.array_equal(*fits(quick(), quick(source_weighting=[3.0, 3.0]), X, y, **both))
    only = quick(source_weighting=[1, 0]).fit(X, y, **both)
    assert np.array_equal(theta_of(only), theta_of(quick().fit(X, y, **as_source(*A))))
    assert only.map_params_[1] is None
    assert only.task_loss_curves_.shape[1] == 2
    same = np.array_equal(*fits(quick(), quick(source_weighting=(1, 2)), X, y, **both))
    assert not same


@pytest.mark.parametrize(
    "weights", [[1.0], [1, 2, 3], [-1, 2], [0, 0], [np.nan, 1], [np.inf, 1], [[1, 2]]], ids=str
)
def test_wrong_weights_of_sources(weights):
    X, y = blobs()
    source = as_source(*blobs(40, seed=3), *blobs(50, seed=4))
    with pytest.raises(ValueError, match="source_weighting must hold a number >= 0 for each of"):
        quick(source_weighting=weights).fit(X, y, **source)


def test_sources_with_labels_of_their_own():
    X, y = blobs()
    (X_a, a), (X_b, b) = blobs(40, seed=3), blobs(50, seed=4)
    source = as_source(X_a, a + 5, X_b, np.array(["ape", "bee", "cat"])[b])
    clf = quick(learning_rate_init=0.05, max_iter=40).fit(X, y, **source)
    assert len(clf.head_coefs_) == 3
    assert clf.task_loss_curves_.shape[1] == 3
    assert clf.score(X, y) > 0.9
    clf.set_params(strategy="finetune").fit(X, y, **source)
    assert clf.score(X, y) > 0.9
    with pytest.raises(ValueError, match="several sources must have the same labels, or share_he"):
        clf.set_params(strategy="source_only").fit(X, y, **source)
    clf.set_params(share_head=True)
    with pytest.raises(ValueError, match="need labels of one kind"):
        clf.fit(X, y, **source)
    clf.fit(X, y, **as_source(X_a, a + 5, X_b, b))
    assert clf.classes_.tolist() == [0, 1, 2, 5, 6, 7]


# --- arguments about the source ------------------------------------------------------------------


def test_a_bare_source():
    X, y = blobs()
    X_s, y_s = blobs(80, seed=5)
    want = theta_of(quick().fit(X, y, **as_source(X_s, y_s)))
    assert np.array_equal(theta_of(quick().fit(X, y, X_source=X_s, y_source=y_s)), want)


def test_a_bare_source_of_the_targets_length_is_warned_of():
    X, y = blobs()
    X_s, y_s = blobs(60, seed=5)
    with pytest.warns(UserWarning, match=r"as many rows as X \(60\).*as_source") as record:
        clf = quick().fit(X, y, X_source=X_s, y_source=y_s)
    assert record[0].filename == __file__
    assert np.array_equal(theta_of(clf), theta_of(quick().fit(X, y, **as_source(X_s, y_s))))


@pytest.mark.parametrize(
    "keywords, match",
    [
        ({"X_source": np.zeros((9, 4))}, "must be given together"),
        ({"y_source": np.zeros(9)}, "must be given together"),
        (as_source(np.zeros((9, 4)), np.zeros(8)), "inconsistent numbers of samples"),
        (as_source(np.zeros((9, 4)), np.zeros((9, 2))), r"y_source\[0\] must be 1-D"),
        (as_source(np.zeros((9, 4)), np.full(9, np.nan)), r"y_source\[0\] has no label"),
        (as_source(np.full((9, 4), np.nan), np.zeros(9)), r"X_source\[0\] contains NaN"),
        (as_source(np.zeros(9), np.zeros(9)), "Expected 2D array"),
        (
            {"X_source": (np.zeros((9, 4)),), "y_source": np.zeros(9)},
            r"X_source is a tuple of 1.*as_source\(X_1, y_1",
        ),
        (
            {"X_source": (np.zeros((9, 4)),) * 2, "y_source": (np.zeros(9),)},
            "X_source is a tuple of 2",
        ),
    ],
)
def test_wrong_sources(keywords, match):
    with pytest.raises(ValueError, match=match):
        quick().fit(*blobs(), **keywords)


def test_as_source_takes_pairs():
    for wrong in ((), (1,), (1, 2, 3)):
        with pytest.raises(ValueError, match=f"pairs .*got {len(wrong)} arguments"):
            as_source(*wrong)


def test_several_columns_of_labels_are_refused():
    with pytest.raises(ValueError, match=r"one target task.*3 columns. MultiTaskClassifier"):
        quick().fit(*wide())


@pytest.mark.parametrize(
    "name, value, match",
    [
        ("lam", -1.0, "Got -1.0"),
        ("lam", np.nan, "Got nan"),
        ("mu", np.inf, "Got inf"),
        ("mu", -1.0, "Got -1.0"),
        ("alpha", -1.0, "Got -1.0"),
        ("feature_map", "rotation", "unknown name 'rotation'; installed: affine, .*linear"),
        ("map_penalty", "isometry", "unknown name 'isometry'; installed: .*identity"),
        ("strategy", "both", "finetune.*Got 'both'"),
        ("freeze", -1, "Got -1"),
        ("freeze", 1.0, "Got 1.0"),
        ("share_head", "yes", "Got 'yes'"),
        ("source_weighting", "equal", "n_samples.*Got 'equal'"),
        ("standardize", "all", "per_domain.*Got 'all'"),
        ("source_model", "mlp", "Got 'mlp'"),
        ("class_weight", [None], r"Got \[None\]"),
    ],
)
def test_wrong_parameters(name, value, match):
    with pytest.raises(ValueError, match=f"'{name}' parameter.*{match}"):
        TransferClassifier(**{name: value}).fit(*blobs(), **source_of())


# --- unlabelled rows -----------------------------------------------------------------------------


@pytest.mark.parametrize("strategy", ["joint", "target_only", "finetune", "pooled"])
def test_target_rows_without_label_do_not_count(strategy):
    X, y = blobs()
    holes = np.where(np.arange(60) % 3 == 0, np.nan, y)
    seen = ~np.isnan(holes)
    clf = quick(strategy=strategy, batch_size=16)
    one = theta_of(clone(clf).fit(X, holes, **source_of()))
    other = theta_of(clone(clf).fit(X[seen], y[seen], **source_of()))
    assert np.array_equal(one, other)


def test_source_rows_without_label_do_not_count():
    X, y = blobs()
    X_s, y_s = blobs(80, seed=5)
    holes = np.where(np.arange(80) % 3 == 0, np.nan, y_s)
    seen = ~np.isnan(holes)
    one = theta_of(quick().fit(X, y, **as_source(X_s, holes)))
    assert np.array_equal(one, theta_of(quick().fit(X, y, **as_source(X_s[seen], y_s[seen]))))


# --- per-domain scaling --------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_standardize_per_domain(strategy, sparse, dtype):
    X, y = blobs()
    X_s, y_s = blobs(80, seed=5)
    X, X_s = (10 * X + 5).astype(dtype), (0.1 * X_s - 3).astype(dtype)
    if sparse:
        X, X_s = csr_array(X), csr_array(X_s)
    scaler = StandardScaler(with_mean=not sparse).fit(X)
    source_scaler = StandardScaler(with_mean=not sparse).fit(X_s)
    clf = quick(standardize="per_domain", strategy=strategy, feature_map="linear")
    clf.fit(X, y, **as_source(X_s, y_s))
    want = quick(strategy=strategy, feature_map="linear")
    want.fit(scaler.transform(X), y, **as_source(source_scaler.transform(X_s), y_s))
    tolerance = {"rtol": 1e-3, "atol": 1e-4} if dtype == np.float32 else {"rtol": 1e-9}
    Z = scaler.transform(X)
    for method in ("predict_proba", "transform"):
        got, expected = getattr(clf, method)(X), getattr(want, method)(Z)
        np.testing.assert_allclose(got, expected, **tolerance)
    if strategy != "target_only":
        got, expected = clf.map_source(X_s), want.map_source(source_scaler.transform(X_s))
        np.testing.assert_allclose(got, expected, **{"atol": 1e-8, **tolerance})


def test_unlabelled_rows_count_in_the_scale():
    X, y = blobs()
    more, _ = blobs(100, seed=9, shift=4.0)
    clf = quick(standardize="per_domain").fit(X, y, X_unlabeled=more, **source_of())
    scaler = StandardScaler().fit(np.vstack([X, more]))
    np.testing.assert_allclose(clf.target_scaler_.mean_, scaler.mean_)
    np.testing.assert_allclose(clf.target_scaler_.scale_, scaler.scale_)
    with pytest.raises(ValueError, match="5 features"):
        clf.fit(X, y, X_unlabeled=np.zeros((9, 5)))


def test_unlabelled_rows_without_use_are_told():
    X, y = blobs()
    with pytest.warns(UserWarning, match="X_unlabeled has no effect: .*standardize=None"):
        quick().fit(X, y, X_unlabeled=X, **source_of())


@pytest.mark.parametrize("parameters", [{"strategy": "source_only"}, {"lam": 0.0}])
def test_early_stopping_without_target_is_told(parameters):
    with pytest.warns(UserWarning, match="early_stopping=True has no effect"):
        quick(early_stopping=True, **parameters).fit(*blobs(), **source_of())


def test_rows_without_weight_do_not_count_in_the_scale():
    X, y = blobs()
    keep = np.arange(60) % 3 > 0
    clf = quick(standardize="per_domain")
    weighted = clone(clf).fit(X, y, keep, **source_of())
    removed = clone(clf).fit(X[keep], y[keep], **source_of())
    np.testing.assert_allclose(theta_of(weighted), theta_of(removed), rtol=1e-9)


# --- source models and frozen layers -------------------------------------------------------------


@functools.cache
def source_models(hidden=(8, 6)):
    """Fitted networks of every kind, on data like the target's."""
    X, y = blobs(80, seed=5)
    options = {**QUICK, "hidden_layer_sizes": hidden}
    return {
        "mlp": MLPClassifier(hidden, max_iter=15, random_state=1).fit(X, y),
        "multitask": MultiTaskClassifier(**options).fit(*wide(80, seed=5)),
        "one task": MultiTaskClassifier(**options).fit(X, y),
        "pooled": MultiTaskClassifier(**options, sharing="pooled").fit(*wide(80, seed=5)),
        "transfer": TransferClassifier(**options).fit(*blobs(), **source_of()),
        "two heads": TransferClassifier(**options, share_head=False).fit(*blobs(), **source_of()),
    }


KINDS = ["mlp", "multitask", "one task", "pooled", "transfer", "two heads"]


@pytest.mark.parametrize("strategy", ["target_only", "joint", "finetune"])
@pytest.mark.parametrize("freeze", [0, 1, 2])
@pytest.mark.parametrize("kind", KINDS)
def test_frozen_layers_are_those_of_the_source_model(kind, freeze, strategy):
    model = source_models()[kind]
    before = digest(model)
    given = FrozenEstimator(model) if freeze != 1 else model
    clf = quick(hidden_layer_sizes=(8, 6), source_model=given, freeze=freeze, strategy=strategy)
    source = {} if strategy in ("target_only", "finetune") else source_of()
    clf.fit(*blobs(), **source)
    for l in range(2):
        for mine, theirs in ((clf.coefs_, model.coefs_), (clf.intercepts_, model.intercepts_)):
            assert np.array_equal(mine[l], theirs[l]) == (l < freeze)
            # The others start there, too.
            assert np.abs(mine[l] - theirs[l]).max() < 0.1
    assert digest(model) == before


@pytest.mark.parametrize("solver", ["adam", "adamw", "sgd", "lbfgs"])
def test_frozen_layers_stay_with_every_solver(solver):
    model = source_models()["mlp"]
    clf = quick(hidden_layer_sizes=(8, 6), source_model=model, freeze=1, solver=solver, alpha=1.0)
    clf.fit(*blobs(), **source_of())
    assert np.array_equal(clf.coefs_[0], model.coefs_[0])
    assert np.array_equal(clf.intercepts_[0], model.intercepts_[0])
    assert not np.array_equal(clf.coefs_[1], model.coefs_[1])


@pytest.mark.parametrize(
    "kind, share_head, takes_head",
    [
        ("mlp", "auto", True),
        ("mlp", True, True),
        ("mlp", False, False),
        ("one task", "auto", True),
        ("transfer", "auto", True),
        ("multitask", "auto", False),
        ("two heads", "auto", False),
    ],
)
def test_the_head_of_a_source_model_with_the_same_labels(kind, share_head, takes_head):
    model = source_models()[kind]
    nothing = {"learning_rate_init": 1e-300, "max_iter": 1}
    clf = quick(hidden_layer_sizes=(8, 6), source_model=model, share_head=share_head, **nothing)
    X, y = blobs()
    clf.fit(X, y)
    same = np.ndim(model.predict(X)) == 1 and np.allclose(
        clf.predict_proba(X), model.predict_proba(X), rtol=1e-12
    )
    assert same == takes_head
    other = clone(clf).set_params(source_model=FrozenEstimator(model)).fit(X, y + 1)
    assert not np.allclose(other.head_coefs_[0][0], clf.head_coefs_[0][0]) or not takes_head


def test_binary_source_model():
    X, y = blobs(n_classes=2)
    model = MLPClassifier((8,), max_iter=15, random_state=1).fit(X, y)
    clf = quick(source_model=model, learning_rate_init=1e-300, max_iter=1).fit(X, y)
    np.testing.assert_allclose(clf.predict_proba(X), model.predict_proba(X), rtol=1e-12)


def test_a_source_model_survives_clone_and_search():
    X, y = blobs()
    model = source_models((8,))["mlp"]
    clf = quick(strategy="target_only", source_model=FrozenEstimator(model), freeze=1)
    assert np.array_equal(clone(clf).fit(X, y).coefs_[0], model.coefs_[0])
    clf.set_params(learning_rate_init=0.05)
    search = GridSearchCV(clf, {"freeze": [0, 1], "alpha": [0.01, 1.0]}, cv=3, error_score="raise")
    search.fit(X, y)
    assert search.best_score_ > 0.5
    with pytest.raises(NotFittedError, match="FrozenEstimator"):
        clone(clf.set_params(source_model=model)).fit(X, y)


@pytest.mark.parametrize(
    "model, error, match",
    [
        (LogisticRegression, TypeError, "must be a fitted MLPClassifier.*Got LogisticRegression"),
        (MLPClassifier, NotFittedError, "FrozenEstimator"),
        (MultiTaskClassifier, NotFittedError, "FrozenEstimator"),
        (
            lambda: MultiTaskClassifier(**QUICK, sharing="none").fit(*wide()),
            ValueError,
            "several experts, as with sharing='none'.* no one trunk to start from",
        ),
        (
            lambda: MLPClassifier((9,), max_iter=1).fit(*blobs()),
            ValueError,
            r"shapes \[\(4, 9\)\] .*ask for \[\(4, 8\)\]",
        ),
        (
            lambda: MLPClassifier((8,), max_iter=1).fit(*blobs(n_features=5)),
            ValueError,
            r"shapes \[\(5, 8\)\]",
        ),
        (
            lambda: MLPClassifier((8,), "tanh", max_iter=1).fit(*blobs()),
            ValueError,
            "activation='tanh'.*'relu'",
        ),
    ],
    ids=["kind", "unfitted", "unfitted2", "none", "width", "columns", "activation"],
)
def test_wrong_source_models(model, error, match):
    model = model()
    for given in (model, FrozenEstimator(model)):
        with pytest.raises(error, match=match):
            quick(source_model=given).fit(*blobs())


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_freezing_needs_something_to_keep(strategy):
    X, y = blobs()
    if strategy == "finetune":
        quick(strategy=strategy, freeze=1).fit(X, y, **source_of())
        with pytest.raises(ValueError, match="freeze=1 keeps layers that came from a source"):
            quick(strategy=strategy, freeze=1).fit(X, y)
    else:
        with pytest.raises(ValueError, match="freeze=1 keeps layers that came from a source"):
            quick(strategy=strategy, freeze=1).fit(X, y, **source_of())
    with pytest.raises(ValueError, match=r"freeze=2, but hidden_layer_sizes=\(8,\) has 1 layers"):
        quick(strategy=strategy, freeze=2).fit(X, y, **source_of())


# --- finetuning ----------------------------------------------------------------------------------


@pytest.mark.parametrize("solver", ["adam", "sgd", "lbfgs"])
@pytest.mark.parametrize("freeze", [0, 1, 2])
def test_finetuning_is_two_fits(freeze, solver):
    X, y = blobs()
    options = {"hidden_layer_sizes": (8, 6), "solver": solver, "feature_map": "linear"}
    clf = quick(strategy="finetune", freeze=freeze, **options).fit(X, y, **source_of())
    first = quick(strategy="source_only", **options).fit(X, y, **source_of())
    second = quick(strategy="target_only", freeze=freeze, source_model=first, **options).fit(X, y)
    assert clf.pretrain_loss_curve_ == first.loss_curve_
    assert clf.loss_curve_ == second.loss_curve_
    assert np.array_equal(theta_of(clf), theta_of(second))
    assert np.array_equal(clf.map_source(X), first.map_source(X))
    for l in range(freeze):
        assert np.array_equal(clf.coefs_[l], first.coefs_[l])


def test_finetuning_from_a_source_model_and_a_source():
    model = source_models((8,))["mlp"]
    clf = quick(strategy="finetune", source_model=model, freeze=1).fit(*blobs(), **source_of())
    first = quick(strategy="source_only", source_model=model).fit(*blobs(), **source_of())
    assert np.array_equal(clf.coefs_[0], first.coefs_[0])
    assert not np.array_equal(clf.coefs_[0], model.coefs_[0])


# --- going on and stopping -----------------------------------------------------------------------


@pytest.mark.parametrize("strategy", ["joint", "pooled", "source_only", "target_only"])
@pytest.mark.parametrize("share_head", [True, False])
def test_partial_fit_by_epochs_is_fit(share_head, strategy):
    X, y = blobs()
    source = as_source(*blobs(80, seed=5), *blobs(50, seed=6))
    clf = quick(strategy=strategy, share_head=share_head, feature_map="linear", dropout=0.1)
    if strategy == "source_only" and not share_head:
        source = source_of()
    clf.set_params(max_iter=5)
    steps = clone(clf)
    for _ in range(5):
        steps.partial_fit(X, y, classes=[0, 1, 2], **source)
    clf.fit(X, y, **source)
    assert np.array_equal(theta_of(steps), theta_of(clf))
    assert steps.loss_curve_ == clf.loss_curve_
    assert np.array_equal(steps.map_params_[0], clf.map_params_[0]) or strategy == "target_only"


@pytest.mark.parametrize("share_head", ["auto", True, False])
def test_chunks_need_not_hold_all_labels(share_head):
    X, y = blobs(120)
    X_s, y_s = blobs(120, seed=5)
    y_s = y_s + 1  # labels 1, 2, 3: some in common
    clf = quick(share_head=share_head, learning_rate_init=0.02)
    clf.partial_fit(X, y, [0, 1, 2], **as_source(X_s, y_s))
    shape = clf._theta.shape
    for few in range(3):
        mine, theirs = y == few, y_s == few + 1
        clf.partial_fit(X[mine], y[mine], **as_source(X_s[theirs], y_s[theirs]))
        clf.partial_fit(X[mine], np.full(mine.sum(), np.nan), [0, 1, 2], **as_source(X_s, y_s))
    assert clf._theta.shape == shape
    assert clf.classes_.tolist() == ([0, 1, 2, 3] if share_head is True else [0, 1, 2])
    with pytest.raises(ValueError, match="not among the known classes"):
        clf.partial_fit(X, y, **as_source(X_s, y_s + 1))
    with pytest.raises(ValueError, match="differs from those of the first call"):
        clf.partial_fit(X, y, [0, 1], **as_source(X_s, y_s))
    with pytest.raises(ValueError, match="2 sources were given, but 1"):
        clf.partial_fit(X, y, **as_source(X_s, y_s, X_s, y_s))
    with pytest.raises(ValueError, match="need the layers"):
        clf.partial_fit(X, y)
    with pytest.raises(ValueError, match="5 features|4 columns"):
        clf.partial_fit(X, y, **as_source(np.zeros((9, 5)), np.ones(9)))


@pytest.mark.parametrize(
    "options", [{"solver": "lbfgs"}, {"strategy": "finetune"}, {"standardize": "per_domain"}]
)
def test_where_there_is_no_partial_fit(options):
    clf = quick(**options)
    assert not hasattr(clf, "partial_fit")
    with pytest.raises(AttributeError) as error:
        clf.partial_fit(*blobs(), classes=[0, 1, 2])
    assert next(iter(options)) in str(error.value.__cause__)


@pytest.mark.parametrize("strategy", ["joint", "target_only", "pooled"])
def test_warm_start_goes_on(strategy):
    X, y = blobs()
    options = {"solver": SGD(momentum=0.0), "learning_rate_init": 0.1, "strategy": strategy}
    clf = quick(warm_start=True, max_iter=6, feature_map="linear", **options)
    clf.fit(X, y, **source_of()).set_params(max_iter=9).fit(X, y, **source_of())
    full = quick(max_iter=15, feature_map="linear", **options).fit(X, y, **source_of())
    np.testing.assert_allclose(theta_of(clf), theta_of(full), rtol=1e-12)
    few = y < 2
    clf.fit(X[few], y[few], **source_of())
    assert clf.classes_.tolist() == [0, 1, 2]
    with pytest.raises(ValueError, match="not among the known classes"):
        clf.fit(X, y + 1, **source_of())


@pytest.mark.parametrize("again", [{}, source_of()], ids=["target", "both"])
def test_warm_start_after_finetuning_goes_on_with_the_target(again):
    X, y = blobs()
    options = {"solver": SGD(momentum=0.0), "learning_rate_init": 0.1}
    clf = quick(strategy="finetune", warm_start=True, **options).fit(X, y, **source_of())
    clf.set_params(max_iter=5).fit(X, y, **again)
    assert clf.n_iter_ == 5
    assert clf.pretrain_loss_curve_ is None
    source = quick(strategy="source_only", **options).fit(X, y, **source_of())
    want = quick(strategy="target_only", max_iter=20, source_model=source, **options).fit(X, y)
    np.testing.assert_allclose(theta_of(clf), theta_of(want), rtol=1e-12)


@pytest.mark.parametrize("strategy", ["joint", "finetune", "target_only", "pooled"])
def test_early_stopping_watches_the_target(strategy):
    X, y = blobs()
    X_val, y_val = blobs(50, seed=8)
    clf = quick(
        strategy=strategy,
        early_stopping=True,
        max_iter=100,
        tol=1e-4,
        n_iter_no_change=5,
        learning_rate_init=0.05,
    )
    clf.fit(X, y, X_val=X_val, y_val=y_val, **source_of())
    assert clf.best_validation_score_ == max(clf.validation_scores_) == clf.score(X_val, y_val)
    assert len(clf.validation_scores_) == clf.n_iter_ < 100


@pytest.mark.parametrize("standardize", [None, "per_domain"])
def test_only_target_rows_are_set_aside(standardize, monkeypatch):
    X, y = blobs()
    train, held_out = np.arange(0, 60, 2), np.arange(1, 60, 2)
    shapes = []

    def split(self, columns, n_rows, rng):
        shapes.append((n_rows, len(columns)))
        return train, held_out

    monkeypatch.setattr(TransferClassifier, "_split_off_validation", split)
    clf = quick(early_stopping=True, standardize=standardize).fit(X, y, **source_of())
    monkeypatch.undo()
    assert shapes == [(60, 1)]
    if standardize is None:
        want = quick(early_stopping=True)
        want.fit(X[train], y[train], X_val=X[held_out], y_val=y[held_out], **source_of())
        assert np.array_equal(theta_of(clf), theta_of(want))
    assert clf.best_validation_score_ == clf.score(X[held_out], y[held_out])


def test_validation_rows_have_labels_of_the_target():
    X, y = blobs()
    source = as_source(blobs(80, seed=5)[0], blobs(80, seed=5)[1] + 7)
    clf = quick(early_stopping=True, share_head=True)
    clf.fit(X, y, X_val=X, y_val=y, **source)
    assert clf.best_validation_score_ == clf.score(X, y)
    with pytest.raises(ValueError, match="label 11.*not among the known classes"):
        clf.fit(X, y, X_val=X, y_val=np.full(60, 11), **source)


# --- the founding examples -----------------------------------------------------------------------


@pytest.fixture(scope="module")
def digits():
    X, digit = load_digits(return_X_y=True)
    return X / 16, digit


def test_two_tasks_together_then_a_third_on_a_frozen_layer(digits):
    X, digit = digits
    train, test = slice(0, 1200), slice(1200, None)
    first = np.column_stack([digit % 2, digit >= 5])  # is it odd, is it large
    options = {"max_iter": 60, "learning_rate_init": 0.01, "random_state": 0}
    together = MultiTaskClassifier(**options).fit(X[train], first[train])
    assert together.score(X[test], first[test]) > 0.85
    loop = np.isin(digit, [0, 6, 8, 9])  # has it a closed loop, learned from 60 digits
    second = TransferClassifier(
        **options, strategy="target_only", source_model=FrozenEstimator(together), freeze=1
    ).fit(X[:60], loop[:60])
    assert np.array_equal(second.coefs_[0], together.coefs_[0])
    assert np.array_equal(second.transform(X[test]), together.transform(X[test]))
    assert second.score(X[test], loop[test]) > 0.75


def test_a_source_task_then_a_target_task_on_a_frozen_layer(digits):
    X, digit = digits
    options = {"max_iter": 100, "learning_rate_init": 0.02, "random_state": 0}
    clf = TransferClassifier(**options, strategy="finetune", freeze=1)
    small = np.flatnonzero(digit < 5), np.flatnonzero(digit >= 5)
    source, target = (X[small[0]], digit[small[0]]), small[1]
    clf.fit(X[target[:100]], digit[target[:100]], **as_source(*source))
    before = TransferClassifier(**options, strategy="source_only")
    before.fit(X[target[:100]], digit[target[:100]], **as_source(*source))
    assert np.array_equal(clf.coefs_[0], before.coefs_[0])
    assert clf.classes_.tolist() == [5, 6, 7, 8, 9]
    assert clf.score(X[target[100:]], digit[target[100:]]) > 0.7
