"""Labels as people have them, with holes, in and out of both estimators."""

import warnings

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import DataConversionWarning
from tables import QUICK, blobs, digest, one_of_each, source_of, theta_of, wide

from skmtl import MultiTaskClassifier, TransferClassifier, as_source, stack_tasks
from skmtl.tasks import spread_tasks

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

ANIMALS = np.array(["ape", "bee", "cat"])


@pytest.fixture
def estimator(request):
    return clone(request.param)


def pandas_series(dtype):
    def make(values):
        pandas = pytest.importorskip("pandas")
        return pandas.Series(values, dtype=dtype, index=np.arange(100, 100 + len(values)))

    return make


def polars_series(values):
    return pytest.importorskip("polars").Series("label", values)


def floats(values):
    return np.array([np.nan if value is None else value for value in values], dtype=float)


def declared(missing, dtype):
    def make(values):
        return np.array([missing if value is None else value for value in values], dtype=dtype)

    return make


def masked(values):
    return np.ma.MaskedArray([value or 0 for value in values], [value is None for value in values])


def objects(values):
    return np.array(values, dtype=object)


INT, BOOL, PLUS_MINUS = [3, 5, 11], [False, True], [-1, 1]

#: name: (labels, container of values with None for a hole, missing_label, dtype of predictions)
KINDS = {
    "float with nan": (INT, floats, np.nan, float),
    "list": (INT, list, np.nan, int),
    "list of str": (ANIMALS, list, np.nan, object),
    "list of bool": (BOOL, list, np.nan, bool),
    "object": (INT, objects, np.nan, int),
    "object str": (ANIMALS, objects, np.nan, object),
    "object bool": (BOOL, objects, np.nan, bool),
    "object with nan": (INT, lambda v: objects([np.nan if x is None else x for x in v]), None, int),
    "masked": (INT, masked, np.nan, int),
    "declared -1": (INT, declared(-1, int), -1, int),
    "declared -1, int8": ([0, 1], declared(-1, np.int8), -1, np.int8),
    "declared -1, float": (INT, declared(-1, float), -1, float),
    "declared ?": (ANIMALS, declared("?", "U5"), "?", "U5"),
    "plus minus": (PLUS_MINUS, floats, np.nan, float),
    "plus minus, object": (PLUS_MINUS, objects, np.nan, int),
    "plus minus, declared 0": (PLUS_MINUS, declared(0, int), 0, int),
    "pandas Int64": (INT, pandas_series("Int64"), np.nan, int),
    "pandas boolean": (BOOL, pandas_series("boolean"), np.nan, bool),
    "pandas string": (ANIMALS, pandas_series("string"), np.nan, object),
    "pandas object": (ANIMALS, pandas_series(object), np.nan, object),
    "pandas category": (ANIMALS, pandas_series("category"), np.nan, object),
    "pandas int category": (INT, pandas_series("category"), np.nan, int),
    "pandas float": (INT, pandas_series(float), np.nan, float),
    "polars int": (INT, polars_series, np.nan, int),
    "polars str": (ANIMALS, polars_series, np.nan, object),
    "polars bool": (BOOL, polars_series, np.nan, bool),
}


def labelled(kind, codes):
    """``codes`` (-1 for a hole) as labels of a kind."""
    labels, container, missing_label, dtype = KINDS[kind]
    labels = np.asarray(labels).tolist()
    y = container([None if code < 0 else labels[code] for code in codes])
    return y, np.array(labels), missing_label, np.dtype(dtype)


def with_holes(codes, seed=0):
    codes = codes.copy()
    codes[np.random.default_rng(seed).random(codes.shape) < 0.2] = -1
    return codes


def assert_labels(got, labels, dtype):
    assert isinstance(got, np.ndarray)
    assert got.dtype == dtype
    assert got.tolist() == labels.astype(got.dtype).tolist()


