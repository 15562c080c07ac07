"""What a transfer amounts to: which task has which head, and what each term weighs."""

from typing import NamedTuple

import numpy as np

from skmtl.tasks import code_dtype, union_of_labels


class Part(NamedTuple):
    """A domain that takes part in a stage: its data, its task, and what these weigh.

    Attributes
    ----------
    source : int or None
        Number of the source; None for the target.
    X : {ndarray, CSR} of shape (n_samples, n_columns)
    codes : ndarray of shape (n_samples,)
        In the classes of the head, -1 where missing; numbers for regression, NaN where missing.
    weight : ndarray of shape (n_samples,)
        Of the labels, 0 where missing.
    head : int
        In ``Heads.classes``.
    coefficient, map_strength : float
    """

    source: int | None
    X: object
    codes: np.ndarray
    weight: np.ndarray
    head: int
    coefficient: float
    map_strength: float

    def only(self, rows):
        """The part with the labels of some rows alone."""
        weight = np.zeros_like(self.weight)
        weight[rows] = self.weight[rows]
        return self._replace(weight=weight)

    def without_rows(self):
        """What is left of the part when the engine has its rows."""
        return self._replace(X=None, codes=None, weight=None)


class Heads(NamedTuple):
    """The classes of each head, None for numbers; which head the target and each source have."""

    classes: list
    target: int
    sources: list

    def codes_in_head(self, codes, classes, head):
        """Translate codes of ``classes`` into codes of a head's classes; -1 and numbers stay."""
        if classes is None or np.array_equal(classes, self.classes[head]):
            return codes
        translation = np.append(np.searchsorted(self.classes[head], classes), -1)
        return translation.astype(code_dtype(len(self.classes[head])))[codes]


def assign_heads(target_classes, source_classes, share):
    """Give the target and each source a head.

    Parameters
    ----------
    target_classes : ndarray
    source_classes : list of ndarray
    share : bool or "auto"
        Whether they share one; "auto": those with the same labels.

    Returns
    -------
    Heads
        The target's head comes first.

    Raises
    ------
    ValueError
        If labels of different kinds are to share a head.
    """
    if share is True:
        try:
            union = union_of_labels([target_classes, *source_classes])
        except TypeError as error:
            raise ValueError(
                "share_head=True and strategy='pooled' need labels of one kind in source and "
                f"target. Got {target_classes[:3]!r} and {source_classes[0][:3]!r}."
            ) from error
        return Heads([union], 0, [0] * len(source_classes))
    heads, chosen = [target_classes], []
    for classes in source_classes:
        same = [h for h, known in enumerate(heads) if np.array_equal(known, classes)]
        if share == "auto" and same:
            chosen.append(same[0])
        else:
            heads.append(classes)
            chosen.append(len(heads) - 1)
    return Heads(heads, 0, chosen)


def assign_number_heads(n_sources, share):
    """Give the target and each source a head, all the same one or each its own.

    Parameters
    ----------
    n_sources : int
    share : bool

    Returns
    -------
    Heads
    """
    sources = [0] * n_sources if share else list(range(1, n_sources + 1))
    return Heads([None] * (1 + max(sources, default=0)), 0, sources)


class Coefficients(NamedTuple):
    """What the terms of the objective weigh: L_t, each L_s, each R(g)."""

    target: float
    sources: np.ndarray
    maps: np.ndarray


def coefficients(strategy, lam, mu, shares, totals):
    """Weigh the terms of the objective.

    Parameters
    ----------
    strategy : {"joint", "source_only", "target_only", "pooled"}
    lam, mu : float
    shares : ndarray of shape (n_sources,)
        Weight of each source in L_s; they sum to 1. Empty: there is no source.
    totals : tuple (float, ndarray of shape (n_sources,))
        Total weight of the labels of the target, and of each source; for "pooled".

    Returns
    -------
    Coefficients
    """
    if len(shares) == 0 or strategy == "target_only":
        lam = np.inf
    elif strategy == "source_only":
        lam = 0.0
    elif strategy == "pooled":
        target_total, source_totals = totals
        lam = target_total / source_totals.sum()
        shares = source_totals / source_totals.sum()
    source = 1 / (1 + lam)
    target = 1.0 if np.isinf(lam) else lam * source  # 1 - source would lose a small lambda
    return Coefficients(target, source * shares, mu * source * shares)


def source_shares(weighting, n_labels):
    """Weights of the sources in L_s, that sum to 1.

    Parameters
    ----------
    weighting : {"uniform", "n_samples"} or array-like
    n_labels : list of int
        Labels of each source.

    Returns
    -------
    ndarray of shape (n_sources,)

    Raises
    ------
    ValueError
        If an array does not hold a number >= 0 for each source.
    """
    if isinstance(weighting, str):
        weights = np.array(n_labels if weighting == "n_samples" else [1] * len(n_labels), float)
    else:
        weights = np.asarray(weighting, float)
        ok = weights.shape == (len(n_labels),) and (weights >= 0).all() and weights.sum() > 0
        if not ok or not np.isfinite(weights).all():
            raise ValueError(
                f"source_weighting must hold a number >= 0 for each of the {len(n_labels)} "
                f"sources, not all 0. Got {weighting!r} instead."
            )
    return weights / weights.sum() if len(weights) else weights
