"""The ladder: who is given what, what is scored, and what the numbers come to."""

import json
import sys

import numpy as np
import pytest
from joblib import parallel_config
from scipy import sparse, stats
from sklearn.model_selection import RepeatedStratifiedKFold, ShuffleSplit, StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from tables import blobs, digest

from skmtl import MultiTaskClassifier, TransferClassifier, as_source, make_transfer_pipeline
from skmtl.report import (
    TransferReport,
    h_score,
    leep,
    log_me,
    proxy_a_distance,
    transfer_report,
)
from skmtl.report.paired import corrected_se

QUICK = {"hidden_layer_sizes": (4,), "solver": "lbfgs", "max_iter": 30, "random_state": 0}
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


class Spy(TransferClassifier):
    """Keeps what its fits and predictions are given, in the class."""

    fits, predictions = [], []

    def fit(self, X, y, sample_weight=None, **keywords):
        Spy.fits.append((self.strategy, self.lam, X, y, keywords))
        return super().fit(X, y, sample_weight, **keywords)

    def predict(self, X):
        Spy.predictions.append(X)
        return super().predict(X)


@pytest.fixture(autouse=True)
def forget():
    Spy.fits.clear()
    Spy.predictions.clear()


def numbered(n=60, **options):
    """Rows whose last column is their number, and their labels."""
    X, y = blobs(n, **options)
    return np.column_stack([X, np.arange(n)]), y


def rows_of(X):
    return np.asarray(X)[:, -1].astype(int)


def source(n=40):
    X, y = blobs(n, seed=5, shift=0.3)
    return np.column_stack([X, np.zeros(n)]), y


# --- who is given what ---------------------------------------------------------------------------


def test_every_rung_has_the_same_rows():
    X, y = numbered()
    rungs = ["source_only", "target_only", "pooled", "finetune", "joint"]
    report = transfer_report(
        Spy(**QUICK), X, y, *source(), cv=3, n_labels=[1, 4, "all"], random_state=0
    )
    assert report.rungs == rungs
    *fits, of_all = Spy.fits
    assert len(fits) == 3 * 3 * 5
    assert of_all[0] == "source_only"
    np.testing.assert_array_equal(of_all[2], X)
    drawn = {}
    for n, (strategy, _, seen, labels, keywords) in enumerate(fits):
        split, size, rung = np.unravel_index(n, (3, 3, 5))
        assert strategy == rungs[rung]
        rows = rows_of(seen)
        np.testing.assert_array_equal(labels, y[rows])
        np.testing.assert_array_equal(drawn.setdefault((split, size), rows), rows)
        np.testing.assert_array_equal(keywords["X_source"][0], source()[0])
    tests = [rows_of(seen) for seen in Spy.predictions[: 3 * 3 * 5]]
    for split in range(3):
        few, more, everything = (set(drawn[split, size]) for size in range(3))
        assert np.bincount(y[list(few)]).tolist() == [1, 1, 1]
        assert np.bincount(y[list(more)]).tolist() == [4, 4, 4]
        assert few < more < everything
        test = set(tests[15 * split])
        assert all(set(one) == test for one in tests[15 * split : 15 * split + 15])
        assert not everything & test
        assert everything | test == set(range(60))
        assert set(np.bincount(y[list(test)])) <= {6, 7}


def test_scores_are_those_of_fits_by_hand():
    X, y = blobs()
    X_s, y_s = blobs(40, seed=5, shift=0.3)
    folds = StratifiedKFold(3)
    report = transfer_report(TransferClassifier(**QUICK), X, y, X_s, y_s, cv=folds)
    assert report.n_labels == ["all"]
    for rung in report.rungs:
        expected = [
            TransferClassifier(**QUICK, strategy=rung)
            .fit(X[train], y[train], **as_source(X_s, y_s))
            .score(X[test], y[test])
            for train, test in folds.split(X, y)
        ]
        np.testing.assert_array_equal(report.scores[rung], [expected])
    assert report.test_to_train == pytest.approx(1 / 2)
    assert report.n_train.tolist() == [40]


