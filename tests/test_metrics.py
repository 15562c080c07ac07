"""Task scorers against scikit-learn's metrics on the observed labels of each task."""

import pickle
from functools import partial
from inspect import signature

import numpy as np
import pytest
from sklearn import config_context
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.ensemble import RandomForestClassifier
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import (
    accuracy_score,
    average_precision_score,
    balanced_accuracy_score,
    brier_score_loss,
    check_scoring,
    f1_score,
    get_scorer,
    log_loss,
    make_scorer,
    roc_auc_score,
)
from sklearn.model_selection import GridSearchCV, cross_val_score, cross_validate
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skmtl.metrics import make_task_scorer, mean_task_accuracy, task_scores
from skmtl.model_selection import MultiTaskKFold
from skmtl.tasks import encode_labels


class Frozen(ClassifierMixin, BaseEstimator):
    """Says what it was told to say; X holds the numbers of the rows."""

    def __init__(self, classes_, predict=None, predict_proba=None, decision_function=None):
        self.classes_ = classes_
        for name, says in [
            ("predict", predict),
            ("predict_proba", predict_proba),
            ("decision_function", decision_function),
        ]:
            if says is not None:
                setattr(self, name, partial(self.answer, says))

    @staticmethod
    def answer(says, X):
        rows = np.asarray(X)[:, 0]
        return [one[rows] for one in says] if isinstance(says, list) else says[rows]


class HoleyForest(RandomForestClassifier):
    """A forest that takes y with holes: it is fitted on the most frequent labels in their place."""

    def fit(self, X, y, sample_weight=None):
        codes, classes, _, _ = encode_labels(y)
        filled = [
            labels[np.where(column < 0, np.bincount(column[column >= 0]).argmax(), column)]
            for column, labels in zip(codes.T, classes)
        ]
        return super().fit(X, np.stack(filled, axis=1), sample_weight)


