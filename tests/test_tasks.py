"""Label columns of all containers, against np.unique and plain loops."""

import sys

import numpy as np
import pytest
from scipy import sparse
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.exceptions import DataConversionWarning
from sklearn.metrics import euclidean_distances
from sklearn.utils.estimator_checks import check_estimator
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_array, check_is_fitted, column_or_1d, validate_data

from skmtl.columns import label_columns
from skmtl.tasks import (
    codes_in_union,
    encode_labels,
    spread_tasks,
    stack_tasks,
    union_of_labels,
)


class NotAnArray:
    """Has nothing but __array__, like scikit-learn's own test class."""

    def __init__(self, data):
        self.data = np.asarray(data)

    def __array__(self, dtype=None, copy=None):
        return self.data


def pandas_series(dtype=None):
    def make(labels):
        return pytest.importorskip("pandas").Series(labels, dtype=dtype, index=[7] * len(labels))

    return make


def polars_series(dtype=None):
    def make(labels):
        pl = pytest.importorskip("polars")
        return pl.Series(labels, dtype=None if dtype is None else getattr(pl, dtype), strict=False)

    return make


def masked(dtype):
    def make(labels):
        filled = [1 if label is None else label for label in labels]
        return np.ma.array(filled, dtype=dtype, mask=[label is None for label in labels])

    return make


NUMBERS, BOOLS, STRINGS = [5, None, 3, 5], [True, None, False, True], ["b", None, "a", "b"]
CONTAINERS = [
    # the labels, how to hold them, the dtype of their classes
    (NUMBERS, list, int),
    (NUMBERS, tuple, int),
    (NUMBERS, lambda y: np.array(y, dtype=object), int),
    (NUMBERS, lambda y: np.array(y, dtype=float), float),
    (NUMBERS, lambda y: np.array(y, dtype=np.float32), np.float32),
    (NUMBERS, lambda y: NotAnArray(np.array(y, dtype=float)), float),
    (NUMBERS, masked(np.int16), np.int16),
    (NUMBERS, pandas_series(), float),
    (NUMBERS, pandas_series("Int64"), np.int64),
    (NUMBERS, pandas_series("UInt8"), np.uint8),
    (NUMBERS, pandas_series("Float64"), float),
    (NUMBERS, pandas_series(object), int),
    (NUMBERS, lambda y: pandas_series("Int64")(y).astype("category"), np.int64),
    (NUMBERS, polars_series(), np.int64),
    (NUMBERS, polars_series("UInt8"), np.uint8),
    (NUMBERS, polars_series("Float32"), np.float32),
    (BOOLS, list, bool),
    (BOOLS, lambda y: np.array(y, dtype=object), bool),
    (BOOLS, masked(bool), bool),
    (BOOLS, pandas_series(), bool),
    (BOOLS, pandas_series("boolean"), bool),
    (BOOLS, polars_series(), bool),
    (STRINGS, list, object),
    (STRINGS, lambda y: np.array(y, dtype=object), object),
    (STRINGS, masked("U1"), "U1"),
    (STRINGS, pandas_series(), object),
    (STRINGS, pandas_series("string"), object),
    (STRINGS, pandas_series("category"), object),
    (STRINGS, polars_series(), object),
    (STRINGS, polars_series("Categorical"), object),
]


@pytest.mark.parametrize("kind", ["numbers", "far apart", "strings", "objects"])
@pytest.mark.parametrize("n_classes, dtype", [(127, np.int8), (128, np.int32)])
def test_codes_take_a_byte_while_they_fit(kind, n_classes, dtype):
    of_kind = {
        "numbers": np.arange(n_classes) - 5,
        "far apart": np.arange(n_classes) * 10**9,
        "strings": np.array([f"{k:03}" for k in range(n_classes)]),
        "objects": np.arange(n_classes).astype(object),
    }
    y = of_kind[kind][::-1]
    labels = encode_labels(y)
    assert labels.codes.dtype == dtype
    np.testing.assert_array_equal(labels.codes[:, 0], np.arange(n_classes)[::-1])
    few = encode_labels(y[:2], classes=y)  # as many codes as there are known classes
    assert few.codes.dtype == dtype
    np.testing.assert_array_equal(few.codes[:, 0], [n_classes - 1, n_classes - 2])


