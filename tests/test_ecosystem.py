"""Inside scikit-learn's searches, pipelines and ensembles, with metadata routing on and off."""

import warnings

import numpy as np
import pytest
from joblib import parallel_config
from sklearn import config_context
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import BaggingClassifier, VotingClassifier
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import (
    GridSearchCV,
    HalvingGridSearchCV,
    RandomizedSearchCV,
    StratifiedKFold,
    cross_val_predict,
    cross_val_score,
    cross_validate,
    learning_curve,
)
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from tables import QUICK, blobs, source_of, theta_of, wide

from skmtl import MultiTaskClassifier, TransferClassifier, as_source, make_transfer_pipeline
from skmtl.metrics import make_task_scorer
from skmtl.model_selection import MultiTaskKFold
from skmtl.plugins.optimizers import Adam
from skmtl.plugins.penalties import ElasticNet

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

LEARN = {**QUICK, "learning_rate_init": 0.05}
FOLDS = StratifiedKFold(3)


class Spy(TransferClassifier):
    """Keeps what its fits and predictions are given, in the class."""

    fits, predictions = [], []

    def fit(self, X, y, sample_weight=None, **keywords):
        Spy.fits.append((X, y, keywords))
        return super().fit(X, y, sample_weight, **keywords)

    def predict(self, X):
        Spy.predictions.append(X)
        return super().predict(X)


@pytest.fixture(autouse=True)
def forget():
    Spy.fits.clear()
    Spy.predictions.clear()


def target_and_source(n_source=80):
    """A target far from its source: each has its own mean and scale."""
    X, y = blobs()
    X_s, y_s = blobs(n_source, seed=5)
    return 3 * X + 100, y, as_source(X_s, y_s)


# --- the main job --------------------------------------------------------------------------------


@pytest.mark.parametrize("n_source", [80, 60, 40], ids=["longer", "as long", "as a fold"])
def test_grid_search_of_a_pipeline_with_routing(n_source):
    X, y, source = target_and_source(n_source)
    (X_s,), (y_s,) = source.values()
    pipeline = make_transfer_pipeline(StandardScaler(), Spy(**LEARN, feature_map="linear"))
    grid = {"spy__lam": [0.1, 1.0, 10.0], "spy__mu": [0.01, 1.0]}
    with config_context(enable_metadata_routing=True):
        search = GridSearchCV(pipeline, grid, cv=FOLDS, error_score="raise")
        search.fit(X, y, **source)
    folds = list(FOLDS.split(X, y))
    assert len(Spy.fits) == 6 * 3 + 1
    for k, (seen, labels, keywords) in enumerate(Spy.fits):
        rows = folds[k % 3][0] if k < 18 else np.arange(60)
        scaler = StandardScaler().fit(X[rows])
        np.testing.assert_allclose(seen, scaler.transform(X[rows]))
        np.testing.assert_array_equal(labels, y[rows])
        # All of the source, in the scale of the fold's target rows.
        assert list(keywords) == ["X_source", "y_source"]
        np.testing.assert_allclose(keywords["X_source"][0], scaler.transform(X_s))
        np.testing.assert_array_equal(keywords["y_source"][0], y_s)
    # Test folds are target rows, each once per candidate.
    assert len(Spy.predictions) == 18
    for k, seen in enumerate(Spy.predictions):
        scaler = StandardScaler().fit(X[folds[k % 3][0]])
        np.testing.assert_allclose(seen, scaler.transform(X[folds[k % 3][1]]))
    # And the scores are those of fits by hand.
    for k, candidate in enumerate(search.cv_results_["params"]):
        train, test = folds[1]
        scaler = StandardScaler().fit(X[train])
        clf = TransferClassifier(**LEARN, feature_map="linear")
        clf.set_params(lam=candidate["spy__lam"], mu=candidate["spy__mu"])
        clf.fit(scaler.transform(X[train]), y[train], **as_source(scaler.transform(X_s), y_s))
        got = search.cv_results_["split1_test_score"][k]
        assert got == clf.score(scaler.transform(X[test]), y[test])
    assert search.best_estimator_[-1].map_source(X_s).shape == X_s.shape