# --- one task ------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@one_of_each()
def test_one_task(estimator, kind):
    n_classes = len(KINDS[kind][0])
    X, codes = blobs(n_classes=n_classes)
    codes = with_holes(codes)
    y, labels, missing_label, dtype = labelled(kind, codes)
    want = clone(estimator).fit(X, np.where(codes < 0, np.nan, codes))
    before = digest(y)
    estimator.set_params(missing_label=missing_label).fit(X, y)
    assert digest(y) == before
    assert np.array_equal(theta_of(estimator), theta_of(want))
    assert_labels(estimator.classes_, labels, dtype)
    predicted = estimator.predict(X)
    assert_labels(predicted, labels[want.predict(X).astype(int)], dtype)
    assert estimator.predict_proba(X).shape == (len(X), n_classes)
    assert estimator.score(X, y) == want.score(X, np.where(codes < 0, np.nan, codes))
    assert estimator.score(X, y) == np.mean(want.predict(X)[codes >= 0] == codes[codes >= 0])


@pytest.mark.parametrize("kind", KINDS)
def test_labels_of_a_source(kind):
    n_classes = len(KINDS[kind][0])
    X, codes = blobs(n_classes=n_classes)
    X_source, source_codes = blobs(seed=4, n_classes=n_classes)
    source_codes = with_holes(source_codes)
    y, labels, missing_label, dtype = labelled(kind, codes)
    y_source, *_ = labelled(kind, source_codes)
    numbers = np.where(source_codes < 0, np.nan, source_codes)
    clf = TransferClassifier(**QUICK, missing_label=missing_label)
    before = digest([y, y_source])
    clf.fit(X, y, **as_source(X_source, y_source))
    assert digest([y, y_source]) == before
    want = TransferClassifier(**QUICK).fit(X, codes, **as_source(X_source, numbers))
    assert np.array_equal(theta_of(clf), theta_of(want))
    assert len(clf.head_coefs_) == 1  # the same labels, one head
    assert_labels(clf.predict(X), labels[want.predict(X)], clf.classes_.dtype)


def test_source_and_target_may_write_their_labels_differently():
    X, codes = blobs()
    X_source, source_codes = blobs(seed=4)
    clf = TransferClassifier(**QUICK).fit(X, codes, **as_source(X_source, source_codes))
    for y, y_source in [
        (codes.astype(float), source_codes),
        (codes, source_codes.astype(np.int8)),
        (codes.tolist(), source_codes.astype(np.float32)),
    ]:
        other = TransferClassifier(**QUICK).fit(X, y, **as_source(X_source, y_source))
        assert np.array_equal(theta_of(other), theta_of(clf))
        assert other.classes_.dtype == np.asarray(y).dtype
    names = TransferClassifier(**QUICK).fit(
        X, ANIMALS[codes], **as_source(X_source, ANIMALS[source_codes].astype(object))
    )
    assert np.array_equal(theta_of(names), theta_of(clf))


@one_of_each()
def test_minus_one_is_a_label_unless_declared(estimator):
    X, codes = blobs(n_classes=2)
    y = 2 * codes - 1
    estimator.set_params(learning_rate_init=0.1).fit(X, y)
    assert estimator.classes_.tolist() == [-1, 1]
    assert estimator.score(X, y) > 0.9
    estimator.set_params(missing_label=-1).fit(X, y)
    assert estimator.classes_.tolist() == [1]
    assert estimator.predict(X).tolist() == [1] * len(X)


@one_of_each()
@pytest.mark.parametrize(
    "y, error, match",
    [
        ([0.5, 1.2, 3.3], ValueError, "Unknown label type: continuous"),
        ([0, 1, np.inf], ValueError, "infinity"),
        (["a", 1, "b"], TypeError, "mixes strings such as 'a' and other labels such as 1"),
        ([None, None, None], ValueError, "no label|No label"),
        (np.array(["2020", "2021", "2022"], "M8[Y]"), ValueError, "Unknown label type"),
        (None, ValueError, "requires y to be passed"),
    ],
)
def test_what_is_not_a_label(estimator, y, error, match):
    with pytest.raises(error, match=match):
        estimator.fit(np.eye(3), y)


# --- several tasks -------------------------------------------------------------------------------

MIXES = [
    ["float with nan", "float with nan", "float with nan"],
    ["list", "list of str", "list of bool"],
    ["object", "object str", "object bool"],
    ["pandas Int64", "pandas string", "pandas boolean"],
    ["pandas category", "pandas int category", "pandas float"],
    ["pandas Int64", "pandas boolean", "pandas boolean"],
    ["pandas Int64", "pandas float", "pandas int category"],
    ["polars int", "polars str", "polars bool"],
]