@pytest.mark.parametrize("y", [[0, 2, 1, 2], [0] * 4, np.arange(300)[::-1]], ids=len)
def test_an_array_of_codes_is_taken_as_it_is(y):
    y = np.array(y)
    labels = encode_labels(y)
    assert np.shares_memory(labels.codes, y)
    assert not labels.codes.flags.writeable
    assert y.flags.writeable
    np.testing.assert_array_equal(labels.codes, y[:, np.newaxis], strict=True)
    np.testing.assert_array_equal(labels.classes[0], np.unique(y), strict=True)
    assert labels[2:] == (None, True)


@pytest.mark.parametrize(
    "y",
    [
        np.array([1, 2, 1]),
        np.array([0, 2, 0]),
        np.array([0, 1, -1]),
        np.array([0, 1, 1], dtype=np.int32),
        np.array([0.0, 1.0, 1.0]),
        np.array([0, 9, 1, 9])[::2],
        np.ma.array([0, 1, 1], mask=[0, 0, 1]),
        [0, 1, 1],
    ],
    ids=repr,
)
def test_all_else_is_encoded_in_bytes(y):
    assert encode_labels(y).codes.dtype == np.int8


def test_codes_of_which_one_means_missing_are_encoded():
    labels = encode_labels(np.array([0, 1, 2]), missing_label=0)
    assert labels.codes[:, 0].tolist() == [-1, 0, 1]
    assert encode_labels(np.array([0, 1]), classes=[0, 1, 2]).codes.dtype == np.int8


def test_the_task_with_most_classes_says_how_long_codes_are():
    y = np.column_stack([np.arange(300) % 2, np.arange(300), np.arange(300) % 3])
    codes = encode_labels(y).codes
    assert codes.dtype == np.int32
    assert codes.flags.f_contiguous
    np.testing.assert_array_equal(codes, y)


def test_a_union_of_labels_may_be_longer_than_a_byte():
    y = np.column_stack([np.arange(100), np.arange(100) + 90])
    labels = encode_labels(y)
    union = union_of_labels(labels.classes)
    columns = zip(labels.codes.T, labels.classes, strict=True)
    codes = np.column_stack([codes_in_union(*column, union) for column in columns])
    assert labels.codes.dtype == np.int8
    np.testing.assert_array_equal(union[codes], y)


@pytest.mark.parametrize("labels, container, dtype", CONTAINERS)
def test_each_container_is_encoded_in_its_own_dtype(labels, container, dtype):
    codes, (classes,), names, is_1d = encode_labels(container(labels))
    expected = np.unique([label for label in labels if label is not None])
    np.testing.assert_array_equal(classes, expected)
    assert classes.dtype == np.dtype(dtype)
    assert codes.dtype == np.int8
    assert codes.flags.c_contiguous
    np.testing.assert_array_equal(codes, [[1], [-1], [0], [1]])
    assert names is None
    assert is_1d


@pytest.mark.parametrize(
    "y",
    [
        np.array([3, 1, 3]),
        np.array([-128, 127, 0], dtype=np.int8),
        np.array([2**64 - 1, 0, 2**64 - 1], dtype=np.uint64),
        np.array([-(2**62), 2**62, 2**62 + 1]),
        np.array([10**9, 0, -(10**9)]),
        np.array([2**50, 0, 2**50]),
        np.array([True, False, True]),
        np.array([-0.0, 2.0, 1.0]),
        np.array([1e300, -1.0, 1e300]),
        np.array([1, 0, 1], dtype=np.float16),
        np.array(["one", "two", "one"]),
        np.array(["one", "two", "one"], dtype=object),
        ["one", "two", "one"],
        [3, 1, 3],
        [True, False, False],
        [np.float32(1), np.float32(0)],
    ],
    ids=repr,
)
def test_without_holes_classes_are_those_of_np_unique(y):
    codes, (classes,), _, _ = encode_labels(y)
    expected, inverse = np.unique(y, return_inverse=True)
    np.testing.assert_array_equal(classes, expected)
    assert classes.dtype == expected.dtype
    np.testing.assert_array_equal(codes[:, 0], inverse)