@pytest.mark.parametrize("n_source", [80, 60, 40], ids=["longer", "as long", "as a fold"])
@pytest.mark.parametrize("routing", [False, True])
def test_grid_search_without_pipeline(routing, n_source):
    X, y, source = target_and_source(n_source)
    with config_context(enable_metadata_routing=routing):
        search = GridSearchCV(Spy(**LEARN), {"lam": [0.1, 10.0]}, cv=FOLDS, error_score="raise")
        search.fit(X, y, **source)
    folds = list(FOLDS.split(X, y))
    for k, (seen, labels, keywords) in enumerate(Spy.fits):
        rows = folds[k % 3][0] if k < 6 else np.arange(60)
        np.testing.assert_array_equal(seen, X[rows])
        np.testing.assert_array_equal(labels, y[rows])
        assert keywords["X_source"][0].shape == (n_source, 4)
        assert keywords["y_source"][0].shape == (n_source,)
    for k, seen in enumerate(Spy.predictions):
        np.testing.assert_array_equal(seen, X[folds[k % 3][1]])


@pytest.mark.parametrize("routing", [False, True])
def test_a_bare_source_of_the_targets_length_is_sliced_and_warned_of(routing):
    """The trap that as_source is for."""
    X, y, source = target_and_source(60)
    bare = {name: value[0] for name, value in source.items()}
    with (
        config_context(enable_metadata_routing=routing),
        pytest.warns(UserWarning, match="as_source"),
    ):
        GridSearchCV(Spy(**LEARN), {"lam": [1.0]}, cv=FOLDS).fit(X, y, **bare)
    assert [len(keywords["X_source"]) for _, _, keywords in Spy.fits] == [40, 40, 40, 60]


def test_validation_and_unlabelled_rows_go_through_the_pipeline():
    X, y, source = target_and_source()
    clf = Spy(**LEARN, early_stopping=True, standardize="per_domain")
    with config_context(enable_metadata_routing=True):
        pipeline = make_transfer_pipeline(StandardScaler(), clf)
        pipeline.fit(X, y, **source, X_unlabeled=X[:9], X_val=X[:8], y_val=y[:8])
    scaler = StandardScaler().fit(X)
    ((_, _, keywords),) = Spy.fits
    np.testing.assert_allclose(keywords["X_unlabeled"], scaler.transform(X[:9]))
    np.testing.assert_allclose(keywords["X_val"], scaler.transform(X[:8]))
    np.testing.assert_array_equal(keywords["y_val"], y[:8])


def test_several_sources_go_through_the_pipeline():
    X, y, _ = target_and_source()
    A, B = blobs(50, seed=3), blobs(70, seed=4)
    with config_context(enable_metadata_routing=True):
        make_transfer_pipeline(StandardScaler(), Spy(**LEARN)).fit(X, y, **as_source(*A, *B))
    scaler = StandardScaler().fit(X)
    ((_, _, keywords),) = Spy.fits
    for seen, given in zip(keywords["X_source"], (A, B)):
        np.testing.assert_allclose(seen, scaler.transform(given[0]))


def test_a_text_pipeline():
    """The vectorizer learns its words from the target; the source comes as sparse rows of them."""
    target = ["good film", "bad film", "good plot", "bad plot", "good good", "bad bad"] * 5
    y = np.array(["+", "-"] * 15)
    books = ["good book", "bad book", "a good read", "a bad read"] * 10
    with config_context(enable_metadata_routing=True):
        pipeline = make_transfer_pipeline(TfidfVectorizer(), TransferClassifier(**LEARN))
        search = GridSearchCV(pipeline, {"transferclassifier__lam": [0.3, 3.0]}, cv=3)
        search.fit(target, y, **as_source(books, np.array(["+", "-"] * 20)))
    assert search.best_score_ > 0.9
    assert search.predict(["good"]).tolist() == ["+"]


def test_make_transfer_pipeline():
    pipeline = make_transfer_pipeline(StandardScaler(), TransferClassifier(), verbose=True)
    assert pipeline.verbose
    assert list(pipeline.named_steps) == ["standardscaler", "transferclassifier"]
    assert clone(pipeline).transform_input == ["X_source", "X_unlabeled", "X_val"]
    X, y, source = target_and_source()
    with config_context(enable_metadata_routing=True):
        assert make_transfer_pipeline(TransferClassifier(**LEARN)).fit(X, y, **source)
        # Without a source it is a pipeline like any other.
        assert make_transfer_pipeline(StandardScaler(), TransferClassifier(**LEARN)).fit(X, y)