def table(kinds, codes):
    """A table with a column of each kind."""
    columns = [labelled(kind, column)[0] for kind, column in zip(kinds, codes.T)]
    names = ["first", "second", "third"]
    if kinds[0].startswith("pandas"):
        return pytest.importorskip("pandas").DataFrame(dict(zip(names, columns)))
    if kinds[0].startswith("polars"):
        return pytest.importorskip("polars").DataFrame(dict(zip(names, columns)))
    if kinds[0].startswith("list"):
        return [list(row) for row in zip(*columns)]
    return np.column_stack(columns)


def task_codes():
    X, Y = wide()
    codes = np.nan_to_num(Y, nan=-1).astype(int)
    return X, codes


@pytest.mark.parametrize("kinds", MIXES, ids=lambda kinds: kinds[0].split()[0])
@pytest.mark.parametrize("sharing", ["hard", "none"])
def test_several_tasks(kinds, sharing):
    X, codes = task_codes()
    n_labels = [len(KINDS[kind][0]) for kind in kinds]
    codes[:, 0] = np.where(codes[:, 0] < n_labels[0], codes[:, 0], -1)
    y = table(kinds, codes)
    want = MultiTaskClassifier(**QUICK, sharing=sharing).fit(X, np.where(codes < 0, np.nan, codes))
    before = digest(y)
    clf = MultiTaskClassifier(**QUICK, sharing=sharing).fit(X, y)
    predicted = clf.predict(X)
    assert clf.score(X, y) == want.score(X, np.where(codes < 0, np.nan, codes))
    assert digest(y) == before
    assert np.array_equal(theta_of(clf), theta_of(want))
    dtypes = [KINDS[kind][3] for kind in kinds]
    for t, kind in enumerate(kinds):
        labels = np.array([KINDS[kind][0][k] for k in np.unique(codes[codes[:, t] >= 0, t])])
        labels = labels.astype(dtypes[t])
        assert_labels(clf.classes_[t], labels, np.dtype(dtypes[t]))
        expected = labels[want.predict(X)[:, t].astype(int)]
        assert predicted[:, t].tolist() == expected.tolist()
        if predicted.dtype == object:  # what the labels are, on their own
            assert type(predicted[0, t]) is type(labels.tolist()[0])
    of_numbers = set(dtypes) <= {int, float}
    assert predicted.dtype == (np.result_type(*dtypes) if of_numbers else object)
    named = kinds[0].split()[0] in ("pandas", "polars")
    assert clf.task_names_ is None if not named else list(clf.task_names_) == list(y.columns)


@pytest.mark.parametrize("dtype", [int, np.int8, float, bool, "U3"])
def test_a_full_table_of_one_dtype(dtype):
    X, Y = wide(missing=0)
    Y = Y[:, 1:].astype(dtype)
    clf = MultiTaskClassifier(**QUICK, learning_rate_init=0.1).fit(X, Y)
    predicted = clf.predict(X)
    assert predicted.dtype == np.dtype(dtype)
    assert predicted.shape == (60, 2)
    assert clf.score(X, Y) == np.mean(predicted == Y) > 0.8


def test_declared_missing_label_per_column_and_nan_besides():
    X, codes = task_codes()
    Y = codes.astype(float)
    Y[:5, 2] = np.nan
    codes[:5, 2] = -1
    clf = MultiTaskClassifier(**QUICK, missing_label=-1).fit(X, Y)
    want = MultiTaskClassifier(**QUICK).fit(X, np.where(codes < 0, np.nan, codes))
    assert np.array_equal(theta_of(clf), theta_of(want))
    assert [c.tolist() for c in clf.classes_] == [[0, 1, 2], [0, 1], [0, 1]]


def test_a_column_is_one_task_with_a_warning():
    X, y = blobs()
    with pytest.warns(UserWarning, match="column-vector y"):
        clf = MultiTaskClassifier(**QUICK).fit(X, y[:, None])
    assert clf.predict(X).shape == (60,)