@pytest.mark.parametrize("dtype", [np.int64, np.int8, np.uint16, float, np.float32, "U3", object])
@pytest.mark.parametrize("spread", [1, 100_000])
@pytest.mark.parametrize("order", ["C", "F"])
def test_decoding_gives_y_back(dtype, spread, order):
    rng = np.random.default_rng(0)
    y = np.asarray(rng.integers(0, 12, size=(300, 4)), dtype=int)
    y = np.asarray(y * spread if dtype in (np.int64, float) else y, dtype=dtype, order=order)
    y.flags.writeable = False
    codes, classes, names, is_1d = encode_labels(y)
    decoded = np.stack([classes[t][codes[:, t]] for t in range(4)], axis=1)
    np.testing.assert_array_equal(decoded, y)
    assert names is None
    assert not is_1d
    assert codes.flags.f_contiguous


def mixed_pandas():
    pd = pytest.importorskip("pandas")
    return pd.DataFrame(
        {
            "genre": ["drama", None, "comedy"],
            "stars": pd.array([3, 5, None], dtype="Int64"),
            "seen": [True, False, True],
            "year": [np.nan, 1999.0, 1999.0],
        },
        index=[5, 5, 2],
    )


def mixed_polars():
    pl = pytest.importorskip("polars")
    return pl.DataFrame(
        {
            "genre": ["drama", None, "comedy"],
            "stars": [3, 5, None],
            "seen": [True, False, True],
            "year": [float("nan"), 1999.0, 1999.0],
        }
    )


@pytest.mark.parametrize("make", [mixed_pandas, mixed_polars])
def test_columns_of_a_frame_are_encoded_on_their_own(make):
    y = make()
    before = y.copy() if hasattr(y, "copy") else y.clone()
    codes, classes, names, is_1d = encode_labels(y)
    np.testing.assert_array_equal(codes, [[1, 0, 1, -1], [-1, 1, 0, 0], [0, -1, 1, 0]])
    assert [labels.tolist() for labels in classes] == [
        ["comedy", "drama"],
        [3, 5],
        [False, True],
        [1999.0],
    ]
    assert [labels.dtype.kind for labels in classes] == ["O", "i", "b", "f"]
    assert names.dtype == object
    assert names.tolist() == ["genre", "stars", "seen", "year"]
    assert not is_1d
    assert y.equals(before)


def test_mixed_nested_list():
    codes, classes, _, _ = encode_labels([["a", 1, True], ["b", None, False], ["a", 0, True]])
    np.testing.assert_array_equal(codes, [[0, 1, 1], [1, -1, 0], [0, 0, 1]])
    assert [labels.dtype.kind for labels in classes] == ["U", "i", "b"]


def test_list_of_arrays_is_the_array():
    y = np.array([[0, 2], [1, 2], [1, 0]])
    codes, classes, _, _ = encode_labels(list(y))
    np.testing.assert_array_equal(codes, encode_labels(y).codes)
    assert [labels.dtype for labels in classes] == [y.dtype, y.dtype]


@pytest.mark.parametrize("columns", [[0, 1], ["a", 1], [("a", "x"), ("a", "y")]])
def test_names_that_are_not_strings_are_none(columns):
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame([[0, 1], [1, 0]])
    frame.columns = columns
    assert encode_labels(frame).names is None


def test_frame_with_equal_column_names():
    pd = pytest.importorskip("pandas")
    labels = encode_labels(pd.DataFrame([[0, 5], [1, 6]], columns=["a", "a"]))
    assert [classes.tolist() for classes in labels.classes] == [[0, 1], [5, 6]]


# --- missing labels ----------------------------------------------------------------------------


def pandas_missing():
    pd = pytest.importorskip("pandas")
    return np.array([pd.NA, pd.NaT, "a"], dtype=object)


@pytest.mark.parametrize(
    "y",
    [
        lambda: np.array([None, np.nan, "a"], dtype=object),
        lambda: [float("nan"), np.float32("nan"), "a"],
        lambda: np.array([np.datetime64("NaT", "s"), None, "a"], dtype=object),
        pandas_missing,
    ],
)
def test_all_that_always_means_missing(y):
    codes, (classes,), _, _ = encode_labels(y())
    assert codes.ravel().tolist() == [-1, -1, 0]
    assert classes.tolist() == ["a"]


