"""The pictures: what they draw is what they were given, and it is labelled."""

import subprocess
import sys

import numpy as np
import pytest
from sklearn.base import BaseEstimator
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from tables import QUICK, blobs, source_of, wide
from test_multitask_report import made as made_of_tasks
from test_transfer_report import made as made_of_ladder

from skmtl import (
    MultiTaskClassifier,
    MultiTaskClassifierCV,
    TransferClassifier,
    TransferClassifierCV,
)
from skmtl.report import (
    LambdaMuDisplay,
    LearningCurveDisplay,
    LossCurveDisplay,
    TaskAffinityDisplay,
)

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


@pytest.fixture
def pyplot():
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("agg")
    import matplotlib.pyplot as plt

    yield plt
    plt.close("all")


def legend_of(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


def check_legend_beside_data(display):
    """Nothing of the legend is within the axes."""
    display.figure_.canvas.draw()
    legend = display.ax_.get_legend().get_window_extent()
    assert legend.y0 >= display.ax_.get_window_extent().y1


# --- loss curves ---------------------------------------------------------------------------------


def test_losses_of_several_tasks(pyplot):
    pandas = pytest.importorskip("pandas")
    X, Y = wide()
    Y = pandas.DataFrame(Y, columns=["kind", "first", "last"])
    clf = MultiTaskClassifier(**QUICK, early_stopping=True)
    model = make_pipeline(StandardScaler(), clf).fit(X, Y)
    display, clf = LossCurveDisplay.from_estimator(model), model[-1]
    objective, *tasks, validation = display.lines_
    epochs = np.arange(1, clf.n_iter_ + 1)
    for line in display.lines_:
        np.testing.assert_array_equal(line.get_xdata(), epochs)
    np.testing.assert_array_equal(objective.get_ydata(), clf.loss_curve_)
    np.testing.assert_array_equal([t.get_ydata() for t in tasks], clf.task_loss_curves_.T)
    np.testing.assert_array_equal(validation.get_ydata(), clf.validation_scores_)
    assert validation.axes is display.validation_ax_
    assert legend_of(display.ax_) == ["objective", "kind", "first", "last", "validation (right)"]
    assert display.ax_.get_xlabel() == "epoch"
    assert display.ax_.get_ylabel() == "log loss (nats)"
    assert display.validation_ax_.get_ylabel() == "accuracy on validation rows"
    check_legend_beside_data(display)
    assert display.ax_.get_yscale() == "linear"
    assert display.plot(log_loss_axis=True).ax_.get_yscale() == "log"


@pytest.mark.parametrize("least, scale", [(0.9, "log"), (1.1, "linear"), (0.0, "linear")])
def test_losses_that_span_a_decade_have_a_logarithmic_axis(pyplot, least, scale):
    display = LossCurveDisplay([10, 5], [[least, 2], [least, 2]]).plot()
    assert display.ax_.get_yscale() == scale
    assert display.plot(log_loss_axis=False).ax_.get_yscale() == "linear"


def test_losses_of_a_transfer(pyplot):
    X, y = blobs()
    clf = TransferClassifier(**QUICK, loss="hinge").fit(X, y, **source_of())
    display = LossCurveDisplay.from_estimator(clf)
    assert legend_of(display.ax_) == ["objective", "target", "source"]
    np.testing.assert_array_equal(display.lines_[2].get_ydata(), clf.task_loss_curves_[:, 1])
    assert display.validation_ax_ is None
    assert display.ax_.get_ylabel() == "MulticlassHinge"
    two = {name: 2 * data for name, data in source_of().items()}
    clf.set_params(strategy="source_only").fit(X, y, **two)
    assert legend_of(LossCurveDisplay.from_estimator(clf).ax_) == [
        "objective", "source 0", "source 1",
    ]  # fmt: skip


def test_losses_of_two_stages(pyplot):
    X, y = blobs()
    clf = TransferClassifier(**QUICK, strategy="finetune").fit(X, y, **source_of())
    display = LossCurveDisplay.from_estimator(clf)
    second, first = display.lines_
    np.testing.assert_array_equal(first.get_ydata(), clf.pretrain_loss_curve_)
    n = len(clf.pretrain_loss_curve_)
    np.testing.assert_array_equal(first.get_xdata(), np.arange(1, n + 1))
    np.testing.assert_array_equal(second.get_xdata(), np.arange(n + 1, n + clf.n_iter_ + 1))
    assert legend_of(display.ax_) == ["objective", "objective, pretraining"]


def test_losses_of_many_tasks_share_a_colour(pyplot):
    curves = np.random.default_rng(0).random((12, 9))
    display = LossCurveDisplay(curves.sum(axis=1), curves).plot()
    assert legend_of(display.ax_) == ["objective", "each of the 9 tasks"]
    assert len({line.get_color() for line in display.lines_[1:]}) == 1
    np.testing.assert_array_equal([t.get_ydata() for t in display.lines_[1:]], curves.T)
    named = LossCurveDisplay(curves.sum(axis=1), curves).plot(max_tasks=9)
    assert legend_of(named.ax_)[1:] == [f"task {t}" for t in range(9)]


# --- learning curves -----------------------------------------------------------------------------


@pytest.fixture
def ladder():
    rng = np.random.default_rng(0)
    rungs = ["source_only", "target_only", "pooled", "finetune", "joint"]
    report = made_of_ladder({r: rng.random((3, 4)) for r in rungs}, n_labels=("all", 1, 3))
    report.n_train = np.array([40.0, 3.0, 9.0])
    return report


@pytest.mark.parametrize("band", ["se", "sd"])
def test_learning_curves_draw_the_report(pyplot, ladder, band):
    display = LearningCurveDisplay.from_report(ladder, band=band)
    assert list(display.lines_) == ladder.rungs == legend_of(display.ax_)
    for rung, line in display.lines_.items():
        rows = [row for row in ladder.rows if row["rung"] == rung]
        rows = [rows[1], rows[2], rows[0]]  # by number of labels
        np.testing.assert_allclose(line.get_xdata(), [1, 3, 40 / 3])
        np.testing.assert_array_equal(line.get_ydata(), [row["score"] for row in rows])
        edges = display.bands_[rung].get_paths()[0].vertices[:, 1]
        for row in rows:
            assert np.isclose(edges, row["score"] - row[band]).any()
            assert np.isclose(edges, row["score"] + row[band]).any()
    assert len({line.get_color() for line in display.lines_.values()}) == 5
    ax = display.ax_
    assert [label.get_text() for label in ax.get_xticklabels()] == ["1", "3", "all"]
    assert ax.get_xlabel() == "target labels per class"
    assert ax.get_ylabel().startswith("accuracy on the target\nmean ± standard")
    assert ax.get_xscale() == "log"
    other = LearningCurveDisplay([1], {"joint": [0.5], "mine": [0.6]}).plot()
    assert other.lines_["joint"].get_color() == display.lines_["joint"].get_color()
    assert other.bands_ == {}
    assert display.plot(log_scale=False).ax_.get_xscale() == "linear"
    check_legend_beside_data(display)


def test_learning_curves_know_two_bands(ladder):
    with pytest.raises(ValueError, match="band must be 'se' or 'sd', got 'std'"):
        LearningCurveDisplay.from_report(ladder, band="std")


def test_displays_draw_where_they_are_told(pyplot, ladder):
    figure, axes = pyplot.subplots(2, 2)
    displays = [
        LearningCurveDisplay.from_report(ladder, axes[0, 0]),
        LossCurveDisplay([2.0, 1.0]).plot(axes[0, 1]),
        TaskAffinityDisplay(np.eye(2)).plot(axes[1, 0]),
        LambdaMuDisplay([1, 10], [0.1], [[0.5], [0.6]]).plot(axes[1, 1]),
    ]
    assert [display.ax_ for display in displays] == list(axes.flat)
    assert all(display.figure_ is figure for display in displays)


# --- affinities ----------------------------------------------------------------------------------


def test_affinities_of_an_estimator(pyplot):
    X, Y = wide()
    clf = MultiTaskClassifier(**QUICK, record_affinity=True).fit(X, Y)
    display = TaskAffinityDisplay.from_estimator(clf)
    np.testing.assert_array_equal(display.im_.get_array(), clf.task_affinity_)
    assert (display.ax_.get_xlabel(), display.ax_.get_ylabel()) == ("task", "task")
    between = np.abs(clf.task_affinity_[~np.eye(3, dtype=bool)]).max()
    assert between <= display.im_.get_clim()[1] < between + 0.1
    assert display.colorbar_.extend == "max"  # for a task with itself
    assert display.plot(vmax=1).im_.get_clim() == (-1, 1)
    assert display.colorbar_.extend == "neither"
    written = [text.get_text() for text in display.ax_.texts]
    assert written == [f"{value:.2f}" for value in clf.task_affinity_.ravel()]
    assert display.colorbar_.ax.get_ylabel() == "mean cosine of the tasks' gradients"
    X, y = blobs()
    clf = TransferClassifier(**QUICK, record_affinity=True).fit(X, y, **source_of())
    ax = TaskAffinityDisplay.from_estimator(clf).ax_
    assert [label.get_text() for label in ax.get_xticklabels()] == ["target", "source"]


def test_affinities_of_a_report(pyplot):
    affinity = np.array([[1, np.nan, 0.2], [np.nan, 1, -0.3], [0.2, -0.3, 1]])
    base = np.full((3, 2), 0.5)
    report = made_of_tasks({"none": base}, ["a", "b", "c"], task_affinity=affinity)
    display = TaskAffinityDisplay.from_report(report)
    assert [label.get_text() for label in display.ax_.get_yticklabels()] == ["a", "b", "c"]
    hatched = [patch.get_xy() for patch in display.ax_.patches if patch.get_hatch()]
    assert sorted(hatched) == [(-0.5, 0.5), (0.5, -0.5)]
    assert len(display.ax_.texts) == 7
    report = made_of_tasks({"none": base}, ["a", "b", "c"], notes=["no affinity: for a reason"])
    with pytest.raises(ValueError, match="no affinities: no affinity: for a reason"):
        TaskAffinityDisplay.from_report(report)


def test_affinities_of_many_tasks_are_not_written(pyplot):
    display = TaskAffinityDisplay(np.eye(90)).plot()
    assert not display.ax_.texts
    assert len(display.ax_.get_xticklabels()) == 30
    assert len(TaskAffinityDisplay(np.eye(13)).plot(include_values=True).ax_.texts) == 169


# --- lambda and mu -------------------------------------------------------------------------------


class Search(BaseEstimator):
    """What a search over lambda and mu leaves behind."""

    def fit(self, X, y):
        self.lams_, self.mus_ = np.array([0.1, 1.0, 10.0]), np.array([0.01, 0.1])
        self.path_scores_ = np.array([[0.7, 0.8], [0.75, 0.9], [0.85, np.nan]])
        self.end_scores_ = {"source_only": 0.6, "target_only": 0.65, "pooled": 0.72}
        self.best_params_ = {"transferclassifier__lam": 1.0, "transferclassifier__mu": 0.1}
        self.scorer_name_ = "balanced accuracy"
        return self


def test_a_search_over_lambda_and_mu(pyplot):
    search = Search().fit(None, None)
    display = LambdaMuDisplay.from_estimator(search)
    ax = display.ax_
    values = display.cells_.get_array()
    np.testing.assert_array_equal(values, [0.7, 0.8, 0.75, 0.9, 0.85, 0.6, 0.65])
    corners = [path.get_extents() for path in display.cells_.get_paths()]
    inner = [(box.x0, box.x1, box.y0, box.y1) for box in corners[:5]]
    assert inner[0] == (-0.5, 0.5, -0.5, 0.5)
    assert inner[3] == (0.5, 1.5, 0.5, 1.5)  # a decade is a column
    source, target = corners[5:]
    assert source.x1 < -0.5 < 2.5 < target.x0
    assert (source.y0, source.y1) == (target.y0, target.y1) == (-0.5, 1.5)
    assert display.frame_.get_x() == pytest.approx(0.54)
    assert display.frame_.get_y() == pytest.approx(0.54)
    (hatched,) = [patch for patch in ax.patches if patch.get_hatch()]
    assert hatched.get_xy() == (1.5, 0.5)
    assert [text.get_text() for text in ax.texts] == [f"{value:.3f}" for value in values]
    assert sorted(label.get_text() for label in ax.get_xticklabels()) == [
        "0\nsource only", "0.1", "1", "10", "∞\ntarget only",
    ]  # fmt: skip
    assert [label.get_text() for label in ax.get_yticklabels()] == ["0.01", "0.1"]
    assert ax.get_xlabel() == "λ, weight of the target's loss"
    assert ax.get_ylabel() == "μ, strength of the penalty on the map"
    assert display.colorbar_.ax.get_ylabel() == "balanced accuracy"
    assert legend_of(ax) == [
        "best: λ = 1, μ = 0.1",
        "source_only 0.600",
        "target_only 0.650",
        "pooled 0.720",
        "no score",
    ]
    check_legend_beside_data(display)


@pytest.mark.parametrize("best, is_framed", [("target_only", True), ("pooled", False)])
def test_an_end_that_is_the_best(pyplot, best, is_framed):
    search = Search().fit(None, None)
    search.best_params_ = {"strategy": best, "alpha": 0.1}
    display = LambdaMuDisplay.from_estimator(search)
    labels = {"target_only": "target_only 0.650", "pooled": "pooled 0.720"}
    labels[best] = f"best: {labels[best]}"
    assert legend_of(display.ax_) == ["source_only 0.600", *labels.values(), "no score"]
    (marked,) = [line for line in display.colorbar_.ax.lines if "best" in line.get_label()]
    assert marked.get_markeredgecolor() != "black"
    assert (display.frame_ is not None) == is_framed
    if is_framed:
        assert display.frame_.get_x() > 2.5


def test_a_search_over_something_else(pyplot):
    search = MultiTaskClassifierCV(MultiTaskClassifier(**QUICK), lams=[0.1], cv=2)
    with pytest.raises(NotFittedError):
        LambdaMuDisplay.from_estimator(search)
    with pytest.raises(TypeError, match="MultiTaskClassifierCV has no mus_"):
        LambdaMuDisplay.from_estimator(search.fit(*wide()))
    without_source = TransferClassifierCV(TransferClassifier(**QUICK)).fit(*blobs())
    with pytest.raises(TypeError, match="TransferClassifierCV has no path_scores_"):
        LambdaMuDisplay.from_estimator(without_source)


def test_values_in_any_order(pyplot):
    up = LambdaMuDisplay([0.1, 1, np.inf], [0, 1], [[1, 2], [3, 4], [5, 6]]).plot()
    down = LambdaMuDisplay([np.inf, 1, 0.1], [1, 0], [[6, 5], [4, 3], [2, 1]]).plot()
    drawn = [
        {
            score: path.get_extents().bounds
            for score, path in zip(display.cells_.get_array(), display.cells_.get_paths())
        }
        for display in (up, down)
    ]
    assert drawn[0] == drawn[1]


def test_ends_within_the_grid(pyplot):
    lams, mus = [0, 0.1, 1, np.inf], [0, 1]
    scores = np.arange(8.0).reshape(4, 2)
    display = LambdaMuDisplay(
        lams, mus, scores, std=scores / 10, ends={"source_only": 0.5}, best=(np.inf, None)
    ).plot()
    np.testing.assert_array_equal(display.cells_.get_array(), np.arange(8))  # no strip besides
    assert display.ax_.texts[3].get_text() == "3.000\n± 0.300"
    assert display.colorbar_.ax.get_ylabel() == "score, ± sd over folds"
    box, column = display.frame_.get_bbox(), display.cells_.get_paths()[6].get_extents()
    assert column.x0 < box.x0 < box.x1 < column.x1
    assert box.height > 2  # all of the column
    assert legend_of(display.ax_) == ["best: λ = ∞", "source_only 0.500"]


def test_the_ends_alone(pyplot):
    """Where lambda is 0 or infinity alone, with an end that has no score."""
    ends = {"pooled": 0.7, "finetune": np.nan}
    display = LambdaMuDisplay([0, np.inf], [1], [[0.5], [0.6]], ends=ends)
    display.plot(include_values=False)
    boxes = [path.get_extents() for path in display.cells_.get_paths()]
    assert boxes[0].x1 < boxes[1].x0
    assert not display.ax_.texts
    assert display.frame_ is None
    assert legend_of(display.ax_) == ["pooled 0.700"]


def test_steps_of_less_than_a_decade_are_linear(pyplot):
    display = LambdaMuDisplay([1, 2, 4], [0.1], [[1], [2], [3]], ends={"a": 0.0}).plot(vmin=1.5)
    middles = [path.get_extents() for path in display.cells_.get_paths()]
    assert [(box.x0, box.x1) for box in middles] == [(-0.5, 0.5), (0.5, 2.0), (2.0, 3.5)]
    assert display.cells_.get_clim() == (1.5, 3)
    assert display.colorbar_.extend == "min"


@pytest.mark.parametrize(
    "arguments, message",
    [
        (([1, 2], [1], [[1, 2]]), r"scores must have the shape .* \(2, 1\), got \(1, 2\)"),
        (([2, 2], [1], [[1], [2]]), r"lams must be numbers >= 0, each once; got \[2.0, 2.0\]"),
        (([1], [-1], [[1]]), r"mus must be numbers >= 0, each once; got \[-1.0\]"),
        (([1], [1], [[np.nan]]), "nothing but NaN"),
    ],
)
def test_grids_that_cannot_be_drawn(pyplot, arguments, message):
    with pytest.raises(ValueError, match=message):
        LambdaMuDisplay(*arguments).plot()
    with pytest.raises(ValueError, match=r"best=\(3, 1\) is no point of lams and mus"):
        LambdaMuDisplay([1], [1], [[1]], best=(3, 1)).plot()
    with pytest.raises(ValueError, match=r"best='joint' is none of ends=\['pooled'\]"):
        LambdaMuDisplay([1], [1], [[1]], ends={"pooled": 1}, best="joint").plot()


@pytest.mark.parametrize("vmax", [0, -1, np.inf, "all", None])
def test_colours_that_cannot_be(pyplot, vmax):
    with pytest.raises(ValueError, match="vmax must be a number above 0"):
        TaskAffinityDisplay([[1, 0.5], [0.5, 1]]).plot(vmax=vmax)


# --- what displays need --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "display, estimator",
    [
        (LossCurveDisplay, MultiTaskClassifier()),
        (TaskAffinityDisplay, TransferClassifier()),
        (LambdaMuDisplay, Search()),
    ],
)
def test_estimators_must_be_fitted(display, estimator):
    with pytest.raises(NotFittedError):
        display.from_estimator(estimator)


def test_affinities_must_have_been_recorded():
    clf = MultiTaskClassifier(**QUICK).fit(*wide())
    with pytest.raises(ValueError, match="set record_affinity=True"):
        TaskAffinityDisplay.from_estimator(clf)


@pytest.mark.parametrize(
    "display",
    [
        LossCurveDisplay([1.0]),
        LearningCurveDisplay([1], {"target_only": [0.5]}),
        TaskAffinityDisplay(np.eye(2)),
        LambdaMuDisplay([1], [1], [[0.5]]),
    ],
    ids=lambda display: type(display).__name__,
)
def test_without_matplotlib(display, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    name = type(display).__name__
    message = rf"{name}\.plot needs the package matplotlib: pip install skmtl\[report\]"
    with pytest.raises(ImportError, match=message):
        display.plot()


def test_import_needs_none_of_what_draws_or_compiles():
    code = (
        "import sys\n"
        "sys.modules.update(dict.fromkeys(['matplotlib', 'pandas', 'numba', 'llvmlite']))\n"
        "import skmtl.report"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