def test_rungs_with_parameters_of_their_own():
    X, y = numbered()
    rungs = {
        "target_only": {"max_iter": 5},
        "joint": {},
        "joint, strong": {"strategy": "joint", "lam": 30.0},
    }
    report = transfer_report(Spy(**QUICK), X, y, *source(), cv=2, rungs=rungs)
    assert report.rungs == list(rungs)
    assert [fit[:2] for fit in Spy.fits[:3]] == [
        ("target_only", 1.0),
        ("joint", 1.0),
        ("joint", 30.0),
    ]
    assert rungs["target_only"] == {"max_iter": 5}


@pytest.mark.parametrize("container", ["array", "list", "csr", "pandas"])
def test_rows_without_label_train_and_do_not_test(container):
    X, codes = numbered()
    y = np.array(["a", "b", "c"], dtype=object)[codes]
    y[50:] = None
    given = y
    if container == "list":
        given = y.tolist()
    elif container == "csr":
        X = sparse.csr_array(X)
    elif container == "pandas":
        pandas = pytest.importorskip("pandas")
        X, given = pandas.DataFrame(X, columns=list("abcde")), pandas.Series(y)
    X_s, y_s = source()
    X_s = X_s if container != "pandas" else type(X)(X_s, columns=list("abcde"))
    y_s = np.array(["a", "b", "c"])[y_s]
    rungs = ["target_only", "joint"]
    report = transfer_report(
        Spy(**QUICK), X, given, X_s, y_s, cv=2, n_labels=2, rungs=rungs, random_state=0
    )
    assert report.n_train.tolist() == [6]
    for _, _, seen, labels, _ in Spy.fits[:-1]:
        rows = rows_of(seen.toarray() if container == "csr" else seen)
        assert set(rows) > set(range(50, 60))
        assert len(rows) == 16
        assert [None if label != label else label for label in labels] == list(y[rows])
    tested = np.concatenate(
        [rows_of(p.toarray() if container == "csr" else p) for p in Spy.predictions[::2]]
    )
    assert set(tested[:50]) == set(range(50))
    assert np.all(report.scores["joint"] > 0.5)


@pytest.mark.parametrize("routing", [False, True])
def test_a_pipeline_takes_the_source_along(routing):
    from sklearn import config_context, get_config

    X, y = blobs()
    X, (X_s, y_s) = 50 + 10 * X, blobs(40, seed=5, shift=0.3)
    X_s = 50 + 10 * X_s
    folds = StratifiedKFold(3)
    with config_context(enable_metadata_routing=routing):
        report = transfer_report(
            make_transfer_pipeline(StandardScaler(), TransferClassifier(**QUICK)),
            X, y, X_s, y_s, cv=folds, rungs=["target_only", "joint"],
        )  # fmt: skip
        assert get_config()["enable_metadata_routing"] is routing
    for s, (train, test) in enumerate(folds.split(X, y)):
        scaler = StandardScaler().fit(X[train])
        clf = TransferClassifier(**QUICK)
        clf.fit(scaler.transform(X[train]), y[train], **as_source(scaler.transform(X_s), y_s))
        expected = clf.score(scaler.transform(X[test]), y[test])
        assert report.scores["joint"][0, s] == expected


def test_scoring_of_any_kind():
    X, y = blobs(n_classes=2)
    common = {"cv": StratifiedKFold(2), "rungs": ["target_only", "joint"]}
    args = TransferClassifier(**QUICK), X, y, *blobs(40, n_classes=2, seed=5)

    def brier(estimator, X, y):
        return -np.mean((estimator.predict_proba(X)[:, 1] - y) ** 2)

    by_name = transfer_report(*args, scoring="neg_brier_score", **common)
    by_hand = transfer_report(*args, scoring=brier, **common)
    assert (by_name.score_name, by_hand.score_name) == ("neg_brier_score", "brier")
    for rung in by_name.rungs:
        np.testing.assert_allclose(by_name.scores[rung], by_hand.scores[rung])