@pytest.mark.parametrize(
    "y, missing_label, codes, classes",
    [
        ([-1, 1, -1, 1], np.nan, [0, 1, 0, 1], [-1, 1]),
        ([-1, 1, -1, 1], None, [0, 1, 0, 1], [-1, 1]),
        ([-1, 1, 0, 1], -1, [-1, 1, 0, 1], [0, 1]),
        (np.array([-1, 1, 0, 1], dtype=np.int8), -1.0, [-1, 1, 0, 1], [0, 1]),
        (np.array([255, 1], dtype=np.uint8), -1, [1, 0], [1, 255]),
        (np.array([-1, np.nan, 0, 1]), -1, [-1, -1, 0, 1], [0, 1]),
        (np.array([9.5, 0, 1]), 9.5, [-1, 0, 1], [0, 1]),
        (np.array([np.inf, 0, 1]), np.inf, [-1, 0, 1], [0, 1]),
        ([-1, None, 0, 1], -1, [-1, -1, 0, 1], [0, 1]),
        (["?", "a", "b"], "?", [-1, 0, 1], ["a", "b"]),
        (np.array(["?", None, "b"], dtype=object), "?", [-1, -1, 0], ["b"]),
        ([0, 1, 0], "?", [0, 1, 0], [0, 1]),
        (["a", "b"], -1, [0, 1], ["a", "b"]),
        (["a", -1, None], -1, [0, -1, -1], ["a"]),
    ],
)
def test_missing_label(y, missing_label, codes, classes):
    labels = encode_labels(y, missing_label=missing_label)
    assert labels.codes.ravel().tolist() == codes
    assert labels.classes[0].tolist() == classes


@pytest.mark.parametrize("container", ["pandas", "polars"])
def test_missing_label_in_a_frame(container):
    frame = pytest.importorskip(container).DataFrame({"a": [-1, 0, 1], "b": ["x", None, "y"]})
    labels = encode_labels(frame, missing_label=-1)
    assert labels.codes.tolist() == [[-1, 0], [0, -1], [1, 1]]


@pytest.mark.parametrize(
    "y",
    [
        np.full(3, np.nan),
        [None, None, None],
        np.array(["?"] * 3),
        np.array(["NaT"] * 3, dtype="M8[s]"),
        np.ma.array([1, 2, 3], mask=True),
    ],
    ids=repr,
)
def test_task_without_labels_has_no_classes(y):
    labels = encode_labels(y, missing_label="?")
    assert labels.codes.tolist() == [[-1]] * 3
    assert [classes.shape for classes in labels.classes] == [(0,)]


def test_task_with_one_class():
    labels = encode_labels(np.array([[1, 0], [np.nan, 1], [1, 1]]))
    assert [classes.tolist() for classes in labels.classes] == [[1], [0, 1]]


def test_missing_label_must_be_a_scalar():
    with pytest.raises(TypeError, match=r"missing_label must be a scalar.*got \[-1\]"):
        encode_labels([0, 1], missing_label=[-1])


# --- known classes -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "y, classes, codes",
    [
        ([2, 0, None], [[0, 1, 2]], [[2], [0], [-1]]),
        ([2, 0], [0, 1, 2], [[2], [0]]),
        ([2, 0], np.array([2, 1, 0]), [[2], [0]]),
        (np.array([2.0, np.nan]), [[0, 1, 2]], [[2], [-1]]),
        ([True, False], [[0, 1]], [[1], [0]]),
        (["b"], [np.array(["a", "b"], dtype=object)], [[1]]),
        ([["b", 3], [None, 4]], [["a", "b"], [3, 4, 5]], [[1, 0], [-1, 1]]),
        ([[None, 3], [None, 4]], [[], [3, 4, 5]], [[-1, 0], [-1, 1]]),
        ([-9, 1], [[-9, 0, 1]], [[-1], [1]]),
    ],
)
def test_known_classes(y, classes, codes):
    labels = encode_labels(y, classes=classes, missing_label=-9)
    assert labels.codes.tolist() == codes
    flat = [classes] if np.ndim(classes[0]) == 0 else classes
    for known, got in zip(flat, labels.classes):
        assert got.tolist() == sorted(label for label in known if label != -9)


def test_encoding_against_own_classes_changes_nothing():
    first = encode_labels(mixed_pandas())
    again = encode_labels(mixed_pandas(), classes=first.classes)
    np.testing.assert_array_equal(first.codes, again.codes)
    for a, b in zip(first.classes, again.classes):
        np.testing.assert_array_equal(a, b)
        assert a.dtype == b.dtype


