"""LambdaMuDisplay: cross-validation scores over lambda and mu, from one end to the other."""

import numpy as np
from sklearn.utils.validation import check_is_fitted

from skmtl.report.style import axes_of, import_extra, legend_above, without_value, write_on

MAX_VALUES = 60  # cells; more, and the numbers are too small to read
GAP = 0.25  # between the grid and what is at its margins, in columns
MARK = "#D55E00"
ENDS = {"source_only": 0.0, "target_only": np.inf}


class LambdaMuDisplay:
    r"""Scores over :math:`\lambda` and :math:`\mu`, with the source alone and the target alone.

    The axes are logarithmic where values span a decade or more, else linear. The ends
    :math:`\lambda = 0` and :math:`\lambda = \infty` are strips at the margins, and so is
    :math:`\mu = 0`.

    Parameters
    ----------
    lams, mus : array-like
        Values of lambda and of mu, in any order; 0 and infinity may be among them.
    scores : array-like of shape (n_lams, n_mus)
        Mean scores; NaN where there is none.
    std : array-like of shape (n_lams, n_mus), default=None
        Their standard deviation over folds, written below the scores.
    score_name : str, default="score"
        What the scores are.
    ends : dict of str to float, default=None
        Mean scores of "source_only", "target_only", "pooled" and others. Those of the first two
        fill the strips at the margins; all are marked at the colours.
    best : tuple (lam, mu) or str, default=None
        The point to frame, or the name of an end; that is framed where it has a strip, and its
        mark is in the colour of the frame.

    Attributes
    ----------
    ax_ : matplotlib Axes
        With the heat map.
    figure_ : matplotlib Figure
        The figure of the axes.
    cells_ : matplotlib PatchCollection
        The scores row by row of ``scores``, then the strips at the margins; NaN are left out.
    frame_ : matplotlib Rectangle or None
        Round the best point.
    colorbar_ : matplotlib Colorbar
        The colours.

    See Also
    --------
    LambdaMuDisplay.from_estimator : Reads a search over lambda and mu.

    Examples
    --------
    >>> from skmtl.report import LambdaMuDisplay
    >>> scores = [[0.7, 0.8], [0.75, 0.9], [0.6, 0.7]]
    >>> display = LambdaMuDisplay([0.1, 1, 10], [0.01, 1], scores).plot()
    >>> len(display.cells_.get_array())
    6
    """

    def __init__(self, lams, mus, scores, std=None, *, score_name="score", ends=None, best=None):
        self.lams = lams
        self.mus = mus
        self.scores = scores
        self.std = std
        self.score_name = score_name
        self.ends = ends
        self.best = best

    @classmethod
    def from_estimator(cls, estimator, ax=None, **kwargs):
        """Draw a fitted search over lambda and mu.

        Parameters
        ----------
        estimator : estimator
            Fitted, with the attributes ``lams_``, ``mus_``, ``path_scores_`` of shape
            (n_lams, n_mus), ``end_scores_``, ``best_params_`` and ``scorer_name_``.
        ax : matplotlib Axes, default=None
            Where to; None makes a figure.
        **kwargs : dict
            Passed to :meth:`plot`.

        Returns
        -------
        LambdaMuDisplay
            With the picture.

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        TypeError
            If it searched over something else, or had nothing to compare.
        ImportError
            If matplotlib is not installed.
        """
        check_is_fitted(estimator)
        missing = [n for n in ("lams_", "mus_", "path_scores_") if not hasattr(estimator, n)]
        if missing:
            raise TypeError(
                "LambdaMuDisplay.from_estimator draws a search over lambda and mu, as of "
                "TransferClassifierCV or TransferRegressorCV with a source, and this "
                f"{type(estimator).__name__} has no {missing[0]}. Draw other scores with "
                "LambdaMuDisplay(lams, mus, scores).plot()."
            )
        best = {name.rpartition("__")[2]: v for name, v in estimator.best_params_.items()}
        point = (best["lam"], best.get("mu")) if "lam" in best else best.get("strategy")
        return cls(
            estimator.lams_,
            estimator.mus_,
            estimator.path_scores_,
            score_name=estimator.scorer_name_,
            ends=estimator.end_scores_,
            best=point,
        ).plot(ax, **kwargs)

    def plot(self, ax=None, *, cmap="cividis", include_values=None, vmin=None):
        """Draw it.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to; None makes a figure.
        cmap : str or Colormap, default="cividis"
            From low to high scores.
        include_values : bool, default=None
            Whether to write the numbers; None does with up to 60 cells.
        vmin : float, default=None
            The score of the lowest colour, and of all below; None is the lowest score. The source
            alone may be so far below that all others look alike.

        Returns
        -------
        LambdaMuDisplay
            Itself, with the picture in ``ax_`` and ``figure_``.

        Raises
        ------
        ValueError
            If the shapes of scores, lams and mus differ, if values are negative or there twice, or
            if there is no score.
        ImportError
            If matplotlib is not installed.
        """
        lams, mus = _check_values("lams", self.lams), _check_values("mus", self.mus)
        scores = _check_matrix("scores", self.scores, lams, mus)
        std = np.full(scores.shape, np.nan)
        if self.std is not None:
            std = _check_matrix("std", self.std, lams, mus)
        ends = dict(self.ends or {})
        best_end, point = self._best_of(ends)
        strips = {name: lam for name, lam in ENDS.items() if name in ends and lam not in lams}
        columns, rows = _places([*lams, *strips.values()]), _places(mus)
        figsize = np.clip(2.6 + 0.75 * len(columns), 5, 12), np.clip(2 + 0.6 * len(rows), 3.6, 9)
        self.ax_ = ax = axes_of(ax, self, figsize)
        self.figure_ = ax.figure

        bottom, top = min(low for low, _ in rows.values()), max(high for _, high in rows.values())
        cells = [
            ((lam, mu), (*columns[lam], *rows[mu]), scores[i, j], std[i, j])
            for i, lam in enumerate(lams)
            for j, mu in enumerate(mus)
        ]
        cells += [
            ((lam, None), (*columns[lam], bottom, top), ends[name], np.nan)
            for name, lam in strips.items()
        ]
        known = np.array([*(score for _, _, score, _ in cells), *ends.values()])
        known = known[~np.isnan(known)]
        if not known.size:
            raise ValueError("scores holds nothing but NaN: there is nothing to draw")
        low = known.min() if vmin is None else vmin
        self._draw_cells(cells, {"cmap": cmap, "clim": (low, max(known.max(), low))})
        if include_values or (include_values is None and len(cells) <= MAX_VALUES):
            self._write_values(cells)
        self._draw_frame(cells, point)
        handles = []
        if self.frame_ is not None and best_end is None:
            handles.append(self.frame_)
        self._label(columns, rows)
        extend = "min" if low > known.min() else "neither"
        self.colorbar_ = self.figure_.colorbar(
            self.cells_, ax=ax, fraction=0.05, pad=0.02, extend=extend
        )
        self.colorbar_.outline.set_visible(False)
        self.colorbar_.set_label(
            self.score_name + (", ± sd over folds" if self.std is not None else "")
        )
        handles += self._mark_ends(ends, low, best_end)
        if any(np.isnan(score) for _, _, score, _ in cells):
            handles.append(without_value(label="no score"))
        if handles:
            legend_above(ax, handles)
        return self

    def _draw_cells(self, cells, look):
        """A rectangle for each cell, coloured by its score; without one it is grey and hatched."""
        patches = import_extra("matplotlib.patches", "LambdaMuDisplay.plot")
        collections = import_extra("matplotlib.collections", "LambdaMuDisplay.plot")
        rectangles, values = [], []
        for _, (left, right, bottom, top), score, _ in cells:
            place = left, bottom, right - left, top - bottom
            if np.isnan(score):
                self.ax_.add_patch(without_value(*place))
            else:
                rectangles.append(patches.Rectangle(place[:2], *place[2:]))
                values.append(score)
        self.cells_ = collections.PatchCollection(
            rectangles, cmap=look["cmap"], edgecolor="white", linewidth=0.5
        )
        self.cells_.set_array(np.array(values))
        self.cells_.set_clim(*look["clim"])
        self.ax_.add_collection(self.cells_)

    def _write_values(self, cells):
        for _, (left, right, bottom, top), score, sd in cells:
            if not np.isnan(score):
                text = f"{score:.3f}" + ("" if np.isnan(sd) else f"\n± {sd:.3f}")
                x, y = (left + right) / 2, (bottom + top) / 2
                write_on(self.ax_, self.cells_, x, y, score, text, 9)

    def _best_of(self, ends):
        """What is best: the name of an end or None, and the point to frame or None."""
        if not isinstance(self.best, str):
            return None, self.best
        if self.best not in ends:
            raise ValueError(f"best={self.best!r} is none of ends={sorted(ends)}")
        return self.best, (ENDS[self.best], None) if self.best in ENDS else None

    def _draw_frame(self, cells, point):
        """Frame a point; leaves None in ``frame_`` where there is none."""
        self.frame_ = None
        if point is None:
            return
        patches = import_extra("matplotlib.patches", "LambdaMuDisplay.plot")
        lam, mu = point
        found = [
            (place, score)
            for (at_lam, at_mu), place, score, _ in cells
            if np.isclose(at_lam, lam) and (None in (at_mu, mu) or np.isclose(at_mu, mu))
        ]
        if not found:
            raise ValueError(f"best={self.best!r} is no point of lams and mus, nor an end")
        left, right, bottom, top = found[0][0]
        top = max(place[3] for place, _ in found)  # all of a column, where mu is None
        at = f"λ = {_number(lam)}" + ("" if mu is None else f", μ = {_number(mu)}")
        self.frame_ = patches.Rectangle(
            (left + 0.04, bottom + 0.04),
            right - left - 0.08,
            top - bottom - 0.08,
            fill=False,
            edgecolor=MARK,
            linewidth=3,
            label=f"best: {at}",
        )
        self.ax_.add_patch(self.frame_)

    def _label(self, columns, rows):
        """Ticks at the values, in the middle of their cells."""
        ax = self.ax_
        names = {0.0: "0\nsource only", np.inf: "∞\ntarget only"}
        for axis, places, special in [(ax.xaxis, columns, names), (ax.yaxis, rows, {})]:
            middles = [(low + high) / 2 for low, high in places.values()]
            axis.set_ticks(middles, [special.get(v, _number(v)) for v in places])
        edges = [np.array(list(places.values())) for places in (columns, rows)]
        ax.set_xlim(edges[0].min(), edges[0].max())
        ax.set_ylim(edges[1].min(), edges[1].max())
        ax.tick_params(length=0)
        ax.spines[:].set_visible(False)
        ax.set_xlabel("λ, weight of the target's loss")
        ax.set_ylabel("μ, strength of the penalty on the map")

    def _mark_ends(self, ends, low, best):
        """Marks of the ends at the colours; gives those for the legend."""
        handles = []
        for marker, (name, score) in zip("<>soDv^P", ends.items()):
            if np.isnan(score):
                continue
            look = {"markeredgecolor": "black", "markersize": 7, "zorder": 5}
            label = f"{name} {score:.3f}"
            if name == best:
                look = {"markeredgecolor": MARK, "markeredgewidth": 3, "markersize": 8, "zorder": 6}
                label = f"best: {label}"
            (handle,) = self.colorbar_.ax.plot(
                [0.5], [max(score, low)], marker, color="white", linestyle="", clip_on=False,
                label=label, **look,
            )  # fmt: skip
            handles.append(handle)
        return handles