@pytest.fixture
def table():
    """A binary task, one of three classes, a rare binary one, and two models of them."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(300, 4))
    Y = np.stack(
        [
            X[:, 0] + X[:, 1] > 0,
            np.digitize(X[:, 1] + 0.5 * rng.normal(size=300), [-0.5, 0.5]),
            2 + (X[:, 2] > 1.0),
        ],
        axis=1,
    ).astype(float)
    Y[rng.random(Y.shape) < [0.1, 0.5, 0.7]] = np.nan
    return X, Y


BRIER = make_scorer(brier_score_loss, greater_is_better=False, response_method="predict_proba")
MODELS = [HoleyForest(20, random_state=0), HoleyForest(5, max_depth=2, random_state=0)]


brier_of_several_classes = pytest.mark.skipif(
    "labels" not in signature(brier_score_loss).parameters, reason="scikit-learn < 1.7"
)


def per_task(metric, y_true, responses, weight=None, **kwargs):
    """The oracle: a metric on the rows where the label is observed."""
    scores = []
    for t in range(y_true.shape[1]):
        seen = ~np.isnan(y_true[:, t])
        if weight is not None:
            kwargs["sample_weight"] = weight[seen]
        scores.append(metric(y_true[seen, t], responses[t][seen], **kwargs))
    return np.array(scores)


def positive(probabilities):
    return [p[:, 1] if p.shape[1] == 2 else p for p in probabilities]


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(
    "scoring, method, oracle",
    [
        ("accuracy", "predict", accuracy_score),
        ("balanced_accuracy", "predict", balanced_accuracy_score),
        ("f1_macro", "predict", partial(f1_score, average="macro")),
        (accuracy_score, "predict", accuracy_score),
        (partial(f1_score, average="weighted"), "predict", partial(f1_score, average="weighted")),
        ("neg_log_loss", "predict_proba", lambda *args, **kwargs: -log_loss(*args, **kwargs)),
        ("roc_auc_ovr", "predict_proba", partial(roc_auc_score, multi_class="ovr")),
        pytest.param(
            BRIER,
            "predict_proba",
            lambda *args, **kwargs: -brier_score_loss(*args, **kwargs),
            marks=brier_of_several_classes,
        ),
    ],
)
def test_task_scores_are_those_of_scikit_learn(table, model, scoring, method, oracle, weighted):
    X, Y = table
    weighted = weighted and scoring != "roc_auc_ovr"  # there is no weighted AUC of several classes
    model = clone(model).fit(X[:150], Y[:150])
    X, Y = X[150:], Y[150:]
    weight = np.random.default_rng(1).random(150) if weighted else None
    responses = model.predict(X).T if method == "predict" else positive(model.predict_proba(X))
    expected = per_task(oracle, Y, responses, weight)
    before = Y.copy()
    np.testing.assert_allclose(
        task_scores(model, X, Y, scoring=scoring, sample_weight=weight), expected
    )
    np.testing.assert_array_equal(Y, before)

    n_labels = (~np.isnan(Y)).T @ (np.ones(150) if weight is None else weight)
    for average, value in [
        ("macro", expected.mean()),
        ("weighted", np.average(expected, weights=n_labels)),
        ("worst", expected.min()),
        (0, expected[0]),
        (2, expected[2]),
    ]:
        scorer = make_task_scorer(scoring, average=average)
        got = scorer(model, X, Y, sample_weight=weight)
        assert type(got) is float
        assert got == pytest.approx(value)


def test_loss_functions_change_sign(table):
    X, Y = table
    model = clone(MODELS[0]).fit(X, Y)
    scorer = make_task_scorer(log_loss, response_method="predict_proba", greater_is_better=False)
    assert scorer(model, X, Y) == make_task_scorer("neg_log_loss")(model, X, Y) < 0


@pytest.mark.parametrize("scoring", ["accuracy", "neg_log_loss", "roc_auc", "average_precision"])
def test_one_task_is_scored_as_scikit_learn_does(scoring):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(100, 2))
    y = (X[:, 0] + rng.normal(size=100) > 0).astype(int)
    expected = get_scorer(scoring)
    for labels in (y, 2 * y - 1, y.astype(bool)):
        model = LogisticRegression().fit(X, labels)
        scorer = make_task_scorer(scoring)
        assert scorer(model, X, labels) == pytest.approx(expected(model, X, labels))
        np.testing.assert_allclose(
            cross_val_score(LogisticRegression(), X, labels, scoring=scorer),
            cross_val_score(LogisticRegression(), X, labels, scoring=scoring),
        )


@pytest.mark.parametrize("labels", [["no", "yes"], [1, 2], [0, 1], [-1, 1]])
@pytest.mark.parametrize("method", ["predict_proba", "decision_function"])
@pytest.mark.parametrize("pos_label", [None, 0, 1])
def test_positive_class(labels, method, pos_label):
    """It is `pos_label`, else 1 if that is a class (as in scikit-learn), else the greater label."""
    rng = np.random.default_rng(0)
    labels = np.array(labels)
    y, score = labels[rng.integers(0, 2, size=60)], rng.random(60)
    response = np.stack([1 - score, score], axis=1) if method == "predict_proba" else score
    model = Frozen(labels, **{method: response})
    kwargs = {} if pos_label is None else {"pos_label": labels[pos_label]}
    if pos_label is None:
        pos_label = 0 if labels[0] == 1 else 1
    of_positive = score if pos_label else -score
    scorer = make_task_scorer(average_precision_score, response_method=method, **kwargs)
    expected = average_precision_score(y == labels[pos_label], of_positive)
    assert scorer(model, np.arange(60)[:, np.newaxis], y) == pytest.approx(expected)


def test_labels_of_mixed_types():
    """An object array of predictions is scored in the dtype of each column."""
    Y = np.array([["a", 1, True], ["b", None, False], [None, 0, True]], dtype=object)
    said = np.array([["a", 0, True], ["a", 1, False], ["b", 0, False]], dtype=object)
    classes = [np.array(["a", "b"]), np.array([0, 1]), np.array([False, True])]
    model, X = Frozen(classes, predict=said), np.arange(3)[:, np.newaxis]
    np.testing.assert_allclose(task_scores(model, X, Y), [1 / 2, 1 / 2, 2 / 3])
    np.testing.assert_allclose(task_scores(model, X, Y.tolist()), [1 / 2, 1 / 2, 2 / 3])


def test_text_is_not_compared_with_numbers():
    X, numbers, text = np.arange(4.0)[:, np.newaxis], [0, 1, 2, 1], ["a", "b", "c", "b"]
    for known, y in ((numbers, text), (text, numbers)):
        with pytest.raises(ValueError, match="Mix of label input types"):
            make_task_scorer()(KNeighborsClassifier(1).fit(X, known), X, y)


def test_missing_label_is_not_scored():
    Y = np.array([[1, -1], [0, 1], [-1, -1]])
    model = Frozen([np.array([0, 1])] * 2, predict=np.ones((3, 2), dtype=int))
    X = np.arange(3)[:, np.newaxis]
    assert make_task_scorer(missing_label=-1)(model, X, Y) == (1 / 2 + 1) / 2
    assert make_task_scorer()(model, X, Y) == (1 / 3 + 1 / 3) / 2


@pytest.mark.parametrize("container", ["pandas", "polars"])
def test_average_by_name(container):
    frame = pytest.importorskip(container).DataFrame({"a": [0, 1], "b": [1, 1]})
    model = Frozen([np.array([0, 1])] * 2, predict=np.ones((2, 2), dtype=int))
    X = np.arange(2)[:, np.newaxis]
    assert make_task_scorer(average="a")(model, X, frame) == 0.5
    assert make_task_scorer(average="b")(model, X, frame) == 1
    with pytest.raises(ValueError, match=r"average='c' is no task of the 2, .* \['a', 'b'\]"):
        make_task_scorer(average="c")(model, X, frame)


def test_average_by_the_names_the_estimator_knows():
    model = Frozen([np.array([0, 1])] * 2, predict=np.ones((2, 2), dtype=int))
    model.task_names_ = np.array(["a", "b"], dtype=object)
    X, Y = np.arange(2)[:, np.newaxis], np.array([[0, 1], [1, 1]])
    assert make_task_scorer(average="b")(model, X, Y) == 1
    for average in (2, -1):
        with pytest.raises(ValueError, match=rf"average={average} is no task of .* \[0, 1\]"):
            make_task_scorer(average=average)(model, X, Y)
    model.task_names_ = np.array([1, 2])  # ids, where an int is always an index
    assert make_task_scorer(average=1)(model, X, Y) == 1
    model.task_names_ = None
    with pytest.raises(ValueError, match=r"average='a' is no task of the 2, which are \[\]"):
        make_task_scorer(average="a")(model, X, Y)


# --- undefined scores --------------------------------------------------------------------------


def test_tasks_without_a_score_are_left_out():
    rng = np.random.default_rng(0)
    two, three = np.array([0, 1]), np.array([0, 1, 2])
    Y = rng.integers(0, 2, size=(40, 6)).astype(float)
    Y[:, 1] = np.nan  # not observed
    Y[:, 2] = 1  # one class
    Y[0, 3] = 2  # a label the estimator does not know
    Y[:, 5] = 0  # a class that the estimator knows alone
    proba = [rng.dirichlet(np.ones(n), size=40) for n in (2, 2, 2, 2, 3, 1)]
    said = np.stack([p.argmax(axis=1) for p in proba], axis=1).astype(float)
    said[:, 4] = np.nan  # not predicted
    model = Frozen([two, two, two, two, three, two[:1]], predict=said, predict_proba=proba)
    X = np.arange(40)[:, np.newaxis]

    with pytest.warns(UndefinedMetricWarning, match="Only one class"):
        auc = task_scores(model, X, Y, scoring="roc_auc_ovr")
    np.testing.assert_array_equal(np.isnan(auc), [False, True, True, True, True, True])
    loss = task_scores(model, X, Y, scoring="neg_log_loss")
    np.testing.assert_array_equal(np.isnan(loss), [False, True, False, True, False, True])
    accuracy = task_scores(model, X, Y)
    np.testing.assert_array_equal(np.isnan(accuracy), [False, True, False, False, True, False])
    for average, mean in [("macro", np.mean), ("worst", np.min)]:
        scorer = make_task_scorer("neg_log_loss", average=average)
        assert scorer(model, X, Y) == pytest.approx(mean(loss[[0, 2, 4]]))
    weighted = make_task_scorer(average="weighted")(model, X, Y)
    assert weighted == pytest.approx(accuracy[[0, 2, 3, 5]].mean())


@pytest.mark.parametrize("average", ["macro", "weighted", "worst", 0])
@pytest.mark.parametrize("weight", [None, np.array([0.0, 0.0, 1.0])])
def test_no_task_with_a_score(average, weight):
    Y = np.full((3, 2), np.nan)
    if weight is not None:
        Y[:2] = 1
    model = Frozen([np.array([0, 1])] * 2, predict=np.ones((3, 2), dtype=int))
    X = np.arange(3)[:, np.newaxis]
    with pytest.warns(UndefinedMetricWarning, match="No task has a defined score"):
        assert np.isnan(make_task_scorer(average=average)(model, X, Y, sample_weight=weight))


@pytest.mark.parametrize(
    "scoring, expected",
    [
        ("neg_log_loss", [-np.log(3), -np.log(4)]),
        pytest.param(BRIER, [-2 / 3, -(0.75**2)], marks=brier_of_several_classes),
    ],
)
def test_folds_may_lack_classes_that_the_estimator_knows(scoring, expected):
    classes = [np.array([0, 1, 2]), np.array([1, 2])]
    proba = [np.full((4, 3), 1 / 3), np.tile([0.25, 0.75], (4, 1))]
    model = Frozen(classes, predict_proba=proba)
    Y = np.array([[0, 1], [1, 1], [0, 1], [1, 1]])
    scores = task_scores(model, np.arange(4)[:, np.newaxis], Y, scoring=scoring)
    np.testing.assert_allclose(scores, expected)


# --- the scorer as an object -------------------------------------------------------------------


def my_metric(y_true, y_pred, power=1.0):
    return np.mean(y_true == y_pred) ** power


SCORERS = [
    (make_task_scorer(), "make_task_scorer('accuracy')"),
    (make_task_scorer("roc_auc", average="worst"), "make_task_scorer('roc_auc', average='worst')"),
    (make_task_scorer(my_metric, power=2.0), "make_task_scorer(my_metric, power=2.0)"),
    (
        make_task_scorer(log_loss, response_method="predict_proba", greater_is_better=False),
        "make_task_scorer(log_loss, response_method='predict_proba', greater_is_better=False)",
    ),
    (make_task_scorer(average=1, missing_label=-1), None),
]


@pytest.mark.parametrize("scorer, text", SCORERS)
def test_scorers_pickle_clone_and_show(scorer, text):
    rng = np.random.default_rng(0)
    proba = rng.dirichlet([1, 1], size=30)
    said, labels = np.tile(proba.argmax(axis=1), (2, 1)).T, np.array([0, 1])
    model = Frozen([labels] * 2, predict=said, predict_proba=[proba, proba[::-1]])
    X, Y = np.arange(30)[:, np.newaxis], rng.integers(0, 2, size=(30, 2))
    for other in (pickle.loads(pickle.dumps(scorer)), clone(scorer)):
        assert other(model, X, Y) == scorer(model, X, Y)
        assert repr(other) == repr(scorer)
    assert text is None or repr(scorer) == text


def test_arguments_of_the_metric():
    model, X = Frozen(np.array([0, 1]), predict=np.ones(4, dtype=int)), np.arange(4)[:, np.newaxis]
    assert make_task_scorer(my_metric, power=2.0)(model, X, np.array([0, 1, 0, 1])) == 0.25
    assert make_task_scorer("accuracy", normalize=False)(model, X, np.array([0, 1, 0, 1])) == 2


@pytest.mark.parametrize(
    "arguments, error, message",
    [
        (("acuracy",), ValueError, "'acuracy' is not a valid scoring value"),
        ((3,), TypeError, "score_func must be .* got 3"),
        (("accuracy", "predict_proba"), ValueError, "score_func='accuracy' brings its own"),
        (("accuracy", "predict", False), ValueError, "score_func='accuracy' brings its own"),
        ((accuracy_score, "predict", True, None), TypeError, "average must be .* got None"),
    ],
)
def test_what_make_task_scorer_refuses(arguments, error, message):
    names = ["score_func", "response_method", "greater_is_better", "average"]
    with pytest.raises(error, match=message):
        make_task_scorer(**dict(zip(names, arguments)))


def test_what_scorers_refuse():
    X, Y = np.arange(2)[:, np.newaxis], np.array([[0, 1], [1, 1]])
    labels = np.array([0, 1])
    with pytest.raises(AttributeError, match=r"Frozen has none of the methods \['predict_proba'\]"):
        make_task_scorer("neg_log_loss")(Frozen(labels), X, Y)
    with pytest.raises(
        ValueError, match=r"y has 2 tasks.* a list of 2 arrays, got array\(\[0, 1\]\)"
    ):
        make_task_scorer("neg_log_loss")(Frozen(labels, predict_proba=[Y, Y]), X, Y)
    with pytest.raises(ValueError, match="list of 2 arrays"):
        make_task_scorer("neg_log_loss")(Frozen([labels] * 3, predict_proba=[Y, Y]), X, Y)
    with pytest.raises(ValueError, match="predict must answer for 2 tasks, got 3"):
        make_task_scorer()(Frozen([labels] * 2, predict=np.hstack([Y, Y])[:, :3]), X, Y)
    with pytest.raises(ValueError, match="predict_proba must return a list of arrays"):
        make_task_scorer("neg_log_loss")(Frozen([labels] * 2, predict_proba=Y), X, Y)
    with pytest.raises(ValueError, match=r"sample_weight.shape == \(3,\), expected \(2,\)"):
        make_task_scorer()(Frozen(labels, predict=Y), X, Y, sample_weight=np.ones(3))


# --- inside scikit-learn -----------------------------------------------------------------------

CV = MultiTaskKFold(3, random_state=0)


def test_in_cross_validation(table):
    X, Y = table
    scorer = make_task_scorer("roc_auc_ovr")
    model = make_pipeline(StandardScaler(), MODELS[0])
    scores = cross_val_score(model, X, Y, cv=CV, scoring=scorer, error_score="raise")
    expected = [
        per_task(
            partial(roc_auc_score, multi_class="ovr"),
            Y[test],
            positive(clone(model).fit(X[train], Y[train]).predict_proba(X[test])),
        ).mean()
        for train, test in CV.split(X, Y)
    ]
    np.testing.assert_allclose(scores, expected)
    assert min(scores) > 0.7


@pytest.mark.parametrize("n_jobs", [None, 2])
def test_in_grid_search_one_of_several(table, n_jobs):
    X, Y = table
    scoring = {
        "all": make_task_scorer(),
        "worst": make_task_scorer("balanced_accuracy", average="worst"),
        "auc": make_task_scorer("roc_auc_ovr", average=1),
    }
    search = GridSearchCV(
        HoleyForest(5, random_state=0),
        {"max_depth": [1, 4]},
        scoring=scoring,
        refit="worst",
        cv=CV,
        n_jobs=n_jobs,
        error_score="raise",
    ).fit(X, Y)
    for name in scoring:
        assert np.isfinite(search.cv_results_[f"mean_test_{name}"]).all()
    assert search.best_params_ == {"max_depth": 4}
    alone = GridSearchCV(search.estimator, search.param_grid, scoring=scoring["auc"], cv=CV)
    np.testing.assert_array_equal(
        alone.fit(X, Y).cv_results_["mean_test_score"], search.cv_results_["mean_test_auc"]
    )
    # The fitted search and its best estimator are classifiers of several tasks, too.
    assert task_scores(search, X, Y).shape == (3,)


def test_with_knn_of_several_outputs(table):
    X, Y = table
    Y = np.nan_to_num(Y).astype(int)
    scores = cross_val_score(KNeighborsClassifier(), X, Y, cv=CV, scoring=make_task_scorer())
    for score, (train, test) in zip(scores, CV.split(X, Y)):
        predicted = KNeighborsClassifier().fit(X[train], Y[train]).predict(X[test])
        assert score == pytest.approx((predicted == Y[test]).mean())


@pytest.mark.parametrize("routing", [False, True])
@pytest.mark.parametrize("several", [False, True])
def test_sample_weight_reaches_the_scorer(table, routing, several):
    X, Y = table
    weight = np.random.default_rng(0).random(len(X)) ** 4
    train, test = next(iter(CV.split(X, Y)))
    with config_context(enable_metadata_routing=routing):
        scorer, other = make_task_scorer(), make_task_scorer(my_metric)
        model = HoleyForest(5, random_state=0)
        if routing:
            model.set_fit_request(sample_weight=True)
            scorer.set_score_request(sample_weight=True)
            other.set_score_request(sample_weight=False)
            scoring = {"score": scorer, "other": other} if several else scorer
            params = {"sample_weight": weight}
            scores = cross_validate(model, X, Y, cv=CV, scoring=clone_all(scoring), params=params)
            got = scores["test_score"][0]
        else:
            # Before 1.8, scikit-learn gives weights to all scorers or to none.
            several = several and hasattr(get_scorer("accuracy"), "_accept_sample_weight")
            model.fit(X[train], Y[train], weight[train])
            scoring = check_scoring(model, {"score": scorer, "other": other} if several else scorer)
            got = scoring(model, X[test], Y[test], sample_weight=weight[test])
            got = got["score"] if several else got
    fitted = clone(model).fit(X[train], Y[train], weight[train])
    expected = per_task(accuracy_score, Y[test], fitted.predict(X[test]).T, weight[test]).mean()
    assert got == pytest.approx(expected)
    assert got != pytest.approx(scorer(fitted, X[test], Y[test]))


def clone_all(scoring):
    """Clones keep the metadata requests."""
    return (
        {k: clone(v) for k, v in scoring.items()} if isinstance(scoring, dict) else clone(scoring)
    )


def test_weights_of_a_grid_search(table):
    X, Y = table
    search = GridSearchCV(MODELS[1], {"max_depth": [2]}, scoring=make_task_scorer(), cv=CV)
    assert 0.5 < search.fit(X, Y, sample_weight=np.ones(len(X))).best_score_ < 1


def test_only_weights_are_routed():
    assert make_task_scorer().get_metadata_routing().score.requests == {"sample_weight": None}


def test_routing_asks_before_it_drops_weights(table):
    X, Y = table
    with (
        config_context(enable_metadata_routing=True),
        pytest.raises(ValueError, match="sample_weight.*not explicitly set as requested"),
    ):
        cross_val_score(
            HoleyForest(5).set_fit_request(sample_weight=True),
            X,
            Y,
            cv=CV,
            scoring=make_task_scorer(),
            params={"sample_weight": np.ones(len(X))},
            error_score="raise",
        )


# --- mean_task_accuracy ------------------------------------------------------------------------


@pytest.mark.parametrize("weighted", [False, True])
def test_mean_task_accuracy_is_the_default_scorer(table, weighted):
    X, Y = table
    model = clone(MODELS[1]).fit(X, Y)
    weight = np.random.default_rng(1).random(len(X)) if weighted else None
    true = encode_labels(Y, classes=model.classes_).codes
    predicted = encode_labels(model.predict(X), classes=model.classes_).codes
    got = mean_task_accuracy(true, predicted, weight)
    assert type(got) is float
    assert got == pytest.approx(make_task_scorer()(model, X, Y, sample_weight=weight))


def test_mean_task_accuracy_leaves_tasks_out():
    true = np.array([[0, -1, 1], [1, -1, 1], [-1, -1, 0]])
    predicted = np.array([[0, 0, -1], [0, 1, -1], [0, 0, -1]])
    assert mean_task_accuracy(true, predicted) == 0.5
    with pytest.warns(UndefinedMetricWarning, match="No task has a defined score"):
        assert np.isnan(mean_task_accuracy(true[:, 1:], predicted[:, 1:]))