@pytest.mark.parametrize(
    "y, classes, message",
    [
        ([0, 7], [[0, 1]], r"y has the label 7, .* known classes \[0, 1\]\.$"),
        ([["a", 0], ["c", 1]], [["a", "b"], [0, 1]], r"label 'c', .*\['a', 'b'\]\. In task 0\.$"),
        ([[None, 0], [4, 1]], [[], [0, 1]], r"label 4, .*classes \[\]\. In task 0\.$"),
        ([["a", 0]], [["a", "b"]], "labels of 1 tasks, but y has 2"),
        ([0, 1], [[0, 1], [0, 1]], "labels of 2 tasks, but y has 1"),
        ([0, 1], [[[0, 1]]], r"classes\[0\] must be 1-D"),
        ([0, 1], [[0, 0.5]], r"Unknown label type: continuous.* In classes\[0\]\.$"),
    ],
)
def test_labels_that_are_not_known(y, classes, message):
    with pytest.raises(ValueError, match=message):
        encode_labels(y, classes=classes)


def test_unknown_label_names_the_task():
    pd = pytest.importorskip("pandas")
    with pytest.raises(ValueError, match=r"label 2, .*classes \[0, 1\]\. In task 'stars'\."):
        encode_labels(pd.DataFrame({"a": [0, 1], "stars": [0, 2]}), classes=[[0, 1], [0, 1]])


# --- what is refused ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "y, refuse",
    [
        (np.array([0.5, 1.0]), check_classification_targets),
        (np.array([1, np.inf]), lambda y: check_array(y, ensure_2d=False, input_name="y")),
        (np.empty(0), lambda y: check_array(y, ensure_2d=False)),
        (np.empty((3, 0)), check_array),
        (np.zeros((2, 2, 2)), check_array),
        (sparse.csr_array([[0, 1]]), check_array),
        ("labels", check_classification_targets),
        (3, check_classification_targets),
    ],
)
def test_errors_begin_as_those_of_scikit_learn(y, refuse):
    with pytest.raises((TypeError, ValueError)) as theirs:
        refuse(y)
    with pytest.raises(type(theirs.value)) as ours:
        encode_labels(y)
    assert str(ours.value)[:20] == str(theirs.value)[:20]


@pytest.mark.parametrize(
    "y, error, message",
    [
        (None, ValueError, "^estimator requires y to be passed, but the target y is None$"),
        ([[0, 0.5], [1, 1.5]], ValueError, "Unknown label type: continuous-multi.* In task 1"),
        ([["a", 0], [1, 0]], TypeError, "mixes strings such as 'a' and .* such as 1.* In task 0"),
        (np.array(["a", True], dtype=object), TypeError, "mixes strings"),
        ([1, np.inf], ValueError, r"Input y contains infinity or .* dtype\('float64'\)\.$"),
        (np.array([[1, 2], [np.inf, 2]]), ValueError, r"infinity.*\('float64'\)\. In task 0\.$"),
        (np.array([1, np.inf], dtype=np.float32), ValueError, r"dtype\('float32'\)\."),
        ([[1, 2], [3]], ValueError, "rows of different lengths"),
        ([{}, {}], ValueError, "Unknown label type: unknown"),
        ([(1, 2), 3], ValueError, "rows of different lengths"),
        (np.array([1 + 2j]), ValueError, "Unknown label type: complex128"),
        (np.array([b"a"]), ValueError, r"Unknown label type: \|S1"),
        (np.array(["2020-01-01"], dtype="M8[D]"), ValueError, "Unknown label type: datetime64"),
        (np.array([2**70], dtype=object), ValueError, "Unknown label type"),
        (np.array(1), ValueError, "array with dim 0"),
        (sparse.csr_matrix([[1]]), TypeError, "Sparse data was passed for y"),
    ],
)
def test_what_is_refused(y, error, message):
    with pytest.raises(error, match=message):
        encode_labels(y)


def test_errors_name_the_estimator():
    with pytest.raises(ValueError, match="minimum of 1 is required for y by Toy"):
        encode_labels([], estimator="Toy")
    with pytest.raises(ValueError, match="^CentroidClassifier requires y to be passed"):
        encode_labels(None, estimator=CentroidClassifier())


@pytest.mark.parametrize("container", [np.array, list, "pandas", "polars"])
def test_column_vector_is_1d_with_a_warning(container):
    y = [["a"], ["b"], ["a"]]
    if isinstance(container, str):
        y = pytest.importorskip(container).DataFrame({"task": ["a", "b", "a"]})
    else:
        y = container(y)
    with pytest.warns(DataConversionWarning, match="A column-vector y was passed"):
        labels = encode_labels(y)
    with pytest.warns(DataConversionWarning):
        np.testing.assert_array_equal(
            labels.classes[0][labels.codes[:, 0]], column_or_1d(y, warn=True)
        )
    assert labels.is_1d
    assert labels.names is None


