"""TransferClassifierCV and MultiTaskClassifierCV: the race, the verdict, the refit."""

import re
import tracemalloc
from inspect import getdoc, signature

import numpy as np
import pytest
from sklearn import config_context
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import (
    KFold,
    RepeatedKFold,
    RepeatedStratifiedKFold,
    ShuffleSplit,
    StratifiedKFold,
    cross_val_score,
)
from sklearn.utils.estimator_checks import parametrize_with_checks
from tables import QUICK, blobs, digest, source_of, theta_of, wide

from skmtl import (
    MultiTaskClassifier,
    MultiTaskClassifierCV,
    MultiTaskRegressor,
    MultiTaskRegressorCV,
    TransferClassifier,
    TransferClassifierCV,
    TransferRegressorCV,
    as_source,
    make_transfer_pipeline,
)
from skmtl.datasets import make_transfer_pair
from skmtl.metrics import make_task_scorer
from skmtl.once import Once
from skmtl.search import log_score, placebo, tempered_log_score
from skmtl.search.race import Race
from skmtl.search.scores import TEMPERATURES
from skmtl.search.verdict import describe_folds
from skmtl.steps import PausableFit
from skmtl.tasks import spread_tasks

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

LAMS = (0.1, 1.0, 10.0)


def transfer_search(estimator=None, **parameters):
    estimator = TransferClassifier(**QUICK) if estimator is None else estimator
    parameters = {"lams": LAMS, "cv": 3, "random_state": 0, **parameters}
    return TransferClassifierCV(estimator, **parameters)


def task_search(estimator=None, **parameters):
    estimator = MultiTaskClassifier(**QUICK) if estimator is None else estimator
    parameters = {"lams": (1e-4, 1e-3, 1e-2, 1e-1), "cv": 3, "random_state": 0, **parameters}
    return MultiTaskClassifierCV(estimator, **parameters)


def number_search(**parameters):
    parameters = {"lams": (1e-3, 1e-1), "cv": 3, "random_state": 0, **parameters}
    return MultiTaskRegressorCV(MultiTaskRegressor(**QUICK), **parameters)


SEARCHES = {
    "transfer": (transfer_search, lambda: (*blobs(), source_of())),
    "tasks": (task_search, lambda: (*wide(), {})),
}
both = pytest.mark.parametrize("search, data", SEARCHES.values(), ids=SEARCHES)


@parametrize_with_checks([TransferClassifierCV(), MultiTaskClassifierCV(cv=2)])
def test_sklearn_contract(estimator, check):
    inner = estimator._default_estimator().set_params(max_iter=20, random_state=0)
    check(estimator.set_params(estimator=inner, min_epochs=10))


@pytest.mark.parametrize(
    "search",
    [TransferClassifierCV, TransferRegressorCV, MultiTaskClassifierCV, MultiTaskRegressorCV],
)
def test_parameters_are_documented(search):
    """Constructors are those of base classes, which numpydoc does not see."""
    section = getdoc(search).partition("Parameters\n")[2].partition("Attributes\n")[0]
    assert re.findall(r"^(\w+) : ", section, re.MULTILINE) == list(signature(search).parameters)


@both
def test_finished_candidates_score_as_fits_of_their_own(search, data):
    X, y, keywords = data()
    cv = list(KFold(3).split(X))
    search = search(cv=cv).fit(X, y, **keywords)
    results, n_checked = search.cv_results_, 0
    inner = clone(search.estimator).set_params(
        random_state=np.random.RandomState(0).randint(np.iinfo(np.int32).max)
    )
    for c in np.flatnonzero(results["finished"]):
        for k, (train, test) in enumerate(cv):
            fitted = clone(inner).set_params(**results["params"][c])
            score = log_score(fitted.fit(X[train], y[train], **keywords), X[test], y[test])
            assert results[f"split{k}_test_score"][c] == pytest.approx(score, rel=1e-12)
            n_checked += 1
    assert n_checked >= 9


@both
def test_no_candidate_is_fitted_twice(search, data, monkeypatch):
    starts, init = [], PausableFit.__init__

    def counted(self, *args):
        starts.append(None)
        init(self, *args)

    monkeypatch.setattr(PausableFit, "__init__", counted)
    X, y, keywords = data()
    search = search(min_epochs=2).fit(X, y, **keywords)
    results = search.cv_results_
    n_placebos = 0 if getattr(search, "placebo_gain_", None) is None else 3
    assert len(starts) == 3 * len(results["params"]) + n_placebos
    stopped = results["mean_n_epochs"][~results["finished"]]
    assert stopped.size
    assert stopped.max() < QUICK["max_iter"]
    assert (results["mean_n_epochs"][results["finished"]] >= QUICK["max_iter"]).all()