def test_a_row_without_any_label_changes_nothing():
    X, Y = wide()
    Y[20:30] = np.nan
    clf = MultiTaskClassifier(**QUICK).fit(X, Y)
    rows = ~np.isnan(Y).all(axis=1)
    assert np.array_equal(theta_of(clf), theta_of(clone(clf).fit(X[rows], Y[rows])))


# --- tasks that cannot be learned ----------------------------------------------------------------


def test_a_task_without_label_is_refused():
    pandas = pytest.importorskip("pandas")
    X, Y = wide()
    Y[:, 1] = np.nan
    with pytest.raises(ValueError, match=r"No label .* in task 1: leave its column out of y"):
        MultiTaskClassifier(**QUICK).fit(X, Y)
    frame = pandas.DataFrame(Y, columns=["digit", "odd", "loop"])
    with pytest.raises(ValueError, match=r"task 'odd' \(column 1\).*MultiTaskKFold"):
        MultiTaskClassifier(**QUICK).fit(X, frame)


def test_weights_may_not_take_all_labels_of_a_task():
    X, Y = wide()
    weight = np.ones_like(Y)
    weight[:, 2] = 0
    with pytest.raises(ValueError, match="No label with positive weight in task 2"):
        MultiTaskClassifier(**QUICK).fit(X, Y, label_weight=weight)
    with pytest.raises(ValueError, match="No label with positive weight in task 0"):
        MultiTaskClassifier(**QUICK).fit(X, Y[:, 0], sample_weight=np.isnan(Y[:, 0]))


@pytest.mark.parametrize("strategy", ["joint", "target_only", "finetune", "pooled"])
def test_weights_may_not_take_all_labels_of_the_target(strategy):
    X, y = blobs()
    y = np.where(np.arange(60) < 30, y, np.nan)
    clf = TransferClassifier(**QUICK, strategy=strategy)
    with pytest.raises(ValueError, match="label"):
        clf.fit(X, y, sample_weight=np.isnan(y), **source_of())


def test_a_task_with_one_class_predicts_it():
    X, Y = wide()
    Y[:, 1] = np.where(np.isnan(Y[:, 1]), np.nan, 1)
    with pytest.warns(UserWarning, match="Only one class in task 1"):
        clf = MultiTaskClassifier(**QUICK).fit(X, Y)
    assert (clf.predict(X)[:, 1] == 1).all()
    assert clf.predict_proba(X)[1].tolist() == [[1.0]] * 60
    # The other tasks do not notice it.
    want = MultiTaskClassifier(**QUICK).fit(X, np.column_stack([Y, Y[:, 0]])[:, [0, 2]])
    assert clf.predict(X)[:, [0, 2]].shape == want.predict(X).shape
    assert np.isfinite(clf.loss_curve_).all()
    assert (clf.task_loss_curves_[:, 1] == 0).all()


@one_of_each()
def test_one_class_alone(estimator):
    X, _ = blobs()
    estimator.fit(X, np.full(60, "yes"))
    assert estimator.predict(X).tolist() == ["yes"] * 60
    assert estimator.predict_proba(X).tolist() == [[1.0]] * 60
    assert np.isfinite(theta_of(estimator)).all()


def test_a_target_with_one_class_and_a_source_with_more():
    X, _ = blobs()
    clf = TransferClassifier(**QUICK).fit(X, np.zeros(60, int), **source_of())
    assert clf.classes_.tolist() == [0]
    clf.set_params(share_head=True).fit(X, np.zeros(60, int), **source_of())
    assert clf.classes_.tolist() == [0, 1, 2]


@one_of_each()
def test_an_unseen_class_scores_as_wrong(estimator):
    X, y = blobs()
    known = y < 2
    estimator.fit(X[known], y[known])
    assert estimator.score(X[~known], y[~known]) == 0
    accuracy = np.mean(estimator.predict(X) == y)
    assert 0 < estimator.score(X, y) == accuracy


def test_an_unseen_class_in_validation_rows_is_refused():
    X, y = blobs()
    clf = MultiTaskClassifier(**QUICK, early_stopping=True)
    with pytest.raises(ValueError, match=r"label 2.*not among the known classes \[0, 1\]"):
        clf.fit(X[y < 2], y[y < 2], X_val=X, y_val=y)


# --- other shapes of several tasks ---------------------------------------------------------------