# --- other tools of scikit-learn -----------------------------------------------------------------


@pytest.mark.parametrize("routing", [False, True])
def test_cross_validation_with_a_source(routing):
    X, y, source = target_and_source()
    clf = TransferClassifier(**LEARN)
    by_hand = [
        clone(clf).fit(X[train], y[train], **source).score(X[test], y[test])
        for train, test in FOLDS.split(X, y)
    ]
    with config_context(enable_metadata_routing=routing):
        assert cross_val_score(clf, X, y, cv=FOLDS, params=source).tolist() == by_hand
        results = cross_validate(clf, X, y, cv=FOLDS, params=source, return_estimator=True)
        predicted = cross_val_predict(clf, X, y, cv=FOLDS, params=source, method="predict_proba")
    assert results["test_score"].tolist() == by_hand
    assert predicted.shape == (60, 3)


@pytest.mark.parametrize("routing", [False, True])
@pytest.mark.parametrize(
    "search",
    [
        lambda clf: GridSearchCV(clf, {"lam": [0.1, 1], "mu": [0.1]}, cv=FOLDS),
        lambda clf: RandomizedSearchCV(
            clf, {"lam": [0.1, 1, 10], "mu": [0.1, 1]}, n_iter=3, cv=FOLDS, random_state=0
        ),
        lambda clf: HalvingGridSearchCV(
            clf, {"lam": [0.1, 1, 10]}, cv=FOLDS, random_state=0, min_resources=30
        ),
        lambda clf: HalvingGridSearchCV(
            clf, {"lam": [0.1, 1, 10]}, cv=FOLDS, resource="max_iter", max_resources=9
        ),
    ],
    ids=["grid", "random", "halving", "halving by epochs"],
)
def test_searches_with_a_source(search, routing):
    X, y, source = target_and_source()
    with config_context(enable_metadata_routing=routing):
        found = search(Spy(**LEARN)).set_params(error_score="raise").fit(X, y, **source)
    assert found.best_params_["lam"] in (0.1, 1, 10)
    assert all(keywords["X_source"][0].shape == (80, 4) for _, _, keywords in Spy.fits)
    assert np.isfinite(found.cv_results_["mean_test_score"]).all()


@pytest.mark.parametrize("clf", [MultiTaskClassifier(**LEARN), TransferClassifier(**LEARN)])
@pytest.mark.parametrize(
    "wrap",
    [
        lambda clf: VotingClassifier([("a", clf), ("b", LogisticRegression())], voting="soft"),
        lambda clf: BaggingClassifier(clf, n_estimators=3, random_state=0),
        lambda clf: CalibratedClassifierCV(clf, cv=3),
        lambda clf: CalibratedClassifierCV(clf, cv=3, ensemble=False),
        lambda clf: OneVsRestClassifier(clf),
        lambda clf: make_pipeline(StandardScaler(), clf),
        lambda clf: RandomizedSearchCV(clf, {"learning_rate_init": [0.01, 0.1]}, n_iter=2, cv=3),
        lambda clf: make_pipeline(clf, LogisticRegression()),  # as a transformer
    ],
    ids=["voting", "bagging", "calibrated", "calibrated2", "one vs rest", "pipe", "random", "rep"],
)
def test_one_column_of_labels(wrap, clf):
    X, y = blobs()
    names = np.array(["ape", "bee", "cat"])[y]
    model = wrap(clone(clf)).fit(X, names)
    assert model.score(X, names) > 0.8
    assert model.predict_proba(X).shape == (60, 3)
    assert model.classes_.tolist() == ["ape", "bee", "cat"]


@pytest.mark.parametrize("wrap", ["voting", "bagging", "calibrated"])
def test_ensembles_with_a_source_and_routing(wrap):
    X, y, source = target_and_source()
    models = {
        "voting": lambda: VotingClassifier([("a", Spy(**LEARN)), ("b", Spy(**LEARN, lam=9.0))]),
        "bagging": lambda: BaggingClassifier(Spy(**LEARN), n_estimators=3, random_state=0),
        "calibrated": lambda: CalibratedClassifierCV(Spy(**LEARN), cv=3),
    }
    with config_context(enable_metadata_routing=True):
        models[wrap]().fit(X, y, **source).predict(X)
    assert len(Spy.fits) >= 2
    assert all(keywords["X_source"][0].shape == (80, 4) for _, _, keywords in Spy.fits)


