"""LossCurveDisplay: the training of an estimator, epoch by epoch."""

import numpy as np
from sklearn.utils.validation import check_is_fitted

from skmtl.plugins.losses import LogLoss
from skmtl.report.steps import final_step, task_names_of
from skmtl.report.style import GREY, INK, OKABE_ITO, axes_of, import_extra, legend_above, tidy


class LossCurveDisplay:
    """Objective, losses of the tasks and validation score by epoch.

    Parameters
    ----------
    loss_curve : array-like of shape (n_epochs,)
        The objective.
    task_loss_curves : array-like of shape (n_epochs, n_tasks), default=None
        The loss of each task.
    validation_scores : array-like of shape (n_epochs,), default=None
        Accuracy on validation rows; on an axis of its own, at the right.
    pretrain_loss_curve : array-like of shape (n_pretrain_epochs,), default=None
        The objective of a stage before, drawn in front.
    task_names : list, default=None
        Names of the tasks; None numbers them.
    loss_name : str, default="loss"
        What the losses are, with their unit.

    Attributes
    ----------
    ax_ : matplotlib Axes
        With the losses.
    validation_ax_ : matplotlib Axes or None
        With the validation scores.
    figure_ : matplotlib Figure
        The figure of both.
    lines_ : list of matplotlib Line2D
        Objective, tasks, stage before, validation, those that there are, in this order.

    See Also
    --------
    LossCurveDisplay.from_estimator : Reads a fitted estimator.

    Examples
    --------
    >>> from skmtl.report import LossCurveDisplay
    >>> display = LossCurveDisplay([1.0, 0.5, 0.3]).plot()
    >>> display.ax_.get_xlabel()
    'epoch'
    """

    def __init__(
        self,
        loss_curve,
        task_loss_curves=None,
        validation_scores=None,
        pretrain_loss_curve=None,
        task_names=None,
        loss_name="loss",
    ):
        self.loss_curve = loss_curve
        self.task_loss_curves = task_loss_curves
        self.validation_scores = validation_scores
        self.pretrain_loss_curve = pretrain_loss_curve
        self.task_names = task_names
        self.loss_name = loss_name

    @classmethod
    def from_estimator(cls, estimator, ax=None, **kwargs):
        """Draw the training of a fitted estimator.

        Parameters
        ----------
        estimator : MultiTaskClassifier, TransferClassifier or Pipeline
            Fitted; of a pipeline the last step.
        ax : matplotlib Axes, default=None
            Where to; None makes a figure.
        **kwargs : dict
            Passed to :meth:`plot`.

        Returns
        -------
        LossCurveDisplay
            With the picture.

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        ImportError
            If matplotlib is not installed.
        """
        last = final_step(estimator)
        check_is_fitted(last, "loss_curve_")
        return cls(
            last.loss_curve_,
            last.task_loss_curves_,
            last.validation_scores_,
            getattr(last, "pretrain_loss_curve_", None),
            task_names_of(last),
            _loss_name(last.loss_),
        ).plot(ax, **kwargs)

    def plot(self, ax=None, *, log_loss_axis=None, max_tasks=7):
        """Draw it.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to; None makes a figure.
        log_loss_axis : bool or None, default=None
            Whether the axis of losses is logarithmic; None where they are positive and span more
            than a decade, as a sum over many tasks and each of these do.
        max_tasks : int, default=7
            More tasks than that are thin lines of one colour, without names.

        Returns
        -------
        LossCurveDisplay
            Itself, with the picture in ``ax_`` and ``figure_``.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        """
        self.ax_ = ax = axes_of(ax, self, (7, 4.2))
        self.figure_, self.validation_ax_, self.lines_ = ax.figure, None, []
        before = 0 if self.pretrain_loss_curve is None else len(self.pretrain_loss_curve)
        epochs = before + 1 + np.arange(len(self.loss_curve))
        look = {"marker": "o", "markersize": 4} if len(epochs) < 10 else {}
        line = ax.plot(epochs, self.loss_curve, color=INK, linewidth=2, label="objective", **look)
        self.lines_ += line
        handles = list(line) + self._draw_tasks(epochs, max_tasks, look)
        if before:
            style = {"color": GREY, "linewidth": 2, "label": "objective, pretraining", **look}
            line = ax.plot(1 + np.arange(before), self.pretrain_loss_curve, **style)
            self.lines_ += line
            handles += line
            ax.axvline(before + 0.5, color=GREY, linewidth=1, linestyle=":")
        if self.validation_scores is not None:
            handles += self._draw_validation(before, look)
        tidy(ax)
        if log_loss_axis is None:
            low, high = ax.dataLim.intervaly
            log_loss_axis = 0 < 10 * low < high
        ax.set_yscale("log" if log_loss_axis else "linear")
        if log_loss_axis:
            ticker = import_extra("matplotlib.ticker", "LossCurveDisplay.plot")
            ax.yaxis.set_major_formatter("{x:g}")
            ax.yaxis.set_minor_locator(ticker.LogLocator(subs=(2, 5)))
            ax.yaxis.set_minor_formatter("{x:g}")
        ax.set_xlabel("epoch")
        ax.set_ylabel(self.loss_name)
        ax.xaxis.get_major_locator().set_params(integer=True)
        legend_above(ax, handles)
        return self

    def _draw_tasks(self, epochs, max_tasks, look):
        """Lines of the tasks; gives those for the legend."""
        curves = self.task_loss_curves
        if curves is None or np.shape(curves)[1] < 2:
            return []  # a single task's loss is the objective but for the penalty
        curves = np.asarray(curves)
        n_tasks = curves.shape[1]
        if n_tasks > max_tasks:
            lines = self.ax_.plot(epochs, curves, color=OKABE_ITO[0], linewidth=0.7, alpha=0.5)
            lines[0].set_label(f"each of the {n_tasks} tasks")
            self.lines_ += lines
            return lines[:1]
        names = range(n_tasks) if self.task_names is None else self.task_names
        lines = []
        for t, name in enumerate(names):
            color = OKABE_ITO[t % len(OKABE_ITO)]
            label = f"task {name}" if isinstance(name, int) else str(name)
            lines += self.ax_.plot(epochs, curves[:, t], color=color, label=label, **look)
        self.lines_ += lines
        return lines

    def _draw_validation(self, before, look):
        """The validation scores, on an axis at the right."""
        self.validation_ax_ = right = self.ax_.twinx()
        epochs = before + 1 + np.arange(len(self.validation_scores))
        style = {"color": OKABE_ITO[3], "linestyle": "--", "label": "validation (right)", **look}
        line = right.plot(epochs, self.validation_scores, **style)
        right.set_ylabel("accuracy on validation rows")
        right.spines["top"].set_visible(False)
        self.lines_ += line
        return line


def _loss_name(loss):
    """What the losses are, from an estimator's ``loss_``; one for all tasks, or a list."""
    losses = loss if isinstance(loss, list) else [loss]
    names = {"log loss (nats)" if isinstance(o, LogLoss) else type(o).__name__ for o in losses}
    return names.pop() if len(names) == 1 else "loss"
