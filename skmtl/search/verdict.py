"""Does sharing help? The gain of the best candidate over a reference, from paired folds."""

from typing import NamedTuple

import numpy as np


class Gain(NamedTuple):
    """A difference of scores, paired over folds.

    Attributes
    ----------
    mean : float
    std_error : float
        Infinite where a single fold leaves nothing to estimate it from.
    by_fold : ndarray of shape (n_folds,)
    """

    mean: float
    std_error: float
    by_fold: np.ndarray

    @property
    def is_beyond_error(self):
        """Whether the mean is larger than its standard error."""
        return bool(self.mean > self.std_error)

    def __str__(self):
        return f"{self.mean:+.4f} (standard error {self.std_error:.4f})"


class Folds(NamedTuple):
    """What the statistics must know of the folds.

    Attributes
    ----------
    test_share : float
        Test rows for each training row, on average.
    part : float
        Test rows of a fold for each row that any fold tests, on average: 1 / K of K folds.
    apart : ndarray of shape (n_folds, n_folds), bool
        Whether two folds have no test row in common; for each fold there is one at least.
    repeats : list of int
        Which repeat of the cross-validation each fold is of, from 0 on: within one, no row is
        tested twice.
    """

    test_share: float
    part: float
    apart: np.ndarray
    repeats: list


def describe_folds(splits, n_rows):
    """Sizes, overlaps and repeats of the folds.

    Parameters
    ----------
    splits : list of (train, test)
        Row numbers, or masks.
    n_rows : int

    Returns
    -------
    Folds
    """
    tested = np.zeros((len(splits), n_rows), bool)
    for row, (_, test) in zip(tested, splits):
        row[test] = True
    apart = ~(tested.astype(float) @ tested.T > 0)
    lonely = ~apart.any(axis=1)  # as with random splits: any other fold will do
    apart[lonely] = True
    np.fill_diagonal(apart, False)
    n_train, n_test = [np.arange(n_rows)[train].size for train, _ in splits], tested.sum(axis=1)
    return Folds(
        test_share=float(np.mean(n_test / n_train)),
        part=float(n_test.mean() / tested.any(axis=0).sum()),
        apart=apart,
        repeats=_repeats_of(tested),
    )


def _repeats_of(tested):
    """Number the repeats, from which rows each fold tests."""
    repeats, repeat, so_far = [], 0, np.zeros_like(tested[0])
    for rows in tested:
        again = (so_far & rows).any()
        so_far, repeat = (rows, repeat + 1) if again else (so_far | rows, repeat)
        repeats.append(repeat)
    return repeats


def paired(differences, folds):
    """Mean and standard error of differences over folds.

    The training sets of folds overlap, so that their scores vary less than those of independent
    data sets would. With J folds, the variance of the mean is taken as
    ``(1 / J + n_test / n_train)`` times that of one difference [1]_.

    Parameters
    ----------
    differences : ndarray of shape (n_folds,)
    folds : Folds

    Returns
    -------
    Gain

    References
    ----------
    .. [1] Nadeau and Bengio (2003). Inference for the generalization error. Machine Learning 52,
       section 3.
    """
    error = _error(differences, 1 / len(differences) + folds.test_share)
    return Gain(float(differences.mean()), error, differences)


def _error(differences, factor):
    """Standard error whose square is so many times the variance of one difference."""
    if len(differences) < 2:
        return np.inf
    return float(np.sqrt(differences.var(ddof=1) * factor))


def error_over_rows(differences, folds):
    """Standard error of the mean of differences over folds, for which each row counts once.

    A mean over folds is one over the rows that they test, however often. With K folds its variance
    is taken as ``1 / K`` times that of one difference, which is asymptotically right where
    predictions hang on no single training row [1]_; repeats of the folds make it no smaller. That
    of Nadeau and Bengio, for which training sets overlap besides, is larger than what means of
    independent data sets spread by (``python -m benchmarks.standard_errors``).

    Parameters
    ----------
    differences : ndarray of shape (n_folds,)
    folds : Folds

    Returns
    -------
    float
        Infinite where a single fold leaves nothing to estimate it from.

    References
    ----------
    .. [1] Bayle, Bayle, Janson and Mackey (2020). Cross-validation confidence intervals for test
       error. NeurIPS 33.
    """
    return _error(differences, folds.part)