@both
def test_threads_change_nothing(search, data):
    X, y, keywords = data()
    one, two = (search(n_jobs=n).fit(X, y, **keywords) for n in (1, 2))
    assert one.best_params_ == two.best_params_
    assert one.transfer_gain_.mean == two.transfer_gain_.mean
    assert np.array_equal(one.cv_results_["mean_test_score"], two.cv_results_["mean_test_score"])
    assert np.array_equal(theta_of(one.best_estimator_), theta_of(two.best_estimator_))


@both
def test_a_warm_path_saves_iterations_to_the_same_minima(search, data):
    X, y, keywords = data()
    X = X + 2 * np.random.default_rng(0).standard_normal(X.shape)
    convex = {"hidden_layer_sizes": (), "solver": "lbfgs", "max_iter": 1000, "tol": 1e-7}
    estimator = search().estimator.set_params(**convex)
    cold, warm = (
        search(estimator, lams=np.logspace(-2, 1, 15), warm_path=warm).fit(X, y, **keywords)
        for warm in (False, True)
    )
    ends = [search.cv_results_["mean_test_score"] for search in (cold, warm)]
    assert np.allclose(*ends, rtol=1e-3)
    n_cold, n_warm = (s.cv_results_["mean_n_epochs"].sum() for s in (cold, warm))
    assert n_warm < 0.8 * n_cold
    assert not warm.best_estimator_.warm_start


def test_paths_of_nets_start_from_one_another():
    X, y = blobs()
    cold, warm = (
        transfer_search(warm_path=warm, min_epochs=15).fit(X, y, **source_of())
        for warm in (False, True)
    )
    rows = [params["strategy"] == "joint" for params in cold.cv_results_["params"]]
    cold, warm = (s.cv_results_["mean_test_score"] for s in (cold, warm))
    first, *later = np.flatnonzero(rows)
    same = cold == warm
    assert same[first]
    assert not same[later].any()
    assert same[~np.array(rows)].all()


@both
def test_the_refit_is_a_fit_of_the_chosen_candidate(search, data):
    X, y, keywords = data()
    search = search().fit(X, y, **keywords)
    again = clone(search.estimator).set_params(**search.best_params_).fit(X, y, **keywords)
    assert np.array_equal(theta_of(search.best_estimator_), theta_of(again))
    assert np.array_equal(search.predict(X), again.predict(X))
    assert np.array_equal(search.transform(X), again.transform(X))
    assert search.score(X, y) == again.score(X, y)
    assert search.best_score_ == search.cv_results_["mean_test_score"][search.best_index_]
    assert search.verdict_ in search.reason_.replace("makes no", "no")


@both
def test_a_failed_search_leaves_nothing(search, data):
    X, y, keywords = data()
    search = search().fit(X, y, **keywords)
    before = digest(search.__getstate__())
    X = X.copy()
    X[0] = np.nan
    with pytest.raises(ValueError, match="NaN"):
        search.fit(X, y, **keywords)
    assert digest(search.__getstate__()) == before


@pytest.mark.parametrize(
    "search, match",
    [
        (transfer_search(lams=[0.0, 1.0]), r"lams must hold finite numbers > 0. Got \[0.0, 1.0\]"),
        (transfer_search(mus=[np.inf]), "mus must hold"),
        (transfer_search(alphas=[0.0]), "alphas must hold"),
        (transfer_search(strategies=("joint", "other")), "strategies must hold some of"),
        (transfer_search(strategies=()), "strategies must hold some of"),
        (transfer_search(factor=1), "'factor' parameter"),
        (task_search(lams=[]), "lams must hold"),
        (task_search(selection="worst"), "'selection' parameter"),
        (transfer_search(refit=True), "'refit' parameter"),
    ],
)
def test_bad_parameters_are_named(search, match):
    X, y = blobs()
    keywords = {} if isinstance(search, MultiTaskClassifierCV) else source_of()
    with pytest.raises(ValueError, match=match):
        search.fit(X, y, **keywords)


# --- transfer -------------------------------------------------------------------------------------


def related_pair(relatedness, seed=0):
    pair = make_transfer_pair(60, relatedness=relatedness, random_state=seed)
    return pair, as_source(pair.X_source, pair.y_source)


def make_noise(y, n=90):
    """Rows and labels that have nothing to do with each other."""
    rng = np.random.default_rng(0)
    return rng.normal(size=(n, blobs()[0].shape[1])), rng.choice(y, n)


