"""LearningCurveDisplay: the ladder's scores by number of target labels."""

import numpy as np

from skmtl.report.ladder_report import BASELINE
from skmtl.report.style import GREY, INK, OKABE_ITO, axes_of, legend_above, tidy

# The ends of the ladder are without colour; each strategy looks the same in all pictures.
LOOKS = {
    BASELINE: (INK, "D"),
    "source_only": (GREY, ""),
    "finetune": (OKABE_ITO[0], "s"),
    "joint": (OKABE_ITO[1], "o"),
    "pooled": (OKABE_ITO[2], "^"),
}
OTHERS = list(zip(OKABE_ITO[3:], "vPX*"))


class LearningCurveDisplay:
    """Score by number of target labels per class, a line with a band for each rung.

    Parameters
    ----------
    n_labels : array-like of shape (n_sizes,)
        Labels per class, ascending.
    scores : dict of str to array-like of shape (n_sizes,)
        Mean score of each rung.
    errors : dict of str to array-like of shape (n_sizes,), default=None
        Half the width of each rung's band; NaN is no band.
    score_name : str, default="score"
        What the scores are.
    error_name : str, default="standard error"
        What the bands are.
    tick_labels : list of str, default=None
        What to write at ``n_labels``; None writes the numbers.

    Attributes
    ----------
    ax_ : matplotlib Axes
        With the picture.
    figure_ : matplotlib Figure
        The figure of the axes.
    lines_ : dict of str to matplotlib Line2D
        The line of each rung.
    bands_ : dict of str to matplotlib PolyCollection
        The band of each rung.

    See Also
    --------
    LearningCurveDisplay.from_report : Reads a TransferReport.

    Examples
    --------
    >>> from skmtl.report import LearningCurveDisplay
    >>> scores = {"target_only": [0.6, 0.8], "joint": [0.8, 0.85]}
    >>> display = LearningCurveDisplay([1, 3], scores).plot()
    >>> list(display.lines_)
    ['target_only', 'joint']
    """

    def __init__(
        self,
        n_labels,
        scores,
        errors=None,
        *,
        score_name="score",
        error_name="standard error",
        tick_labels=None,
    ):
        self.n_labels = n_labels
        self.scores = scores
        self.errors = errors
        self.score_name = score_name
        self.error_name = error_name
        self.tick_labels = tick_labels

    @classmethod
    def from_report(cls, report, ax=None, *, band="se", **kwargs):
        """Draw a report.

        Parameters
        ----------
        report : TransferReport
            What :func:`transfer_report` gives.
        ax : matplotlib Axes, default=None
            Where to; None makes a figure.
        band : {"se", "sd"}, default="se"
            What the bands are: the corrected standard error of the mean, or the standard deviation
            over splits.
        **kwargs : dict
            Passed to :meth:`plot`.

        Returns
        -------
        LearningCurveDisplay
            With the picture.

        Raises
        ------
        ValueError
            If `band` is neither.
        ImportError
            If matplotlib is not installed.

        Notes
        -----
        Bands of two rungs may overlap though one is clearly better: they are compared on the same
        splits, and ``report.rows`` has the standard error of the difference.
        """
        names = {"se": "standard error", "sd": "standard deviation over splits"}
        if band not in names:
            raise ValueError(f"band must be 'se' or 'sd', got {band!r}")
        at = [
            n / report.n_classes if k == "all" else k
            for k, n in zip(report.n_labels, report.n_train)
        ]
        order = np.argsort(at)
        by_rung = {
            rung: [row for row in report.rows if row["rung"] == rung] for rung in report.rungs
        }

        def column(name):
            return {
                rung: np.array([row[name] for row in rows])[order] for rung, rows in by_rung.items()
            }

        return cls(
            np.asarray(at, float)[order],
            column("score"),
            column(band),
            score_name=report.score_name,
            error_name=names[band],
            tick_labels=[str(report.n_labels[i]) for i in order],
        ).plot(ax, **kwargs)

    def plot(self, ax=None, *, log_scale=True):
        """Draw it.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to; None makes a figure.
        log_scale : bool, default=True
            Whether the axis of labels is logarithmic.

        Returns
        -------
        LearningCurveDisplay
            Itself, with the picture in ``ax_`` and ``figure_``.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        """
        self.ax_ = ax = axes_of(ax, self, (7, 4.6))
        self.figure_, self.lines_, self.bands_ = ax.figure, {}, {}
        looks = _looks(self.scores)
        for rung in self.scores:
            color, marker = looks[rung]
            mean = np.asarray(self.scores[rung])
            style = "--" if rung == "source_only" else "-"
            (line,) = ax.plot(
                self.n_labels, mean, style, color=color, marker=marker, linewidth=2,
                markersize=5.5, label=rung,
            )  # fmt: skip
            self.lines_[rung] = line
            if self.errors is not None:
                error = np.asarray(self.errors[rung])
                self.bands_[rung] = ax.fill_between(
                    self.n_labels, mean - error, mean + error, color=color, alpha=0.13, linewidth=0
                )
        tidy(ax)
        if log_scale:
            ax.set_xscale("log")
        names = self.tick_labels or [f"{n:g}" for n in self.n_labels]
        ax.set_xticks(self.n_labels, names)
        ax.minorticks_off()
        ax.set_xlabel("target labels per class")
        band = "" if self.errors is None else f"\nmean ± {self.error_name}"
        ax.set_ylabel(f"{self.score_name} on the target{band}")
        legend_above(ax, list(self.lines_.values()))
        return self


def _looks(rungs):
    """Colour and marker of each rung's line."""
    others = [rung for rung in rungs if rung not in LOOKS]
    return {**LOOKS, **{rung: OTHERS[n % len(OTHERS)] for n, rung in enumerate(others)}}