def test_calibration_with_a_source_without_routing():
    X, y, source = target_and_source()
    CalibratedClassifierCV(Spy(**LEARN), cv=3).fit(X, y, **source)
    assert [len(X) for X, _, _ in Spy.fits] == [40, 40, 40]
    assert all(keywords["X_source"][0].shape == (80, 4) for _, _, keywords in Spy.fits)


def test_learning_curve_of_the_target():
    X, y, source = target_and_source()
    clf = Spy(**LEARN)
    params = {"params": source}
    try:
        sizes, *_ = learning_curve(clf, X, y, cv=3, train_sizes=[0.5, 1.0], **params)
    except TypeError:  # scikit-learn < 1.6.?
        sizes, *_ = learning_curve(clf, X, y, cv=3, train_sizes=[0.5, 1.0], fit_params=source)
    assert sizes.tolist() == [20, 40]
    assert sorted(len(X) for X, _, _ in Spy.fits) == [20] * 3 + [40] * 3


# --- several tasks -------------------------------------------------------------------------------


class Doubled(TransformerMixin, BaseEstimator):
    """Something in front."""

    def fit(self, X, y=None):
        return self

    def transform(self, X):
        return 2 * X


@pytest.mark.parametrize("average", ["macro", "weighted", "worst", 1])
@pytest.mark.parametrize("metric", ["accuracy", "balanced_accuracy", "neg_log_loss"])
def test_grid_search_of_several_tasks_with_holes(metric, average):
    X, Y = wide()
    cv = MultiTaskKFold(3, random_state=0)
    scorer = make_task_scorer(metric, average=average)
    clf = MultiTaskClassifier(**LEARN)
    search = GridSearchCV(
        clf,
        {"lam": [1e-4, 0.1], "sharing": ["hard", "none"]},
        cv=cv,
        scoring=scorer,
        error_score="raise",
    ).fit(X, Y)
    for k, candidate in enumerate(search.cv_results_["params"]):
        train, test = list(cv.split(X, Y))[2]
        model = clone(clf).set_params(**candidate).fit(X[train], Y[train])
        assert search.cv_results_["split2_test_score"][k] == scorer(model, X[test], Y[test])
    assert search.predict(X).shape == Y.shape


def test_the_default_scorer_and_a_pipeline():
    X, Y = wide()
    cv = MultiTaskKFold(3, random_state=0)
    model = make_pipeline(Doubled(), MultiTaskClassifier(**LEARN))
    scores = cross_val_score(model, X, Y, cv=cv)
    assert (
        scores.tolist() == cross_val_score(model, X, Y, cv=cv, scoring=make_task_scorer()).tolist()
    )
    assert scores.mean() > 0.7
    several = cross_validate(
        model,
        X,
        Y,
        cv=cv,
        scoring={"mean": make_task_scorer(), "odd": make_task_scorer("roc_auc", average=1)},
    )
    assert several["test_mean"].tolist() == scores.tolist()
    assert np.isfinite(several["test_odd"]).all()


def test_a_fold_without_a_class_of_a_task():
    X, Y = wide(missing=0)
    Y[:, 1] = 0
    Y[7, 1] = 1  # one row of a class: some training fold does not see it
    with pytest.warns(UserWarning, match="Only one class in task 1"):
        scores = cross_val_score(
            MultiTaskClassifier(**LEARN),
            X,
            Y,
            cv=MultiTaskKFold(3, random_state=0),
            error_score="raise",
        )
    assert np.isfinite(scores).all()


def test_routing_of_label_weights():
    X, Y = wide(missing=0)
    weight = (np.random.default_rng(0).random(Y.shape) < 0.7).astype(float)
    cv = MultiTaskKFold(3, random_state=0)
    with config_context(enable_metadata_routing=True):
        clf = MultiTaskClassifier(**LEARN).set_fit_request(label_weight=True)
        scores = cross_val_score(clf, X, Y, cv=cv, params={"label_weight": weight})
    by_hand = [
        MultiTaskClassifier(**LEARN)
        .fit(X[train], Y[train], label_weight=weight[train])
        .score(X[test], Y[test])
        for train, test in cv.split(X, Y)
    ]
    assert scores.tolist() == by_hand


# --- plugins in grids ----------------------------------------------------------------------------