# --- the contract with scikit-learn ------------------------------------------------------------


class CentroidClassifier(ClassifierMixin, BaseEstimator):
    """Nearest centroid per task: the least that uses encode_labels as our estimators do."""

    def fit(self, X, y):
        X = validate_data(self, X, dtype=float)
        codes, classes, _, self.is_1d_ = encode_labels(y, estimator=self)
        if len(codes) != len(X):
            raise ValueError(f"X has {len(X)} rows, y has {len(codes)}")
        if not all(map(len, classes)):
            raise ValueError("a task has no labels")
        self.centroids_ = [
            np.array([X[column == code].mean(axis=0) for code in range(len(labels))])
            for column, labels in zip(codes.T, classes)
        ]
        self.classes_ = classes[0] if self.is_1d_ else classes
        return self

    def predict(self, X):
        check_is_fitted(self)
        X = validate_data(self, X, dtype=float, reset=False)
        classes = [self.classes_] if self.is_1d_ else self.classes_
        nearest = [euclidean_distances(X, c).argmin(axis=1) for c in self.centroids_]
        predicted = [labels[j] for labels, j in zip(classes, nearest)]
        return predicted[0] if self.is_1d_ else np.stack(predicted, axis=1)


class MultiCentroidClassifier(CentroidClassifier):
    """Also says that it takes several tasks."""

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        tags.classifier_tags.multi_label = True
        return tags


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning")
@pytest.mark.parametrize("estimator", [CentroidClassifier(), MultiCentroidClassifier()])
def test_check_estimator_passes_on_labels(estimator):
    check_estimator(estimator)


def test_a_million_rows_of_twenty_tasks():
    y = np.random.default_rng(0).integers(-1, 10, size=(1_000_000, 20))
    codes, classes, _, _ = encode_labels(y, missing_label=-1)
    np.testing.assert_array_equal(codes, y)
    assert all(labels.tolist() == list(range(10)) for labels in classes)


@pytest.mark.parametrize("n_rows", [3, 256, 600])
@pytest.mark.parametrize("n_tasks", [31, 32, 200])
def test_columns_of_a_wide_array_are_taken_out_some_at_a_time(n_rows, n_tasks):
    y = np.random.default_rng(0).integers(-1, 3, size=(n_rows, n_tasks)).astype(np.float32)
    columns, _, shape = label_columns(y)
    assert shape == y.shape
    assert len(columns) == n_tasks
    contiguous = 0
    for t, column in enumerate(columns):
        assert np.array_equal(column, y[:, t])
        assert np.array_equal(columns[t], y[:, t])
        contiguous += column.flags.c_contiguous
    assert contiguous == (n_tasks if n_tasks >= 32 else 0)