def select_by_others(scores, folds):
    """Scores of the best candidate, where each fold's was chosen by the other folds.

    The best of many candidates is best partly by luck, and its mean score tells too much. A
    candidate that was chosen without the fold it is scored on has no such luck.

    Parameters
    ----------
    scores : ndarray of shape (n_candidates, n_folds)
    folds : Folds

    Returns
    -------
    ndarray of shape (n_folds,)
    """
    n_folds = scores.shape[1]
    if n_folds == 1:
        return scores.max(axis=0)
    by_others = scores @ folds.apart.T.astype(float) / folds.apart.sum(axis=1)
    return scores[by_others.argmax(axis=0), np.arange(n_folds)]


def gain_of_sharing(sharing, reference, folds):
    """What sharing adds to the reference.

    Parameters
    ----------
    sharing, reference : ndarray of shape (n_candidates, n_folds)
        Scores of the candidates that share, and of those that do not, on the same folds.
    folds : Folds

    Returns
    -------
    Gain
        Of the best against the best, both chosen by the other folds.
    """
    return paired(select_by_others(sharing, folds) - select_by_others(reference, folds), folds)


def verdict(sharing, reference, folds):
    """Whether sharing helps, hurts, or makes no difference.

    Parameters
    ----------
    sharing, reference : ndarray of shape (n_candidates, n_folds)
    folds : Folds

    Returns
    -------
    {"helps", "hurts", "no difference"}
        "helps": the gain is larger than its standard error. "hurts": every candidate that shares
        is below the best reference by more than :func:`error_over_rows` of that difference. It
        changes nothing in what is refitted, and need not be as sure as "helps", which does.
    """
    if gain_of_sharing(sharing, reference, folds).is_beyond_error:
        return "helps"
    best_reference = reference[reference.mean(axis=1).argmax()]
    losses = best_reference - sharing
    if all(loss.mean() > error_over_rows(loss, folds) for loss in losses):
        return "hurts"
    return "no difference"


def judge_ways(scores, ways, shares, folds):
    """Gain and verdict of each way to share by itself.

    Parameters
    ----------
    scores : ndarray of shape (n_candidates, n_folds)
    ways : list of str
        That of each candidate.
    shares : ndarray of shape (n_candidates,), bool
    folds : Folds

    Returns
    -------
    gains : dict of str to Gain
        What the way adds to the candidates that do not share.
    verdicts : dict of str to {"helps", "hurts", "no difference"}
    """
    gains, verdicts, ways = {}, {}, np.array(ways)
    for way in dict.fromkeys(ways[shares].tolist()):
        compared = scores[shares & (ways == way)], scores[~shares]
        gains[way] = gain_of_sharing(*compared, folds)
        verdicts[way] = verdict(*compared, folds)
    return gains, verdicts


def not_clearly_worse(scores, folds):
    """Which candidates are below the best one by no more than the error of that difference.

    Parameters
    ----------
    scores : ndarray of shape (n_candidates, n_folds)
    folds : Folds

    Returns
    -------
    ndarray of shape (n_candidates,), bool
    """
    best = np.nan_to_num(scores.mean(axis=1), nan=-np.inf).argmax()
    losses = [paired(scores[best] - candidate, folds) for candidate in scores]
    near = np.array([loss.mean <= loss.std_error for loss in losses])
    near[best] = True
    return near


def within_one_standard_error(scores):
    """Which candidates score as the best one does, up to the standard error of its mean.

    Parameters
    ----------
    scores : ndarray of shape (n_candidates, n_folds)

    Returns
    -------
    ndarray of shape (n_candidates,), bool

    References
    ----------
    .. [1] Breiman, Friedman, Olshen and Stone (1984). Classification and regression trees, 3.4.3.
    """
    means, n_folds = scores.mean(axis=1), scores.shape[1]
    best = means.argmax()
    std_error = scores[best].std(ddof=1) / np.sqrt(n_folds) if n_folds > 1 else 0.0
    return means >= means[best] - std_error
