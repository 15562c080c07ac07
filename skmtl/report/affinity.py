"""TaskAffinityDisplay: which tasks pull the same way, and which are in conflict."""

from numbers import Real

import numpy as np
from sklearn.utils.validation import check_is_fitted

from skmtl.report.steps import final_step, task_names_of
from skmtl.report.style import axes_of, without_value, write_on

MAX_VALUES = 12  # tasks; more, and the numbers are too small to read
MAX_NAMES = 40
EXTEND = {(0, 0): "neither", (1, 0): "min", (0, 1): "max", (1, 1): "both"}  # beyond the colours


class TaskAffinityDisplay:
    """Mean cosine between the tasks' gradients, as a heat map.

    Parameters
    ----------
    affinity : array-like of shape (n_tasks, n_tasks)
        From -1 (conflict) to 1 (the same way); NaN where two tasks never met.
    task_names : list, default=None
        Names of the tasks; None numbers them.

    Attributes
    ----------
    ax_ : matplotlib Axes
        With the heat map.
    figure_ : matplotlib Figure
        The figure of the axes.
    im_ : matplotlib AxesImage
        The heat map.
    colorbar_ : matplotlib Colorbar
        Its colours.

    See Also
    --------
    TaskAffinityDisplay.from_estimator : Reads a fitted estimator.
    TaskAffinityDisplay.from_report : Reads a MultiTaskReport.

    Examples
    --------
    >>> from skmtl.report import TaskAffinityDisplay
    >>> display = TaskAffinityDisplay([[1, -0.2], [-0.2, 1]], ["a", "b"]).plot()
    >>> display.im_.get_clim()
    (-0.2, 0.2)
    """

    def __init__(self, affinity, task_names=None):
        self.affinity = affinity
        self.task_names = task_names

    @classmethod
    def from_estimator(cls, estimator, ax=None, **kwargs):
        """Draw the affinities of a fitted estimator.

        Parameters
        ----------
        estimator : MultiTaskClassifier, TransferClassifier or Pipeline
            Fitted with ``record_affinity=True``, or with a weighting that works on gradients; of a
            pipeline the last step.
        ax : matplotlib Axes, default=None
            Where to; None makes a figure.
        **kwargs : dict
            Passed to :meth:`plot`.

        Returns
        -------
        TaskAffinityDisplay
            With the picture.

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        ValueError
            If it was fitted without affinities.
        ImportError
            If matplotlib is not installed.
        """
        last = final_step(estimator)
        check_is_fitted(last, "task_affinity_")
        if last.task_affinity_ is None:
            raise ValueError(
                f"{type(last).__name__} was fitted without affinities: set record_affinity=True"
            )
        return cls(last.task_affinity_, task_names_of(last)).plot(ax, **kwargs)

    @classmethod
    def from_report(cls, report, ax=None, **kwargs):
        """Draw the affinities of a report.

        Parameters
        ----------
        report : MultiTaskReport
            What :func:`multitask_report` gives.
        ax : matplotlib Axes, default=None
            Where to; None makes a figure.
        **kwargs : dict
            Passed to :meth:`plot`.

        Returns
        -------
        TaskAffinityDisplay
            With the picture.

        Raises
        ------
        ValueError
            If the report has no affinities.
        ImportError
            If matplotlib is not installed.
        """
        if report.task_affinity is None:
            raise ValueError("the report has no affinities: " + "; ".join(report.notes))
        return cls(report.task_affinity, report.task_names).plot(ax, **kwargs)

    def plot(self, ax=None, *, cmap="PuOr", include_values=None, vmax="auto"):
        """Draw it.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to; None makes a figure.
        cmap : str or Colormap, default="PuOr"
            A diverging map; its middle is 0.
        include_values : bool, default=None
            Whether to write the numbers; None does with up to 12 tasks.
        vmax : float or "auto", default="auto"
            The colours go from -vmax to vmax; "auto" is the largest of two different tasks, in
            steps of 0.1: a task's 1 with itself would make all others look alike.

        Returns
        -------
        TaskAffinityDisplay
            Itself, with the picture in ``ax_`` and ``figure_``.

        Raises
        ------
        ValueError
            If vmax is neither a number above 0 nor "auto".
        ImportError
            If matplotlib is not installed.
        """
        values = np.asarray(self.affinity, float)
        n_tasks = len(values)
        vmax = _largest_of_two(values) if isinstance(vmax, str) and vmax == "auto" else vmax
        if not (isinstance(vmax, Real) and 0 < vmax < np.inf):
            raise ValueError(f'vmax must be a number above 0, or "auto"; got {vmax!r}')
        side = np.clip(1.8 + 0.55 * n_tasks, 4, 8)
        self.ax_ = ax = axes_of(ax, self, (side + 1.2, side), "compressed")
        self.figure_ = ax.figure
        for i, j in np.argwhere(np.isnan(values)):
            ax.add_patch(without_value(j - 0.5, i - 0.5, 1, 1))
        self.im_ = ax.imshow(values, cmap=cmap, vmin=-vmax, vmax=vmax)
        if include_values or (include_values is None and n_tasks <= MAX_VALUES):
            size = 9 if n_tasks <= 8 else 7.5
            for (i, j), value in np.ndenumerate(values):
                if not np.isnan(value):
                    write_on(ax, self.im_, j, i, value, f"{value:.2f}", size)
        names = range(n_tasks) if self.task_names is None else self.task_names
        step = -(-n_tasks // MAX_NAMES)
        ticks, names = range(0, n_tasks, step), [str(name) for name in names][::step]
        ax.set_xticks(ticks, names)
        if max(map(len, names)) > 4 or n_tasks > 20:
            ax.tick_params(axis="x", rotation=90)
        ax.set_yticks(ticks, names)
        if n_tasks > 20:
            ax.tick_params(labelsize=7)
        ax.set(xlabel="task", ylabel="task")
        ax.tick_params(length=0)
        ax.spines[:].set_visible(False)
        extend = EXTEND[bool((values < -vmax).any()), bool((values > vmax).any())]
        self.colorbar_ = self.figure_.colorbar(
            self.im_, ax=ax, fraction=0.046, pad=0.03, extend=extend
        )
        self.colorbar_.outline.set_visible(False)
        self.colorbar_.set_label("mean cosine of the tasks' gradients")
        return self


def _largest_of_two(values):
    """The largest affinity of two different tasks, either way, rounded up to 0.1; at least that."""
    of_two = np.abs(values[~np.eye(len(values), dtype=bool)])
    most = np.max(of_two, initial=0, where=~np.isnan(of_two))
    return float(np.clip(np.ceil(10 * most - 1e-9) / 10, 0.1, 1))
