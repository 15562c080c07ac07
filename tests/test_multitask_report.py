"""Kinds of sharing, task by task: what is fitted, what is scored, what the numbers come to."""

import json

import numpy as np
import pytest
from joblib import parallel_config
from sklearn.base import clone
from sklearn.model_selection import KFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from tables import QUICK, blobs, digest, wide

from skmtl import MultiTaskClassifier, MultiTaskEstimator, MultiTaskRegressor, TransferClassifier
from skmtl.metrics import make_task_scorer, task_scores
from skmtl.model_selection import MultiTaskKFold
from skmtl.report import MultiTaskReport, multitask_report

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

LBFGS = {**QUICK, "solver": "lbfgs", "hidden_layer_sizes": (4,)}


def same_labels(n=60, n_tasks=3, missing=0.3):
    """Binary tasks on the same rows, with holes."""
    X, _ = blobs(n)
    rng = np.random.default_rng(0)
    Y = (X @ rng.normal(size=(4, n_tasks)) > 0).astype(float)
    Y[rng.random(Y.shape) < missing] = np.nan
    return X, Y


@pytest.mark.parametrize("scoring", [None, "neg_log_loss", make_task_scorer("balanced_accuracy")])
def test_scores_are_those_of_fits_by_hand(scoring):
    X, Y = same_labels()
    cv = MultiTaskKFold(3, random_state=0)
    report = multitask_report(MultiTaskClassifier(**LBFGS), X, Y, cv=cv, scoring=scoring)
    assert report.sharings == ["none", "pooled", "hard"]
    for sharing in report.sharings:
        for s, (train, test) in enumerate(cv.split(X, Y)):
            clf = MultiTaskClassifier(**LBFGS, sharing=sharing).fit(X[train], Y[train])
            expected = task_scores(clf, X[test], Y[test], scoring=scoring or "accuracy")
            np.testing.assert_array_equal(report.scores[sharing][:, s], expected)
    assert report.n_labels.tolist() == np.sum(~np.isnan(Y), axis=0).tolist()
    assert report.task_names == [0, 1, 2]
    assert report.test_to_train == pytest.approx(1 / 2)


def test_the_affinities_are_those_of_a_fit_on_all_rows():
    pandas = pytest.importorskip("pandas")
    X, Y = wide()
    Y = pandas.DataFrame(Y, columns=["kind", "first", "last"])
    pipeline = make_pipeline(StandardScaler(), MultiTaskClassifier(**QUICK))
    before = digest([pipeline, X, Y])
    report = multitask_report(pipeline, X, Y, cv=2, random_state=0)
    assert digest([pipeline, X, Y]) == before
    clf = MultiTaskClassifier(**QUICK, record_affinity=True)
    clf.fit(StandardScaler().fit_transform(X), Y)
    np.testing.assert_array_equal(report.task_affinity, clf.task_affinity_)
    assert report.task_names == ["kind", "first", "last"]
    assert report.sharings == ["none", "hard"]
    assert report.notes == ["no pooled fit: the tasks' labels differ"]


@pytest.mark.parametrize(
    "parameters, sharings, note",
    [
        ({"sharing": "none", **QUICK}, ["none", "pooled"], "share no parameters"),
        ({"sharing": "pooled", **LBFGS}, ["none", "pooled"], "solver='lbfgs'"),
    ],
)
def test_an_estimator_at_an_end(parameters, sharings, note):
    X, Y = same_labels()
    report = multitask_report(MultiTaskClassifier(**parameters), X, Y, cv=2, random_state=0)
    assert report.sharings == sharings
    assert report.task_affinity is None
    assert note in report.notes[0]


def test_same_seed_same_report_in_threads():
    args = MultiTaskClassifier(**LBFGS), *same_labels()
    first = multitask_report(*args, cv=2, random_state=3)
    with parallel_config("threading"):
        second = multitask_report(*args, cv=2, random_state=3, n_jobs=2)
    assert first.to_dict() == second.to_dict()
    assert multitask_report(*args, cv=2, random_state=4).to_dict() != first.to_dict()


def test_a_missing_label_that_the_estimator_declares():
    X, Y = same_labels()
    declared = np.where(np.isnan(Y), -1, Y).astype(int)
    cv = MultiTaskKFold(2, random_state=0)
    expected = multitask_report(MultiTaskClassifier(**LBFGS), X, Y, cv=list(cv.split(X, Y)))
    clf = MultiTaskClassifier(**LBFGS, missing_label=-1)
    report = multitask_report(clf, X, declared, cv=list(cv.split(X, Y)))
    assert report.to_dict()["rows"] == expected.to_dict()["rows"]


def test_tasks_of_numbers_and_of_both_kinds():
    X, Y = same_labels()
    numbers = np.where(np.isnan(Y), np.nan, X[:, :3] + X[:, 1:])
    cv = list(MultiTaskKFold(2, random_state=0).split(X, Y))
    both = np.column_stack([Y[:, :2], numbers[:, :2]])
    types = ["classification"] * 2 + ["regression"] * 2
    mixed = MultiTaskEstimator(**QUICK, task_types=types)
    named = {"classification": "accuracy", "regression": "r2"}
    two_losses = {**QUICK, "task_types": "regression", "loss": ["huber", "auto", "auto"]}
    for estimator, y, sharings, score_name, note in [
        (MultiTaskRegressor(**QUICK), numbers, ["none", "pooled", "hard"], "r2", None),
        (mixed, both, ["none", "hard"], "accuracy or r2", "labels differ"),
        (MultiTaskEstimator(**two_losses), numbers, ["none", "hard"], "r2", "losses differ"),
    ]:
        report = multitask_report(estimator, X, y, cv=cv)
        assert report.sharings == sharings
        assert report.score_name == score_name
        assert len(report.notes) == (note is not None)
        assert note is None or note in report.notes[0]
        assert report.n_labels.tolist() == np.sum(~np.isnan(y), axis=0).tolist()
        assert report.task_affinity.shape == 2 * (y.shape[1],)
        for sharing in sharings:
            for s, (train, test) in enumerate(cv):
                fitted = clone(estimator).set_params(sharing=sharing).fit(X[train], y[train])
                want = task_scores(fitted, X[test], y[test], scoring=named)
                np.testing.assert_array_equal(report.scores[sharing][:, s], want)