def test_task_ids():
    X, y = blobs(90)
    task = np.array(["north", "south", "west"])[np.arange(90) % 3]
    clf = MultiTaskClassifier(**QUICK).fit(X, y, task=task)
    Y, names = spread_tasks(y, task)
    want = MultiTaskClassifier(**QUICK).fit(X, Y)
    assert np.array_equal(theta_of(clf), theta_of(want))
    assert clf.task_names_.tolist() == names.tolist() == ["north", "south", "west"]
    assert clf.predict(X).shape == (90, 3)
    assert np.array_equal(clf.task("south").predict(X), clf.predict(X)[:, 1])


@pytest.mark.parametrize(
    "labels, dtype",
    [(np.arange(3), int), (ANIMALS, ANIMALS.dtype), (np.array([0.0, 1, 2]), float)],
    ids=["int", "str", "float"],
)
def test_task_ids_keep_the_labels(labels, dtype):
    X, y = blobs(90)
    clf = MultiTaskClassifier(**QUICK).fit(X, labels[y], task=np.arange(90) % 2)
    assert clf.predict(X).dtype == dtype
    assert all(classes.tolist() == labels.tolist() for classes in clf.classes_)


def test_task_ids_with_holes_and_weights():
    X, y = blobs(90)
    task, weight = np.arange(90) % 2, np.random.default_rng(0).random(90)
    y = np.where(np.arange(90) % 7 == 0, np.nan, y)
    clf = MultiTaskClassifier(**QUICK).fit(X, y, weight, task=task)
    Y, _ = spread_tasks(y, task)
    want = MultiTaskClassifier(**QUICK).fit(X, Y, weight)
    assert np.array_equal(theta_of(clf), theta_of(want))


def test_one_task_id_is_one_task():
    X, y = blobs()
    with warnings.catch_warnings():
        warnings.simplefilter("error", DataConversionWarning)
        clf = MultiTaskClassifier(**QUICK).fit(X, y, task=np.full(60, "only"))
    assert clf.score(X, y) == MultiTaskClassifier(**QUICK).fit(X, y).score(X, y)


@pytest.mark.parametrize(
    "y, task, match",
    [
        (np.zeros((60, 2)), np.zeros(60), "y must be 1-D"),
        (np.zeros(60), np.zeros(59), "y has 60 rows, but task has 59"),
        (np.zeros(60), np.full(60, np.nan), "task must be known in every row"),
    ],
)
def test_wrong_task_ids(y, task, match):
    with pytest.raises(ValueError, match=match):
        MultiTaskClassifier(**QUICK).fit(blobs()[0], y, task=task)


@pytest.mark.parametrize("align", ["rows", "blocks"])
def test_stacked_tasks_fit(align):
    first, second = blobs(60, seed=1), blobs(50, seed=2, n_classes=2)
    second = (second[0], ANIMALS[second[1]])
    if align == "blocks":
        second = (second[0][:, :3], second[1])
    X, Y = stack_tasks([first, second], align=align)
    clf = MultiTaskClassifier(**{**QUICK, "max_iter": 100}, learning_rate_init=0.01).fit(X, Y)
    assert clf.n_features_in_ == (7 if align == "blocks" else 4)
    assert clf.classes_[0].tolist() == [0, 1, 2]
    assert clf.classes_[1].tolist() == ["ape", "bee"]
    assert clf.score(X, Y) > 0.9
    assert clf.predict(X).shape == (110, 2)


# --- weights -------------------------------------------------------------------------------------


def both_fits(clf, first, second):
    """Weights after two fits, with arguments (args, keywords)."""
    return [theta_of(clone(clf).fit(*args, **keywords)) for args, keywords in (first, second)]


def test_label_weight_times_sample_weight():
    X, Y = wide()
    rng = np.random.default_rng(0)
    by_row, by_label = rng.random(60), rng.random(Y.shape)
    clf = MultiTaskClassifier(**QUICK)
    one, other = both_fits(
        clf,
        ((X, Y, by_row), {"label_weight": by_label}),
        ((X, Y), {"label_weight": by_label * by_row[:, None]}),
    )
    np.testing.assert_allclose(one, other, rtol=1e-12)
    assert not np.allclose(one, theta_of(clone(clf).fit(X, Y)))