def test_same_seed_same_report_in_threads():
    X, y = blobs()
    args = TransferClassifier(**QUICK), X, y, *blobs(40, seed=5)
    common = {"cv": 2, "n_labels": [2, 5], "rungs": ["target_only", "joint"]}
    before = digest(args)
    first = transfer_report(*args, random_state=3, **common)
    with parallel_config("threading"):
        second = transfer_report(*args, random_state=3, n_jobs=2, **common)
    assert first.to_dict() == second.to_dict()
    other = transfer_report(*args, random_state=4, **common)
    assert other.to_dict() != first.to_dict()
    assert digest(args) == before


def test_repeated_folds_repeat_the_draws():
    X, y = numbered()
    cv = RepeatedStratifiedKFold(n_splits=2, n_repeats=3, random_state=0)
    report = transfer_report(
        Spy(**QUICK), X, y, *source(), cv=cv, n_labels=1, rungs=["target_only", "joint"]
    )
    assert report.n_splits == 6
    assert len({tuple(rows_of(fit[2])) for fit in Spy.fits[:-1]}) == 6


def test_early_stopping_is_not_asked_of_the_source():
    X, y = blobs()
    clf = TransferClassifier((4,), max_iter=3, early_stopping=True, random_state=0)
    report = transfer_report(clf, X, y, *blobs(40, seed=5), cv=2)  # warnings are errors
    assert report.rungs[0] == "source_only"


# --- the source as it is -------------------------------------------------------------------------


def test_transferability_is_that_of_a_source_only_fit():
    X, y = blobs(shift=0.5)
    X_s, y_s = blobs(80, seed=5)
    clf = TransferClassifier(**QUICK, feature_map="linear", standardize="per_domain")
    report = transfer_report(clf, X, y, X_s, y_s, cv=2, random_state=0)
    clf.set_params(strategy="source_only").fit(X, y, **as_source(X_s, y_s))
    found = report.transferability
    assert found["log_me"] == pytest.approx(log_me(clf.transform(X), y))
    assert found["h_score"] == pytest.approx(h_score(clf.transform(X), y, shrinkage=True))
    assert found["leep"] == pytest.approx(leep(clf.predict_proba(X), y))
    distance = proxy_a_distance(clf.map_source(X_s), StandardScaler().fit_transform(X))
    assert found["proxy_a_distance"] == pytest.approx(distance, abs=0.2)
    assert distance < 1 < proxy_a_distance(X_s + 5, X)  # each in its own scale, they are near


def test_several_sources_with_labels_of_their_own():
    X, y = blobs()
    first, second = blobs(40, seed=5), blobs(30, n_classes=2, seed=6)
    sources = as_source(*first, *second)
    report = transfer_report(
        TransferClassifier(**QUICK), X, y, **sources, cv=2, rungs=["target_only", "joint"]
    )
    assert sorted(report.transferability) == ["h_score", "leep", "log_me", "proxy_a_distance"]


def test_a_missing_label_that_the_estimator_declares():
    X, codes = blobs()
    X_s, y_s = blobs(40, seed=5)
    y, y_s = np.array(["a", "b", "c"], dtype=object)[codes], np.array(["a", "b", "c"])[y_s]
    y[50:] = y_s[:5] = "?"
    common = {"cv": 2, "random_state": 0}
    clf = TransferClassifier(**QUICK, missing_label="?")
    report = transfer_report(clf, X, y, X_s, y_s, **common)
    y[50:], y_s = None, y_s.astype(object)
    y_s[:5] = None
    expected = transfer_report(TransferClassifier(**QUICK), X, y, X_s, y_s, **common)
    assert report.to_dict() == expected.to_dict()


def test_labels_of_different_kinds_leave_rungs_out():
    X, y = blobs()
    X_s, y_s = blobs(40, seed=5)
    args = TransferClassifier(**QUICK), X, y, X_s, np.array(["a", "b", "c"])[y_s]
    report = transfer_report(*args, cv=2)
    assert report.rungs == ["target_only", "finetune", "joint"]
    assert "no source_only and pooled: in source and target" in str(report)
    with pytest.raises(ValueError, match="cannot be compared: source_only and pooled need"):
        transfer_report(*args, cv=2, rungs=["target_only", "pooled"])