@pytest.mark.parametrize("y", [np.array([1, 2]), [1, None], ["a", "b"]])
def test_neither_pandas_nor_polars_is_needed(y, monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    monkeypatch.setitem(sys.modules, "polars", None)
    encode_labels(y)


# --- stack_tasks -------------------------------------------------------------------------------


def frame_of(package):
    def make(X):
        module = pytest.importorskip(package)
        return module.DataFrame(dict(zip("abcdefgh", np.asarray(X).T)))

    return make


STACKABLE = [
    (np.array, np.ndarray),
    (np.ndarray.tolist, np.ndarray),
    (sparse.csr_array, sparse.csr_array),
    (sparse.csc_array, sparse.csr_array),
    (sparse.csr_matrix, sparse.csr_matrix),
    (sparse.csc_matrix, sparse.csr_matrix),
    (frame_of("pandas"), "DataFrame"),
    (frame_of("polars"), "DataFrame"),
]


def dense(X):
    return X.toarray() if sparse.issparse(X) else np.asarray(X)


@pytest.mark.parametrize("make, kind", STACKABLE)
def test_stack_rows(make, kind):
    A, B = np.arange(6.0).reshape(3, 2), np.arange(4.0).reshape(2, 2) - 9
    X, Y = stack_tasks([(make(A), [1, 0, 1]), (make(B), [4, 5])])
    assert type(X).__name__ == kind if isinstance(kind, str) else isinstance(X, kind)
    np.testing.assert_array_equal(dense(X), np.vstack([A, B]))
    nan = np.nan
    np.testing.assert_array_equal(Y, [[1, nan], [0, nan], [1, nan], [nan, 4], [nan, 5]])


@pytest.mark.parametrize("make, kind", STACKABLE)
def test_stack_blocks(make, kind):
    A, B = np.arange(6.0).reshape(2, 3), np.ones((1, 2))
    X, Y = stack_tasks([(make(A), [1, 0]), (make(B), [4])], align="blocks")
    assert isinstance(X, kind if kind is sparse.csr_matrix else sparse.csr_array)
    expected = [[0, 1, 2, 0, 0], [3, 4, 5, 0, 0], [0, 0, 0, 1, 1]]
    np.testing.assert_array_equal(X.toarray(), expected)
    np.testing.assert_array_equal(Y, [[1, np.nan], [0, np.nan], [np.nan, 4]])


def test_stack_sparse_and_dense():
    X, _ = stack_tasks([(np.eye(2), [0, 1]), (sparse.csr_matrix(np.eye(2)), [0, 1])])
    assert isinstance(X, sparse.csr_matrix)
    X, _ = stack_tasks([(sparse.csr_array(np.eye(2)), [0, 1]), (sparse.csr_matrix((1, 2)), [0])])
    assert isinstance(X, sparse.csr_array)
    np.testing.assert_array_equal(X.toarray(), [[1, 0], [0, 1], [0, 0]])


@pytest.mark.parametrize("align", ["rows", "blocks"])
def test_stack_keeps_float32(align):
    X, _ = stack_tasks([(np.eye(2, dtype=np.float32), [0, 1])] * 2, align=align)
    assert X.dtype == np.float32


@pytest.mark.parametrize(
    "ys, dtype, expected",
    [
        ([[0, 1], [2, 3]], float, [[0, 1], [2, 3]]),
        ([[0, None], [2, 3]], float, [[0, np.nan], [2, 3]]),
        ([[None, None], [2, 3]], float, [[np.nan, np.nan], [2, 3]]),
        ([[0.0, 1.0], np.array([2, 3], dtype=np.uint8)], float, [[0, 1], [2, 3]]),
        ([[0, 2**53 + 1], [2, 3]], object, [[0, 2**53 + 1], [2, 3]]),
        ([[-(2**53) - 1, 0], [2, 3]], object, [[-(2**53) - 1, 0], [2, 3]]),
        ([[0, 1], ["a", None]], object, [[0, 1], ["a", None]]),
        ([[True, False], [2, 3]], object, [[True, False], [2, 3]]),
    ],
)
def test_stacked_labels_stay_what_they_are(ys, dtype, expected):
    _, Y = stack_tasks([(np.zeros((2, 1)), y) for y in ys])
    assert Y.dtype == dtype
    for t, labels in enumerate(expected):
        got = Y[2 * t : 2 * t + 2, t].tolist()
        np.testing.assert_equal(got, labels)
        if dtype is object:
            assert [type(label) for label in got] == [type(label) for label in labels]
    observed = encode_labels(Y).codes >= 0
    assert not observed[:2, 1].any()
    assert not observed[2:, 0].any()


def test_stack_changes_nothing_of_the_callers():
    X, y = np.eye(2), np.array([1.0, np.nan])
    X.flags.writeable = y.flags.writeable = False
    stacked, Y = stack_tasks([(X, y)])
    stacked[:] = Y[:, 0] = 7
    np.testing.assert_array_equal(X, np.eye(2))


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.DataConversionWarning")
@pytest.mark.parametrize(
    "datasets, error, message",
    [
        ([], ValueError, "at least one"),
        ({"a": (np.eye(2), [0, 1])}, TypeError, r"list of \(X, y\) tuples"),
        ([np.eye(2)], TypeError, r"list of \(X, y\) tuples"),
        ([(np.eye(2), [0, 1]), (np.eye(2), [0])], ValueError, "data set 1 has 2 rows.*1 in y"),
        (
            [(np.eye(2), [0, 1]), (np.eye(3), [0] * 3)],
            ValueError,
            "data set 1 has 3 columns.*has 2",
        ),
        ([(np.zeros(3), [0, 1, 2])], ValueError, r"X of data set 0 must be 2-D, got shape \(3,\)"),
        ([(np.eye(2), np.eye(2))], ValueError, r"y of data set 0 must be 1-D, got shape \(2, 2\)"),
        (
            [(np.eye(2), [0, 1]), (np.eye(2), [0.5j, 1])],
            ValueError,
            "y of data set 1: Unknown label",
        ),
        ([(np.eye(2), [0, "a"])], TypeError, "y of data set 0: y mixes strings"),
        ([(np.eye(2), None)], ValueError, "y of data set 0: estimator requires y"),
    ],
)
def test_stack_refuses(datasets, error, message):
    with pytest.raises(error, match=message):
        stack_tasks(datasets)


def test_stack_refuses_other_columns_and_containers():
    pd, pl = pytest.importorskip("pandas"), pytest.importorskip("polars")
    A, B, C = pd.DataFrame({"a": [1]}), pd.DataFrame({"b": [1]}), pl.DataFrame({"a": [1]})
    with pytest.raises(ValueError, match=r"data set 1 has the columns \['b'\], .* 0 \['a'\]"):
        stack_tasks([(A, [0]), (B, [1])])
    for other in (C, np.ones((1, 1)), sparse.csr_array((1, 1))):
        with pytest.raises(TypeError, match=r"data set 1 is a \w+, but data set 0 a \w+"):
            stack_tasks([(other, [0]), (A, [1])])


def test_stack_refuses_strange_frames():
    class Frame:
        columns, shape = ["a"], (1, 1)

    with pytest.raises(TypeError, match="X must be .*, got Frame"):
        stack_tasks([(Frame(), [0])])


def test_blocks_must_be_numeric():
    X = np.array([["a"]], dtype=object)
    with pytest.raises(
        TypeError, match="X of data set 1 must be numeric to become CSR, got object"
    ):
        stack_tasks([(np.eye(1), [0]), (X, [1])], align="blocks")


def test_align_must_be_known():
    with pytest.raises(ValueError, match="align must be 'rows' or 'blocks', got 'columns'"):
        stack_tasks([(np.eye(2), [0, 1])], align="columns")


# --- spread_tasks ------------------------------------------------------------------------------


def test_spread_numbers():
    Y, ids = spread_tasks([0.25, np.nan, -1e300, 7], [1, 0, 0, 1])
    np.testing.assert_array_equal(Y, [[np.nan, 0.25], [np.nan] * 2, [-1e300, np.nan], [np.nan, 7]])
    assert ids.tolist() == [0, 1]


@pytest.mark.parametrize(
    "y", [[1, 0, 2, None], np.array([1, 0, 2, np.nan]), ["b", "a", "c", None], [True, False] * 2]
)
@pytest.mark.parametrize(
    "task", [[9, 3, 9, 4], ["z", "x", "z", "y"], np.array([2.0, 0.0, 2.0, 1.0])]
)
def test_spread_tasks_against_a_loop(y, task):
    Y, ids = spread_tasks(y, task)
    np.testing.assert_array_equal(ids, np.unique(task))
    encoded = encode_labels(Y)
    assert Y.shape == (4, 3)
    for i in range(4):
        for t in range(3):
            label = y[i] if task[i] == ids[t] and y[i] == y[i] else None
            code = encoded.codes[i, t]
            assert label is None if code < 0 else encoded.classes[t][code] == label


def test_spread_is_the_inverse_of_stack():
    _, Y = stack_tasks([(np.eye(2), ["a", "b"]), (np.eye(2), ["b", None])])
    spread, ids = spread_tasks(["a", "b", "b", None], [0, 0, 1, 1])
    np.testing.assert_array_equal(spread, Y)
    assert ids.tolist() == [0, 1]


@pytest.mark.parametrize(
    "y, task, error, message",
    [
        ([0, 1], [0], ValueError, "y has 2 rows, but task has 1"),
        ([0, 1], [0, None], ValueError, "row 1 has none"),
        ([0, 1], None, ValueError, "^task: estimator requires y"),
        ([0, 1], [0.5, 1], ValueError, "^task: Unknown label type"),
        ([[0, 1], [1, 1]], [0, 1], ValueError, r"y must be 1-D, got shape \(2, 2\)"),
        ([0, "a"], [0, 1], TypeError, "^y: y mixes strings"),
    ],
)
def test_spread_refuses(y, task, error, message):
    with pytest.raises(error, match=message):
        spread_tasks(y, task)