# --- what the numbers come to --------------------------------------------------------------------


def made(scores, task_names, n_labels=None, **options):
    """A report of given scores."""
    scores = {sharing: np.array(values, float) for sharing, values in scores.items()}
    n_labels = np.full(len(task_names), 50) if n_labels is None else np.array(n_labels)
    return MultiTaskReport(
        scores, task_names=task_names, n_labels=n_labels, test_to_train=0.5,
        score_name="accuracy", **{"task_affinity": None, **options},
    )  # fmt: skip


def test_summaries_leave_out_splits_without_a_score():
    none = [[0.5, 0.6, 0.7], [0.4, np.nan, 0.6]]
    hard = [[0.7, 0.7, 0.9], [0.5, np.nan, np.nan]]
    report = made({"none": none, "hard": hard}, ["a", "b"], [30, 20])
    a, b, both = report.rows[1::2]
    gain = np.array([0.2, 0.1, 0.2])
    assert (a["task"], a["n_labels"], a["n_splits"]) == ("a", 30, 3)
    assert a["gain"] == pytest.approx(gain.mean())
    assert a["gain_se"] == pytest.approx(gain.std(ddof=1) * np.sqrt(1 / 3 + 0.5))
    assert b["n_splits"] == 1
    assert b["gain"] == pytest.approx(0.1)
    assert np.isnan(b["gain_se"])
    assert not b["clear"]
    assert (both["task"], both["n_labels"]) == (None, 50)
    # Task b counts where both kinds have a score of it: in the first split.
    np.testing.assert_allclose(both["scores"], [0.6, 0.7, 0.9])
    np.testing.assert_allclose(report.rows[4]["scores"], [0.45, 0.6, 0.7])


def test_verdicts_name_the_tasks_that_gain_and_lose():
    base = np.full((4, 5), 0.5)
    lift = np.array([[0.1] * 5, [-0.05] * 5, [0.1, -0.1, 0.1, -0.1, 0.01], [0.1] * 5])
    report = made({"none": base, "hard": base + lift, "pooled": base - 0.1}, ["a", "b", "c", "d"])
    assert report.verdicts == {
        "hard": "hard does not clearly differ from none: above it by 0.038 ± 0.021 on average; a "
        "and d clearly gain; b clearly loses",
        "pooled": "pooled is below none by 0.100 ± 0.000 on average; a, b, c and d clearly lose",
    }


def test_text_dict_and_frame():
    base = np.array([[0.5, 0.6], [0.7, 0.8]])
    report = made({"none": base, "hard": base + 0.1}, ["a", "b"], [30, 20], notes=["a note"])
    lines = str(report).splitlines()
    assert repr(report) == str(report)
    assert lines[1:5] == [
        "task           labels   none   hard      hard - none",
        "a                  30  0.550  0.650  +0.100 ± 0.000*",
        "b                  20  0.750  0.850  +0.100 ± 0.000*",
        "mean of tasks      50  0.650  0.750  +0.100 ± 0.000*",
    ]
    assert lines[-2:] == [
        "hard is above none by 0.100 ± 0.000 on average; a and b clearly gain.",
        "a note",
    ]
    assert json.loads(json.dumps(report.to_dict())) == report.to_dict()
    frame = pytest.importorskip("pandas") and report.to_frame()
    assert frame["gain"].tolist() == [row["gain"] for row in report.rows]


def test_many_tasks_show_those_at_both_ends():
    base = np.full((50, 3), 0.5)
    lift = np.random.default_rng(0).permutation(50)[:, np.newaxis] / 100 - 0.2
    names = [f"task {lift[t, 0]:.2f}" for t in range(50)]
    lines = str(made({"none": base, "hard": base + lift}, names)).splitlines()
    assert lines[2].startswith("task 0.29")
    assert lines[31].startswith("task -0.20")
    assert lines[32].startswith("mean of tasks")
    assert lines[33] == "(20 tasks between these are left out)"
    assert "29 of 50 tasks clearly gain; 20 of 50 tasks clearly lose" in lines[-1]


# --- complaints ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "changes, error, message",
    [
        (
            {"estimator": TransferClassifier()},
            TypeError,
            "estimator must be a MultiTaskClassifier, or a Pipeline that ends in one",
        ),
        ({"Y": np.zeros(60)}, ValueError, "each of at least 2 tasks, got 1"),
        ({"Y": np.zeros((59, 2))}, ValueError, "X has 60 rows, but Y has 59"),
        ({"cv": [(np.arange(30), np.arange(30, 60))]}, ValueError, "at least 2 splits"),
        ({"scoring": "acuracy"}, ValueError, "acuracy"),
    ],
)
def test_complaints(changes, error, message):
    X, Y = same_labels()
    arguments = {"estimator": MultiTaskClassifier(**LBFGS), "X": X, "Y": Y, "cv": KFold(2)}
    with pytest.raises(error, match=message):
        multitask_report(**{**arguments, **changes})