def test_sparse_rows_without_hidden_layers():
    X, y = blobs()
    report = transfer_report(
        TransferClassifier(**{**QUICK, "hidden_layer_sizes": ()}),
        sparse.csr_array(X), y, sparse.csr_array(blobs(40, seed=5)[0]), blobs(40, seed=5)[1], cv=2,
    )  # fmt: skip
    assert sorted(report.transferability) == ["leep", "proxy_a_distance"]
    assert "log_me and h_score are left out" in str(report)


# --- what the numbers come to --------------------------------------------------------------------


def made(scores, n_labels=("all",), **options):
    """A report of given scores."""
    scores = {rung: np.array(values, float) for rung, values in scores.items()}
    return TransferReport(
        scores,
        n_labels=list(n_labels),
        n_train=np.full(len(n_labels), 40.0),
        n_classes=3,
        test_to_train=0.25,
        score_name="accuracy",
        transferability={"leep": -0.5},
        **options,
    )


def test_summaries():
    base, joint = np.array([0.5, 0.6, 0.55, 0.5, 0.6]), np.array([0.7, 0.7, 0.6, 0.65, 0.75])
    report = made({"target_only": [base], "joint": [joint]})
    row = report.rows[1]
    assert row["rung"] == "joint"
    assert row["score"] == pytest.approx(joint.mean())
    assert row["sd"] == pytest.approx(joint.std(ddof=1))
    assert row["se"] == pytest.approx(joint.std(ddof=1) * np.sqrt(1 / 5 + 0.25))
    difference = joint - base
    se = difference.std(ddof=1) * np.sqrt(1 / 5 + 0.25)
    assert row["difference"] == pytest.approx(difference.mean())
    assert row["difference_se"] == pytest.approx(se)
    low = difference.mean() - stats.t(4).ppf(0.975) * se
    assert row["clear"] is bool(low > 0)
    assert row["scores"] == joint.tolist()
    assert report.rows[0]["difference"] == report.rows[0]["difference_se"] == 0
    assert not report.rows[0]["clear"]


@pytest.mark.parametrize(
    "lifts, verdict, best",
    [
        (
            {"joint": 0.05, "pooled": -0.1},
            "joint is above target_only by 0.050 ± 0.000; pooled is clearly below it",
            "joint",
        ),
        (
            {"joint": -0.05, "pooled": -0.1, "source_only": -0.2},
            "target_only is best; joint, the next, is below it by 0.050 ± 0.000; pooled and "
            "source_only are clearly below it",
            "target_only",
        ),
        (
            {"joint": [0.1, -0.1, 0.06, 0.0]},
            "nothing is clearly above target_only; joint is above it by 0.015 ± 0.062",
            "joint",
        ),
        (
            {"joint": [-0.1, 0.1, -0.06, 0.0]},
            "nothing is clearly above target_only; joint is below it by 0.015 ± 0.062",
            "target_only",
        ),
    ],
)
def test_verdicts(lifts, verdict, best):
    scores = {"target_only": np.full((1, 4), 0.5)}
    report = made(
        {**scores, **{rung: scores["target_only"] + lift for rung, lift in lifts.items()}}
    )
    assert report.verdicts == {"all": verdict}
    assert report.best_rungs == {"all": best}


def test_the_corrected_error_keeps_its_level():
    """On splits of noise, as correlated as the correction assumes, it rejects in 5 % of cases."""
    rng = np.random.default_rng(0)
    n, K, ratio = 4000, 10, 1 / 9
    rho = ratio / (1 + ratio)  # of two splits' scores
    scores = np.sqrt(rho) * rng.normal(size=(n, 1)) + np.sqrt(1 - rho) * rng.normal(size=(n, K))
    t = scores.mean(axis=1) / corrected_se(scores, ratio)
    assert np.mean(np.abs(t) > stats.t(K - 1).ppf(0.975)) == pytest.approx(0.05, abs=0.012)
    naive = scores.mean(axis=1) / corrected_se(scores, 0)
    assert np.mean(np.abs(naive) > stats.t(K - 1).ppf(0.975)) > 0.12