def test_a_related_source_helps():
    pair, source = related_pair(0.95)
    search = transfer_search(TransferClassifier((16,), max_iter=60, random_state=0), cv=5)
    search.fit(pair.X, pair.y, **source)
    assert search.verdict_ == "helps"
    assert search.best_params_ == search.best_sharing_params_
    assert search.best_params_["strategy"] != "target_only"


@pytest.mark.parametrize("seed", range(3))
def test_an_unrelated_source_does_not(seed):
    pair, source = related_pair(0.0, seed)
    search = transfer_search(TransferClassifier((16,), max_iter=60, random_state=0), cv=5)
    search.fit(pair.X, pair.y, **source)
    assert search.verdict_ in ("hurts", "no difference")
    assert (search.placebo_gain_ is not None) == search.transfer_gain_.is_beyond_error
    assert search.best_params_["strategy"] == "target_only"
    assert search.best_sharing_params_["strategy"] != "target_only"


def test_what_helps_does_better_than_with_shuffled_labels():
    """The placebo is the candidate, on the first ten folds, with the source's labels shuffled."""
    pair, source = related_pair(0.95)
    net = TransferClassifier((16,), max_iter=60, random_state=0)
    search = transfer_search(net, cv=None).fit(pair.X, pair.y, **source)
    assert search.verdict_ == "helps"
    assert len(search.placebo_gain_.by_fold) == 10 < search.n_splits_
    shuffled = search._placebo(source)["y_source"][0]
    assert sorted(shuffled) == sorted(pair.y_source)
    assert np.mean(shuffled == pair.y_source) < 0.8
    rng, splits = np.random.RandomState(0), search._splits(pair.y, pair.y)
    seeds = rng.randint(np.iinfo(np.int32).max, size=4)
    again = clone(net).set_params(**search.best_sharing_params_)
    best = next(
        c for c, p in enumerate(search.cv_results_["params"]) if p == search.best_sharing_params_
    )
    for k, (train, test) in enumerate(splits[:10]):
        again.set_params(random_state=seeds[k // 5])
        again.fit(pair.X[train], pair.y[train], **as_source(pair.X_source, shuffled))
        gain = search.cv_results_[f"split{k}_test_score"][best]
        gain -= log_score(again, pair.X[test], pair.y[test])
        assert search.placebo_gain_.by_fold[k] == pytest.approx(gain, rel=1e-9)
    assert search.placebo_gain_.mean > search.placebo_gain_.std_error
    assert "over shuffled labels of the source" in search.reason_


def test_what_helps_as_much_with_shuffled_labels_makes_no_difference():
    """With too little penalty the target alone is helped by any rows that hold weights down."""
    pair, _ = related_pair(0.95, seed=3)
    rng = np.random.default_rng(3)
    noise = as_source(rng.normal(size=(200, pair.X.shape[1])), rng.choice(pair.y, 200))
    linear = TransferClassifier((), solver="lbfgs", alpha=1e-9, random_state=0)
    search = transfer_search(linear, cv=None).fit(pair.X, pair.y, **noise)
    assert search.transfer_gain_.is_beyond_error
    assert not search.placebo_gain_.is_beyond_error
    assert search.verdict_ == "no difference"
    assert "helps" not in search.verdicts_.values()
    assert search.best_params_["strategy"] == "target_only"


@pytest.mark.parametrize("errors, said", [(0.4, "no difference"), (0.6, "helps")])
def test_half_an_error_beyond_the_placebo_is_enough(errors, said, monkeypatch):
    """The placebo's scores are made up, so that the gain over it is as many errors."""
    pair, source = related_pair(0.95)
    search = transfer_search(TransferClassifier((16,), max_iter=60, random_state=0), cv=5)
    spread = np.array([-2.0, -1.0, 0.0, 1.0, 2.0])
    error = spread.std(ddof=1) * np.sqrt(1 / 5 + 1 / 4)

    def again(race, c, n_folds, fit_params):
        return race.scores[c, :n_folds] - (spread + errors * error)

    monkeypatch.setattr(Race, "again", again)
    search.fit(pair.X, pair.y, **source)
    assert search.placebo_gain_.mean == pytest.approx(errors * search.placebo_gain_.std_error)
    assert search.verdict_ == said
    shares = search.best_params_["strategy"] != "target_only"
    assert shares == ("helps" in search.verdicts_.values()) == (said == "helps")


def test_each_of_several_sources_is_shuffled_by_itself():
    first, second = np.arange(20), np.arange(100, 130)
    shuffled = placebo.shuffled((first, second.tolist()), np.random.RandomState(0))
    for before, after in zip((first, second), shuffled, strict=True):
        assert sorted(after) == before.tolist() != list(after)


def test_there_is_no_placebo_of_what_a_source_model_knows():
    pair, source = related_pair(0.95, seed=2)
    known = TransferClassifier((16,), max_iter=1, random_state=0).fit(pair.X_source, pair.y_source)
    net = TransferClassifier(
        (16,), max_iter=60, source_model=FrozenEstimator(known), random_state=0
    )
    search = transfer_search(net).fit(pair.X, pair.y, **source)
    assert search.verdict_ == "helps"
    assert search.placebo_gain_ is None


def test_a_source_that_helps_hurts_when_used_badly():
    """A layer that an epoch on the source left, and that is frozen, is in the target's way."""
    pair, source = related_pair(0.95)
    net = TransferClassifier((2,), freeze=1, pretrain_max_iter=1, max_iter=60, random_state=0)
    search = transfer_search(net, cv=5, strategies=("finetune",)).fit(pair.X, pair.y, **source)
    assert search.verdict_ == "helps"
    assert search.verdicts_["pooled"] == "helps"
    assert search.verdicts_["finetune"] == "hurts"
    assert search.gains_["finetune"].mean < 0 < search.gains_["pooled"].mean


def test_ways_of_which_no_candidate_finished_are_not_judged():
    search = transfer_search(lams=(0.1, 0.3, 1.0, 3.0, 10.0), factor=10).fit(
        *blobs(), **source_of()
    )
    results = search.cv_results_
    ways = {p["strategy"] for p, ended in zip(results["params"], results["finished"]) if ended}
    assert set(search.verdicts_) == set(search.gains_) == ways - {"target_only"}


def test_repeats_have_seeds_of_their_own(first_stages):
    cv = RepeatedStratifiedKFold(n_splits=3, n_repeats=2, random_state=0)
    transfer_search(cv=cv, strategies=("finetune",)).fit(*blobs(), **source_of())
    assert len(set(first_stages)) == len(first_stages) == 2


@pytest.mark.parametrize(
    "cv, repeats",
    [
        (KFold(3), [0, 0, 0]),
        (RepeatedKFold(n_splits=2, n_repeats=3, random_state=0), [0, 0, 1, 1, 2, 2]),
        (ShuffleSplit(3, test_size=0.9, random_state=0), [0, 1, 2]),
    ],
)
def test_repeats_of_folds(cv, repeats):
    splits = list(cv.split(np.zeros(12)))
    masks = [tuple(np.isin(np.arange(12), rows) for rows in split) for split in splits]
    numbers, masks = describe_folds(splits, 12), describe_folds(masks, 12)
    assert numbers.repeats == masks.repeats == repeats
    assert numbers.test_share == masks.test_share


def test_the_surface_and_its_ends():
    search = transfer_search(
        TransferClassifier(**QUICK, feature_map="affine"), mus=(1.0, 0.1), min_epochs=15
    ).fit(*blobs(), **source_of())
    assert search.mus_.tolist() == [0.1, 1.0]
    assert search.path_scores_.shape == (3, 2)
    assert set(search.end_scores_) == {"source_only", "target_only", "pooled", "finetune"}
    results = search.cv_results_
    assert len(results["params"]) == 2 * (3 + len(LAMS)) + 1
    for params, mean in zip(results["params"], results["mean_test_score"]):
        if params["strategy"] == "joint":
            place = LAMS.index(params["lam"]), search.mus_.tolist().index(params["mu"])
            assert search.path_scores_[place] == mean


def test_all_candidates_have_the_same_choice_of_alphas():
    estimator = TransferClassifier(**QUICK, alpha=30.0)
    X, y = blobs()
    search = transfer_search(estimator, alphas=(1e-4, 30.0), min_epochs=15)
    search.fit(X, y, **source_of())
    results = search.cv_results_
    ways = [
        (params["strategy"], params.get("lam"), params["alpha"]) for params in results["params"]
    ]
    assert len(set(ways)) == len(ways) == 2 * (4 + len(LAMS))
    scores = dict(zip(ways, results["mean_test_score"]))
    for lam, row in zip(LAMS, search.path_scores_):
        assert row == [max(scores["joint", lam, alpha] for alpha in (1e-4, 30.0))]
    assert search.end_scores_["target_only"] == scores["target_only", None, 1e-4]
    assert scores["target_only", None, 1e-4] > scores["target_only", None, 30.0]
    assert search.best_params_["alpha"] == search.best_sharing_params_["alpha"] == 1e-4


def test_mu_is_left_alone_where_it_has_no_effect():
    search = transfer_search(mus=(0.01, 0.1)).fit(*blobs(), **source_of())
    assert search.mus_.tolist() == [search.estimator.mu]


def test_the_target_by_itself_takes_as_many_steps():
    X, y = blobs(60)
    estimator = TransferClassifier((4,), max_iter=10, batch_size=20, random_state=0)
    search = transfer_search(estimator).fit(X[:15], y[:15], **source_of(100))
    by_strategy = {params["strategy"]: params for params in search.cv_results_["params"]}
    as_long = {"max_iter": 50, "n_iter_no_change": 5 * estimator.n_iter_no_change}
    assert by_strategy["target_only"] == {"strategy": "target_only", **as_long}
    tuned = {"strategy": "finetune", "mu": 0.1, "pretrain_max_iter": 10, **as_long}
    assert by_strategy["finetune"] == tuned


@pytest.fixture
def first_stages(monkeypatch):
    """Counts the first stages that are trained, but for those of a placebo."""
    monkeypatch.setattr(TransferClassifierCV, "_confirm", lambda *_: None)
    monkeypatch.setattr(TransferClassifierCV, "placebo_gain_", None, raising=False)
    trained, get = [], Once.get

    def counted(self, key, make):
        def noted():
            if isinstance(key, str):  # a digest; a scaled source has its number
                trained.append(key)
            return make()

        return get(self, key, noted)

    monkeypatch.setattr(Once, "get", counted)
    return trained


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"dropout": 0.2, "feature_map": "linear", "pretrain_max_iter": 4},
        {"penalty": "ewc", "standardize": "per_domain"},
    ],
)
@pytest.mark.parametrize("n_jobs", [1, 2])
def test_folds_have_the_first_stage_of_finetune_in_common(first_stages, options, n_jobs):
    estimator = TransferClassifier(**QUICK, **options)
    search = transfer_search(estimator, strategies=("finetune",), mus=(0.1,), n_jobs=n_jobs)
    (X, y), source = blobs(), source_of()
    search.set_params(cv=list(StratifiedKFold(3).split(X, y))).fit(X, y, **source)
    assert len(first_stages) == 1
    results = search.cv_results_
    tuned = [params["strategy"] for params in results["params"]].index("finetune")
    assert results["finished"][tuned]
    seed = np.random.RandomState(0).randint(np.iinfo(np.int32).max)
    alone = clone(estimator).set_params(random_state=seed, **results["params"][tuned])
    for k, (train, test) in enumerate(search.cv):
        score = log_score(alone.fit(X[train], y[train], **source), X[test], y[test])
        assert results[f"split{k}_test_score"][tuned] == score