def test_scale_of_the_weights_does_not_matter():
    X, Y = wide()
    weight = np.random.default_rng(0).random(60)
    one, other = both_fits(
        MultiTaskClassifier(**QUICK), ((X, Y, weight), {}), ((X, Y, 8 * weight), {})
    )
    np.testing.assert_allclose(one, other, rtol=1e-12)


def test_label_weight_of_one_task():
    X, y = blobs()
    weight = np.random.default_rng(0).random(60)
    clf = MultiTaskClassifier(**QUICK)
    for given in (weight, weight[:, None]):
        one, other = both_fits(clf, ((X, y), {"label_weight": given}), ((X, y, weight), {}))
        assert np.array_equal(one, other)


@pytest.mark.parametrize(
    "weight, match",
    [
        (np.ones(60), r"label_weight"),
        (np.ones((60, 2)), r"label_weight has shape \(60, 2\); it needs that of y, \(60, 3\)"),
        (np.ones((59, 3)), r"label_weight has shape \(59, 3\)"),
        (np.ones((3, 60)), r"label_weight has shape \(3, 60\)"),
        (-np.ones((60, 3)), "label_weight must not be negative"),
        (np.full((60, 3), np.nan), "label_weight contains NaN"),
    ],
)
def test_wrong_label_weight(weight, match):
    with pytest.raises(ValueError, match=match):
        MultiTaskClassifier(**QUICK).fit(*wide(), label_weight=weight)


@one_of_each(hidden_layer_sizes=(8,), batch_size=10)
def test_zero_weight_is_a_removed_row(estimator):
    X, y = blobs()
    keep = np.arange(60) % 3 > 0
    keywords = source_of() if isinstance(estimator, TransferClassifier) else {}
    one, other = both_fits(
        estimator, ((X, y, keep), keywords), ((X[keep], y[keep], np.ones(keep.sum())), keywords)
    )
    assert np.array_equal(one, other)


@pytest.mark.parametrize("class_weight", [None, "balanced", {0: 3.0}])
def test_zero_label_weight_is_a_hole(class_weight):
    X, Y = wide(missing=0)
    weight = (np.random.default_rng(0).random(Y.shape) < 0.7).astype(float)
    holes = np.where(weight > 0, Y, np.nan)
    one, other = both_fits(
        MultiTaskClassifier(**QUICK, class_weight=class_weight),
        ((X, Y), {"label_weight": weight}),
        ((X, holes), {}),
    )
    assert np.array_equal(one, other)


@pytest.mark.parametrize("class_weight", ["balanced", {0: 3.0, 1: 0.0}])
@one_of_each()
def test_zero_weight_is_a_removed_row_with_class_weights(estimator, class_weight):
    X, y = blobs()
    keep = np.arange(60) % 5 > 1
    estimator.set_params(class_weight=class_weight)
    one, other = both_fits(estimator, ((X, y, keep), {}), ((X[keep], y[keep]), {}))
    assert np.array_equal(one, other)


@one_of_each()
def test_class_weight_is_a_weight_of_rows(estimator):
    X, y = blobs()
    y = np.where(np.arange(60) < 40, y, 0)
    by_class = np.array([0.5, 2.0, 1.0])
    balanced = 60 / (3 * np.bincount(y))
    for class_weight, weight in [({0: 0.5, 1: 2.0}, by_class[y]), ("balanced", balanced[y])]:
        estimator.set_params(class_weight=class_weight)
        got = theta_of(clone(estimator).fit(X, y))
        want = theta_of(clone(estimator).set_params(class_weight=None).fit(X, y, weight))
        np.testing.assert_allclose(got, want, rtol=1e-10)


@pytest.mark.parametrize("labels", [ANIMALS, np.array([-1, 0, 1]), np.array([0.0, 1.0, 2.0])])
@one_of_each()
def test_class_weight_by_label(estimator, labels):
    X, y = blobs()
    names = dict(zip(labels.tolist(), [1.0, 2.0, 3.0]))
    got = theta_of(clone(estimator).set_params(class_weight=names).fit(X, labels[y]))
    want = theta_of(clone(estimator).fit(X, y, np.array([1.0, 2.0, 3.0])[y]))
    np.testing.assert_allclose(got, want, rtol=1e-12)