def test_text_dict_and_frame():
    report = made(
        {"target_only": [[0.5, 0.6], [0.7, 0.8]], "joint": [[0.7, 0.8], [0.7, 0.9]]},
        n_labels=(1, "all"),
        notes=["a note"],
    )
    text = str(report)
    assert repr(report) == text
    lines = text.splitlines()
    assert lines[0] == "accuracy on the target, mean ± sd over 2 splits"
    assert lines[1].split() == ["labels", "a", "class", "1", "all"]
    assert lines[2] == "target_only     0.550 ± 0.071  0.750 ± 0.071"
    assert "joint           +0.200 ± 0.000*  +0.050 ± 0.061" in lines
    assert "  1: joint is above target_only by 0.200 ± 0.000." in lines
    assert lines[-2:] == ["of the source: leep -0.500", "a note"]
    assert json.loads(json.dumps(report.to_dict())) == report.to_dict()
    frame = pytest.importorskip("pandas") and report.to_frame()
    assert len(frame) == 4
    assert frame["score"].tolist() == [row["score"] for row in report.rows]
    assert "scores" not in frame


def test_frame_without_pandas(monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    report = made({"target_only": [[0.5, 0.6]], "joint": [[0.7, 0.8]]})
    with pytest.raises(ImportError, match=r"to_frame needs .* pandas: pip install skmtl\[report\]"):
        report.to_frame()


# --- complaints ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "changes, error, message",
    [
        ({"estimator": MultiTaskClassifier()}, TypeError, "estimator must be a TransferClassifier"),
        (
            {"estimator": make_pipeline(StandardScaler(), TransferClassifier())},
            ValueError,
            "make the pipeline with skmtl.make_transfer_pipeline; got transform_input=None",
        ),
        ({"rungs": ["joint", "pooled"]}, ValueError, "rungs must hold 'target_only'"),
        ({"rungs": ["target_only"]}, ValueError, "and at least one other"),
        ({"rungs": ["target_only", "jiont"]}, ValueError, "'jiont', which is no strategy: joint,"),
        ({"n_labels": 0}, ValueError, "integers >= 1 or 'all', got 0"),
        ({"n_labels": [1, 2.5]}, ValueError, "integers >= 1 or 'all', got 2.5"),
        ({"n_labels": "al"}, ValueError, "integers >= 1 or 'all', got 'al'"),
        ({"n_labels": [2, 2]}, ValueError, "each once; got"),
        ({"n_labels": 50}, ValueError, "n_labels=50 hides nothing: .* at most 10 labels"),
        ({"scoring": ["accuracy"]}, ValueError, "name of one scorer, a scorer or None"),
        ({"y": np.zeros((60, 2))}, ValueError, "y must be 1-D, got 2 columns"),
        ({"y": np.zeros(59)}, ValueError, "X has 60 rows, but y has 59 labels"),
        ({"cv": ShuffleSplit(1)}, ValueError, "cv must give at least 2 splits"),
        (
            {"X_source": (np.ones((9, 4)),)},
            ValueError,
            "both be arrays, or tuples of as many arrays; got tuple and ndarray",
        ),
        (
            {"X_source": (np.ones((9, 4)),), "y_source": (np.ones(9), np.ones(9))},
            ValueError,
            "got tuple and tuple of 1 and 2",
        ),
    ],
)
def test_complaints(changes, error, message):
    X, y = blobs()
    X_s, y_s = blobs(40, seed=5)
    arguments = {"estimator": TransferClassifier(**QUICK), "X": X, "y": y, "cv": 2}
    with pytest.raises(error, match=message):
        transfer_report(**{**arguments, "X_source": X_s, "y_source": y_s, **changes})