def test_first_stages_with_other_labels_differ(first_stages):
    X, codes = blobs(n_classes=4)
    y = np.array(list("abcd"))[codes]
    rows, known = np.arange(60), codes < 2
    held_out = [(y == label) | (known & (rows % 5 == k)) for k, label in enumerate("cd")]
    cv = [(np.flatnonzero(~test), np.flatnonzero(test)) for test in held_out]
    estimator = TransferClassifier(**QUICK, share_head=True)
    search = transfer_search(estimator, strategies=("finetune",), cv=cv)
    keywords = as_source(X[known] + 0.1, y[known])
    results = search.fit(X, y, **keywords).cv_results_
    assert len(set(first_stages)) == 2  # one head of a, b, d, the other of a, b, c
    tuned = [params["strategy"] for params in results["params"]].index("finetune")
    for k, (train, test) in enumerate(cv):
        seed = np.random.RandomState(0).randint(np.iinfo(np.int32).max)
        alone = clone(estimator).set_params(random_state=seed, **results["params"][tuned])
        score = log_score(alone.fit(X[train], y[train], **keywords), X[test], y[test])
        assert results[f"split{k}_test_score"][tuned] == score


@pytest.mark.parametrize(
    "options", [{"map_penalty": "coral"}, {"source_sample_weighting": "discriminator_ratio"}]
)
def test_first_stages_that_read_the_target_differ_by_fold(first_stages, options):
    estimator = TransferClassifier(**QUICK, **options)
    transfer_search(estimator, strategies=("finetune",), mus=(0.1,)).fit(*blobs(), **source_of())
    assert len(set(first_stages)) == len(first_stages) == 3