def per_task(Y, *by_class):
    """Weight of each label from a list of class weights per task."""
    weight = np.ones_like(Y)
    for t, weights in enumerate(by_class):
        seen = ~np.isnan(Y[:, t])
        if weights == "balanced":
            counts = np.bincount(Y[seen, t].astype(int))
            weights = seen.sum() / (len(counts) * counts)
        if weights is not None:
            weight[seen, t] = np.asarray(weights)[Y[seen, t].astype(int)]
    return weight


@pytest.mark.parametrize(
    "class_weight, by_class",
    [
        ({0: 2.0, 1: 0.5}, ([2, 0.5, 1], [2, 0.5], [2, 0.5])),
        ("balanced", ("balanced", "balanced", "balanced")),
        ([{2: 4.0}, None, "balanced"], ([1, 1, 4], None, "balanced")),
        ({"digit": {2: 4.0}, "loop": "balanced"}, ([1, 1, 4], None, "balanced")),
        ({"odd": "balanced"}, (None, "balanced", None)),
        ({"odd": None}, (None, None, None)),
    ],
    ids=["dict", "balanced", "list", "names", "one name", "none"],
)
def test_class_weight_per_task(class_weight, by_class):
    pandas = pytest.importorskip("pandas")
    X, Y = wide()
    frame = pandas.DataFrame(Y, columns=["digit", "odd", "loop"])
    clf = MultiTaskClassifier(**QUICK, class_weight=class_weight).fit(X, frame)
    want = MultiTaskClassifier(**QUICK).fit(X, Y, label_weight=per_task(Y, *by_class))
    np.testing.assert_allclose(theta_of(clf), theta_of(want), rtol=1e-10)


def test_class_weight_with_task_ids_that_look_like_labels():
    X, y = blobs(90)
    task = np.arange(90) % 2
    by_label = MultiTaskClassifier(**QUICK, class_weight={0: 5.0, 1: 1.0}).fit(X, y, task=task)
    want = MultiTaskClassifier(**QUICK).fit(X, y, np.where(y == 0, 5.0, 1.0), task=task)
    np.testing.assert_allclose(theta_of(by_label), theta_of(want), rtol=1e-10)
    by_task = MultiTaskClassifier(**QUICK, class_weight={0: {0: 5.0}}).fit(X, y, task=task)
    weight = np.where((y == 0) & (task == 0), 5.0, 1.0)
    want = MultiTaskClassifier(**QUICK).fit(X, y, weight, task=task)
    np.testing.assert_allclose(theta_of(by_task), theta_of(want), rtol=1e-10)


@pytest.mark.parametrize(
    "class_weight, match",
    [
        ([None, None], "class_weight has 2 entries, but y has 3 columns"),
        (["balance", None, None], "class_weight.*'balance'"),
        ({"digits": {0: 2.0}}, "class_weight.*'digits'"),
        ({7: 2.0}, r"class_weight={7: 2.0} has none of the labels, which are \[0.0, 1.0, 2.0\]"),
        ({"0": 2.0}, "class_weight={'0': 2.0} has none of the labels"),
        ({0: -1.0}, "class_weight.*-1"),
        ({0: "a"}, "class_weight.*'a'"),
        ("balance", "class_weight"),
    ],
)
def test_wrong_class_weight(class_weight, match):
    with pytest.raises(ValueError, match=match):
        MultiTaskClassifier(**QUICK, class_weight=class_weight).fit(*wide())


@pytest.mark.parametrize("class_weight", [{7: 2.0}, {0: -1.0}, {0: np.nan}])
def test_wrong_class_weight_of_a_transfer(class_weight):
    with pytest.raises(ValueError, match="class_weight"):
        TransferClassifier(**QUICK, class_weight=class_weight).fit(*blobs(), **source_of())


@pytest.mark.parametrize(
    "weight, match",
    [
        (np.ones(59), r"sample_weight.*59|59.*60"),
        (np.zeros(60), "non-zero"),
        (-np.ones(60), "[Nn]egative"),
        (np.full(60, np.inf), "infinity"),
    ],
)
@one_of_each()
def test_wrong_sample_weight(estimator, weight, match):
    with pytest.raises(ValueError, match=match):
        estimator.fit(*blobs(), weight)