def _check_values(name, values):
    values = np.asarray(values, float)
    once = values.ndim == 1 and 0 < values.size == np.unique(values).size
    if not once or not values.min() >= 0:
        raise ValueError(f"{name} must be numbers >= 0, each once; got {values.tolist()}")
    return values.tolist()


def _check_matrix(name, values, lams, mus):
    values = np.asarray(values, float)
    if values.shape != (len(lams), len(mus)):
        raise ValueError(
            f"{name} must have the shape (n_lams, n_mus) = {(len(lams), len(mus))}, got "
            f"{values.shape}"
        )
    return values


def _places(values):
    """Where each value lies, ascending: value to (low, high); the least step is 1 wide.

    0 and infinity lie at the margins, beyond a gap.
    """
    values = sorted(values)
    inner = np.array([v for v in values if 0 < v < np.inf])
    places = {}
    if inner.size:
        at = np.log10(inner) if inner[-1] >= 10 * inner[0] else inner
        at = (at - at[0]) / (np.diff(at).min() if len(at) > 1 else 1)
        middle = (at[1:] + at[:-1]) / 2
        edges = [-0.5, *middle, at[-1] + 0.5]
        places = dict(zip(inner.tolist(), zip(edges[:-1], edges[1:])))
    low, high = -0.5 - GAP, (at[-1] + 0.5 if inner.size else -0.5) + GAP
    if values[0] == 0:
        places = {0.0: (low - 1, low), **places}
    if values[-1] == np.inf:
        places[np.inf] = high, high + 1
    return places


def _number(value):
    return "∞" if value == np.inf else f"{value:.3g}"