def test_without_source_there_is_nothing_to_search():
    search = transfer_search().fit(*blobs())
    assert search.verdict_ is None
    assert search.transfer_gain_ is None
    assert search.cv_results_ is None
    assert "no source" in search.reason_


def test_a_fit_without_source_forgets_the_last_one():
    search = transfer_search().fit(*blobs(), **source_of()).fit(*blobs())
    left = set(vars(search)).difference(vars(transfer_search().fit(*blobs())))
    assert not left


def test_labels_of_another_kind_leave_the_ends_out():
    X_s, y_s = blobs(80, seed=5)
    search = transfer_search().fit(*blobs(), **as_source(X_s, np.array(["a", "b", "c"])[y_s]))
    assert "source_only" not in search.end_scores_
    assert "pooled" not in search.end_scores_


@pytest.mark.parametrize(
    "name, value",
    [("freeze", 1), ("unfreeze_every", 2), ("layer_decay", 0.5), ("penalty", "l2_sp")],
)
def test_what_needs_a_source_is_for_finetuning_alone(name, value):
    estimator = TransferClassifier(**QUICK, **{name: value})
    search = transfer_search(estimator).fit(*blobs(), **source_of())
    for params in search.cv_results_["params"]:
        assert (name in params) == (params["strategy"] != "finetune")