def test_parameters_of_plugins_in_a_grid():
    X, y = blobs()
    clf = TransferClassifier(**LEARN, penalty=ElasticNet(), solver=Adam(), alpha=0.05)
    grid = {"penalty__l1_ratio": [0.0, 1.0], "solver__beta_1": [0.5, 0.9]}
    search = GridSearchCV(clf, grid, cv=FOLDS, error_score="raise").fit(X, y, **source_of())
    assert sorted(p["penalty__l1_ratio"] for p in search.cv_results_["params"]) == [0, 0, 1, 1]
    best = search.best_estimator_
    assert best.penalty_.l1_ratio == search.best_params_["penalty__l1_ratio"]
    assert clf.penalty.l1_ratio == 0.5  # clones were searched
    fits = [clone(clf).set_params(alpha=1.0, penalty__l1_ratio=r).fit(X, y) for r in (0, 1)]
    assert not np.allclose(*map(theta_of, fits))
    named = GridSearchCV(clf, {"penalty": ["l1", "l2", ElasticNet(0.3)]}, cv=FOLDS).fit(X, y)
    assert np.isfinite(named.cv_results_["mean_test_score"]).all()


def test_a_wrong_plugin_parameter_is_told_by_the_search():
    clf = TransferClassifier(**LEARN, penalty=ElasticNet())
    with pytest.raises(ValueError, match="'l1_ratio' parameter of ElasticNet"):
        GridSearchCV(clf, {"penalty__l1_ratio": [2.0]}, cv=2, error_score="raise").fit(*blobs())


# --- same seed, same bits ------------------------------------------------------------------------


def jobs(backend, n_jobs):
    """Fits of both estimators under a joblib backend; gives all weights and scores."""
    X, Y = wide(200)
    X_t, y = blobs(60)
    found = []
    with parallel_config(backend, n_jobs=n_jobs):
        search = GridSearchCV(
            MultiTaskClassifier(**LEARN, batch_size=32, dropout=0.2),
            {"lam": [1e-3, 1e-1]},
            cv=MultiTaskKFold(2, random_state=0),
        ).fit(X, Y)
        found += [search.cv_results_["mean_test_score"], theta_of(search.best_estimator_)]
        results = cross_validate(
            TransferClassifier(**LEARN, batch_size=32, feature_map="linear"),
            X_t,
            y,
            cv=FOLDS,
            params=source_of(),
            return_estimator=True,
        )
        found += [results["test_score"], *map(theta_of, results["estimator"])]
    return found


@pytest.fixture(scope="module")
def serial():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return jobs("loky", 1)


def assert_same_bits(found, expected):
    assert len(found) == len(expected)
    for got, want in zip(found, expected):
        assert np.array_equal(got, want)


@pytest.mark.parametrize("backend", ["loky", "threading", "multiprocessing"])
def test_same_seed_same_bits(backend, serial, monkeypatch):
    monkeypatch.setenv("PYTHONWARNINGS", "ignore")  # processes have no pytest to filter theirs
    assert_same_bits(jobs(backend, 2), serial)


@pytest.mark.parametrize("processes", [False, True])
def test_same_seed_same_bits_with_dask(processes, serial, monkeypatch):
    distributed = pytest.importorskip("dask.distributed")
    monkeypatch.setenv("PYTHONWARNINGS", "ignore")
    with (
        warnings.catch_warnings(),
        distributed.LocalCluster(
            n_workers=2 if processes else 1,
            threads_per_worker=1 if processes else 2,
            processes=processes,
            dashboard_address=":0",
        ) as cluster,
        distributed.Client(cluster),
    ):
        warnings.simplefilter("ignore")
        assert_same_bits(jobs("dask", 2), serial)


def test_big_arrays_come_as_read_only_memmaps(monkeypatch):
    """joblib hands arrays over 1 MB to processes that way."""
    monkeypatch.setenv("PYTHONWARNINGS", "ignore")
    X, y = blobs(40_000)
    X_s, y_s = blobs(40_000, seed=5)
    clf = TransferClassifier(**{**LEARN, "max_iter": 2}, batch_size=2000)
    found = []
    for n_jobs in (1, 2):
        with parallel_config("loky", n_jobs=n_jobs):
            scores = cross_val_score(clf, X, y, cv=2, params=as_source(X_s, y_s))
        found.append(scores.tolist())
    assert found[0] == found[1]