def test_rows_without_label_are_in_every_training_fold():
    X, y = blobs(60)
    y = y.astype(float)
    y[::4] = np.nan
    search = transfer_search(cv=StratifiedKFold(3)).fit(X, y, **source_of())
    assert search.n_splits_ == 3
    assert np.isfinite(search.best_score_)


@pytest.mark.parametrize("scoring, n_splits", [(None, 5), ("accuracy", 2)])
def test_folds_of_few_labels(scoring, n_splits):
    """Each trains on all classes; where the score may need it, each tests them all too."""
    y = np.repeat(["a", "b", "c"], [2, 3, 9])
    codes = np.unique(y, return_inverse=True)[1]
    splits = transfer_search(cv=None, scoring=scoring)._splits(y, codes)
    assert len(splits) == 20
    for repeat in range(20 // n_splits):
        tested = [test for _, test in splits[repeat * n_splits :][:n_splits]]
        assert np.array_equal(np.sort(np.concatenate(tested)), np.arange(14))
    for train, test in splits:
        assert set(y[train]) == set(y)
        assert scoring is None or set(y[test]) == set(y)


def test_folds_of_fewer_labels_than_five():
    X, y = blobs(60)
    rows = np.concatenate([np.flatnonzero(y == c)[:2] for c in range(2)])
    search = transfer_search(cv=None, strategies=("joint",), lams=(1.0,))
    assert search.fit(X[rows], y[rows], **source_of()).n_splits_ == 20


@pytest.mark.parametrize(
    "strategies, chosen",
    [
        (("joint", "finetune"), {"strategy": "finetune", "mu": 0.3}),
        (("joint",), {"strategy": "joint", "lam": 1, "mu": 0.3}),
    ],
)
def test_one_label_a_class_leaves_one_way_to_use_the_source(strategies, chosen):
    X, y = blobs(60)
    rows = [np.flatnonzero(y == c)[0] for c in range(3)]
    estimator = TransferClassifier(**QUICK, feature_map="linear", mu=0.2)
    search = transfer_search(estimator, cv=None, strategies=strategies, mus=(0.01, 0.3, 1))
    search.fit(X[rows], y[rows], **source_of())
    assert search.verdict_ is None
    assert "one label" in search.reason_
    assert search.best_params_.items() >= chosen.items()


def test_lbfgs():
    search = transfer_search(TransferClassifier(**QUICK, solver="lbfgs"))
    search.fit(*blobs(), **source_of())
    assert search.cv_results_["finished"].sum() >= 4


def test_nested_in_cross_validation_and_a_pipeline():
    X, y = blobs()
    pipeline = make_transfer_pipeline(transfer_search())
    with config_context(enable_metadata_routing=True):
        scores = cross_val_score(pipeline, X, y, cv=3, params=source_of())
    assert scores.shape == (3,)
    assert scores.min() > 0.5


def test_one_standard_error_leans_on_the_source_least():
    pair, source = related_pair(0.95)
    estimator = TransferClassifier((16,), max_iter=60, random_state=0)
    searches = [
        transfer_search(estimator, cv=5, selection=s, min_epochs=60, strategies=("joint",)).fit(
            pair.X, pair.y, **source
        )
        for s in ("best", "one_standard_error")
    ]
    best, least = (s.best_sharing_params_.get("lam", 0.0) for s in searches)
    assert least >= best


def test_the_better_one_is_refitted_whatever_the_verdict():
    X, y = blobs()
    sources = [source_of(), as_source(*make_noise(y))]
    for source in sources:
        by_verdict = transfer_search().fit(X, y, **source)
        by_score = transfer_search(refit="best").fit(X, y, **source)
        assert by_score.verdict_ == by_verdict.verdict_
        results = by_score.cv_results_
        finished = np.where(results["finished"], results["mean_test_score"], -np.inf)
        assert by_score.best_score_ == finished.max() >= by_verdict.best_score_
        assert by_score.best_params_ == results["params"][by_score.best_index_]


def test_scoring_by_name():
    search = transfer_search(scoring="accuracy").fit(*blobs(), **source_of())
    assert search.scorer_name_ == "accuracy"
    assert 0 <= search.best_score_ <= 1
    assert search.score(*blobs()) == search.best_estimator_.score(*blobs())


# --- tasks ----------------------------------------------------------------------------------------


def test_paths_of_tasks():
    search = task_search(min_epochs=15).fit(*wide())
    assert set(search.path_scores_) == {"hard", "none"}  # the tasks' labels differ
    assert all(path.shape == (4,) for path in search.path_scores_.values())


def test_tasks_with_the_same_labels_can_be_pooled():
    X, Y = wide()
    search = task_search(scoring=make_task_scorer("accuracy")).fit(X, Y[:, 1:])
    assert "pooled" in search.path_scores_


def test_one_task_shares_nothing():
    search = task_search().fit(*blobs())
    assert search.verdict_ is None
    assert search.predict(blobs()[0]).shape == (60,)


@pytest.mark.parametrize("search", [task_search, number_search])
def test_a_task_for_each_row_is_searched_as_columns(search):
    X, y = blobs(90)
    y = y + 0.25 if search is number_search else y % 2
    task = np.array(["a", "b", "c"])[np.arange(90) % 3]
    long = search().fit(X, y, task=task)
    wide = search().fit(X, spread_tasks(y, task)[0])
    assert long.cv_results_["params"] == wide.cv_results_["params"]
    for scores in ("mean_test_score", "split2_test_score"):
        np.testing.assert_array_equal(long.cv_results_[scores], wide.cv_results_[scores])
    assert np.array_equal(theta_of(long.best_estimator_), theta_of(wide.best_estimator_))
    assert long.best_estimator_.task("b").predict(X[:2]).shape == (2,)


def test_a_task_for_each_row_needs_one_column():
    X, Y = wide()
    with pytest.raises(ValueError, match=r"^y must be 1-D, got shape"):
        task_search().fit(X, Y, task=np.arange(len(X)) % 2)


def test_label_weights_are_split_with_the_rows():
    X, Y = wide()
    weight = np.ones_like(Y)
    search = task_search().fit(X, Y, label_weight=weight, sample_weight=np.ones(len(X)))
    plain = task_search().fit(X, Y)
    assert np.array_equal(
        search.cv_results_["mean_test_score"], plain.cv_results_["mean_test_score"]
    )


# --- the score ------------------------------------------------------------------------------------


def test_log_score_is_the_mean_log_probability():
    X, y = blobs()
    clf = TransferClassifier(**QUICK).fit(X, y)
    expected = np.log(0.9 * clf.predict_proba(X)[np.arange(len(y)), y] + 0.1 / 3).mean()
    assert log_score(clf, X, y) == pytest.approx(expected)
    few = TransferClassifier(**QUICK).fit(X[y < 2], y[y < 2])
    assert log_score(few, X[y == 2], y[y == 2]) == pytest.approx(np.log(0.1 / 2))


def at_best_temperature(probabilities, codes):
    """The score by its formula, one temperature after the other."""
    n_classes, scores = probabilities.shape[1], []
    for temperature in TEMPERATURES:
        powers = probabilities ** (1 / temperature)
        p = (powers / powers.sum(axis=1, keepdims=True))[np.arange(len(codes)), codes]
        scores.append(np.log(0.9 * p + 0.1 / n_classes).mean())
    return max(scores)


def test_tempered_log_score_is_that_at_the_best_temperature():
    X, y = blobs()
    clf = TransferClassifier(**QUICK).fit(X, y)
    p = clf.predict_proba(X).astype(float)
    assert tempered_log_score(clf, X, y) == pytest.approx(at_best_temperature(p, y))
    few = TransferClassifier(**QUICK).fit(X[y < 2], y[y < 2])
    assert tempered_log_score(few, X[y == 2], y[y == 2]) == pytest.approx(np.log(0.1 / 2))


class Surer(TransferClassifier):
    """One that is as right, and surer by a step of temperature."""

    def predict_proba(self, X):
        powers = super().predict_proba(X) ** (TEMPERATURES[1] / TEMPERATURES[0])
        return powers / powers.sum(axis=1, keepdims=True)


def test_tempered_log_score_does_not_tell_how_sure_an_estimator_is():
    X, y = blobs()
    plain = TransferClassifier((), solver="lbfgs", alpha=0.01, max_iter=500).fit(X, y)
    surer = Surer((), solver="lbfgs", alpha=0.01, max_iter=500).fit(X, y)
    assert abs(log_score(surer, X, y) - log_score(plain, X, y)) > 1e-3
    assert tempered_log_score(surer, X, y) == pytest.approx(tempered_log_score(plain, X, y))


def test_a_search_by_the_tempered_score():
    search = transfer_search(scoring=tempered_log_score).fit(*blobs(), **source_of())
    assert search.scorer_name_ == "tempered_log_score"
    assert search.score(*blobs()) == tempered_log_score(search.best_estimator_, *blobs())


def test_log_score_of_tasks_skips_holes():
    X, Y = wide()
    clf = MultiTaskClassifier(**QUICK).fit(X, Y)
    by_task = []
    for t, p in enumerate(clf.predict_proba(X)):
        seen = ~np.isnan(Y[:, t])
        of_labels = p[seen, Y[seen, t].astype(int)]
        by_task.append(np.log(0.9 * of_labels + 0.1 / p.shape[1]).mean())
    assert log_score(clf, X, Y) == pytest.approx(np.mean(by_task))
    assert np.isnan(log_score(clf, X, np.full_like(Y, np.nan)))


@pytest.mark.parametrize("kind", ["ints", "frame", "scaled"])
def test_no_candidate_has_a_copy_of_the_source(kind):
    """In a race all fits are held at once: 14 here, of a source of 6.4 MB."""
    X, y = blobs(60, n_features=40)
    rows, labels = np.tile(X, (334, 1))[:20_000], np.tile(y, 334)[:20_000]
    given, given_rows, options = X, rows, {}
    if kind == "ints":
        given, given_rows = (np.round(100 * x).astype(int) for x in (X, rows))
    elif kind == "frame":
        pandas = pytest.importorskip("pandas")
        given, given_rows = (pandas.DataFrame(x).add_prefix("x") for x in (X, rows))
    else:
        options = {"standardize": "per_domain"}

    def peak(X, X_source, **options):
        estimator = TransferClassifier((2,), max_iter=2, random_state=0, **options)
        search = transfer_search(estimator, cv=2, min_epochs=1, mus=(0.1,))
        search.fit(X, y, **as_source(X_source[:100], labels[:100]))  # loads the kernels
        tracemalloc.start()
        search.fit(X, y, **as_source(X_source, labels))
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    assert peak(given, given_rows, **options) < peak(X, rows) + 4 * rows.nbytes


def test_a_search_checks_the_names_of_columns_before_it_begins(monkeypatch):
    pandas = pytest.importorskip("pandas")
    X, y = blobs()
    X = pandas.DataFrame(X).add_prefix("x")
    monkeypatch.setattr(Race, "run", lambda race: pytest.fail("the race is on"))
    source = as_source(X[X.columns[::-1]], y)
    with pytest.raises(ValueError, match="Source 0 must have the columns of X"):
        transfer_search().fit(X, y, **source)
    with pytest.raises(ValueError, match="feature names should match"):
        transfer_search().fit(X, y, X_val=X[X.columns[::-1]], y_val=y, **as_source(X, y))


def test_frames_and_arrays_are_searched_alike():
    pandas = pytest.importorskip("pandas")
    (X, y), (X_source, y_source) = blobs(), source_of().values()
    found = transfer_search().fit(X, y, X_source=X_source, y_source=y_source)
    frame, (rows,) = pandas.DataFrame(X).add_prefix("x"), X_source
    source = as_source(pandas.DataFrame(rows).add_prefix("x"), y_source[0])
    same = transfer_search().fit(frame, y, **source)
    np.testing.assert_array_equal(
        same.cv_results_["mean_test_score"], found.cv_results_["mean_test_score"]
    )
    assert list(same.feature_names_in_) == list(frame.columns)
    np.testing.assert_array_equal(same.predict_proba(frame), found.predict_proba(X))
