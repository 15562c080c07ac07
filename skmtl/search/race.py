"""Fits that run side by side, are paused, scored, and gone on with if they are worth it."""

from typing import NamedTuple

import numpy as np
from sklearn.base import clone
from sklearn.utils.parallel import Parallel, delayed

from skmtl.steps import PausableFit


class Candidate(NamedTuple):
    """A setting of the estimator.

    Attributes
    ----------
    params : dict
        What differs from the estimator that is searched over.
    shares : bool
        Whether it lets the tasks, or source and target, share anything.
    way : str
        How it does so, or why it does not: the strategy, or the sharing.
    in_common : dict
        Arguments of the estimator's ``_fitting`` that the fits on all folds have in common.
    path : hashable or None
        Candidates of one path start from one another's weights, in their order.
    """

    params: dict
    shares: bool
    way: str
    in_common: dict = {}
    path: object = None


class Split(NamedTuple):
    """A fold: what to fit on, and what to score on.

    Attributes
    ----------
    X, y : array-like
        Rows to fit on.
    fit_params : dict
        Goes to ``fit``.
    X_test, y_test : array-like
    seed : int
        Of all fits on the fold.
    """

    X: object
    y: object
    fit_params: dict
    X_test: object
    y_test: object
    seed: int


class RaceResult(NamedTuple):
    """How far each candidate came.

    Attributes
    ----------
    scores : ndarray of shape (n_candidates, n_folds)
        The last score of each.
    n_epochs : ndarray of shape (n_candidates, n_folds)
        Epochs run, of the last stage.
    finished : ndarray of shape (n_candidates,), bool
        Whether its fits ran to their ends.
    """

    scores: np.ndarray
    n_epochs: np.ndarray
    finished: np.ndarray


class Race:
    """Successive halving: all candidates run some epochs, the best go on, and so forth [1]_.

    A candidate is paused and continued, never fitted anew. Those that do not share are what the
    others are compared with: they run to the end, whatever they score.

    Parameters
    ----------
    estimator : estimator
        With ``_fitting``, see ``skmtl.steps``.
    candidates : list of Candidate
    splits : list of Split
    scorer : callable
        ``scorer(fitted, X, y)``.
    milestones : list of float
        When the candidates are compared, as parts of their ``max_iter``, each > 0 and < 1.
    factor : float
        Of those that share, one in ``factor`` goes on.
    n_finalists : int
        As many go on at least.
    n_jobs : int or None
        Threads.
    verbose : bool

    References
    ----------
    .. [1] Jamieson and Talwalkar (2016). Non-stochastic best arm identification and hyperparameter
       optimization. AISTATS.
    """

    def __init__(
        self,
        estimator,
        candidates,
        splits,
        scorer,
        *,
        milestones,
        factor,
        n_finalists,
        n_jobs,
        verbose=False,
    ):
        self.candidates, self.splits, self.scorer = candidates, splits, scorer
        self.milestones, self.factor, self.n_finalists = milestones, factor, n_finalists
        self.verbose = verbose
        self._parallel = Parallel(n_jobs=n_jobs, require="sharedmem")
        self._estimator = estimator
        self._fits = [[self._fit_of(c, split, {}) for split in splits] for c in candidates]
        shape = len(candidates), len(splits)
        self.scores, self.n_epochs = np.full(shape, np.nan), np.zeros(shape, int)

    def run(self):
        """Run to the end; gives the RaceResult."""
        racing, chains = np.arange(len(self.candidates)), self._paths()
        for milestone in [*self.milestones, 1.0]:
            self._advance(chains, milestone)
            if milestone < 1:
                racing = self._best_of(racing)
                self._tell(racing, milestone)
            self._drop_all_but(racing)
            chains = [[c] for c in racing]
        # Also those of lbfgs that left the race after their ends: to count the best alone would
        # count luck, and white wines of permuted quality helped 30 reds in 18 draws of 50, not 10.
        finished = np.array([all(fit.finished for fit in fits) for fits in self._fits])
        finished[racing] = True
        return RaceResult(self.scores, self.n_epochs, finished)

    def again(self, c, n_folds, fit_params):
        """Scores of a candidate on the first folds, were some arguments of ``fit`` others.

        Parameters
        ----------
        c : int
            Number of the candidate.
        n_folds : int
        fit_params : dict
            Those that differ from what the splits say.

        Returns
        -------
        ndarray of shape (n_folds,)
        """
        seeds = [split.seed for split in self.splits[:n_folds]]
        # Folds of one seed may wait for a stage that they have in common: not one after the other.
        order = sorted(range(n_folds), key=lambda k: seeds[:k].count(seeds[k]))
        scores = np.empty(n_folds)
        scores[order] = self._parallel(delayed(self._score_again)(c, k, fit_params) for k in order)
        return scores

    def _score_again(self, c, k, fit_params):
        split = self.splits[k]
        fit = self._fit_of(self.candidates[c], split, fit_params)
        return self.scorer(fit.advance(fit.max_iter), split.X_test, split.y_test)

    def _fit_of(self, candidate, split, fit_params):
        """A fit of a candidate on a fold, with some arguments in place of the fold's."""
        return PausableFit(
            clone(self._estimator).set_params(random_state=split.seed, **candidate.params),
            split.X,
            split.y,
            {**split.fit_params, **candidate.in_common, **fit_params},
        )

    def _paths(self):
        """Candidates that start from one another's weights; most start alone."""
        paths = {}
        for c, candidate in enumerate(self.candidates):
            start = ("alone", c) if candidate.path is None else ("path", candidate.path)
            paths.setdefault(start, []).append(c)
        return list(paths.values())

    def _advance(self, chains, milestone):
        """Take the fits of some candidates up to a milestone, in threads, and score them.

        Fold by fold, so that seldom one waits for what another fold's fit is about to have in
        common with it.
        """
        jobs = [(chain, k) for k in range(len(self.splits)) for chain in chains]
        self._parallel(delayed(self._advance_chain)(chain, k, milestone) for chain, k in jobs)

    def _advance_chain(self, chain, k, milestone):
        """The fits of some candidates on a fold, one after the other."""
        before, split = None, self.splits[k]
        for c in chain:
            fit = self._fits[c][k]
            if fit.finished or self.n_epochs[c, k] >= fit.max_iter:
                continue
            if before is not None:
                fit.start_from(before)
            fitted = before = fit.advance(int(np.ceil(milestone * fit.max_iter)))
            self.scores[c, k] = self.scorer(fitted, split.X_test, split.y_test)
            self.n_epochs[c, k] = fitted.n_iter_

    def _best_of(self, racing):
        """The candidates that go on."""
        shares = np.array([self.candidates[c].shares for c in racing])
        sharing, others = racing[shares], racing[~shares]
        n_kept = max(int(np.ceil(len(sharing) / self.factor)), self.n_finalists)
        means = np.nan_to_num(self.scores[sharing].mean(axis=1), nan=-np.inf)
        best = np.argsort(-means, kind="stable")[:n_kept]
        return np.sort(np.concatenate([sharing[best], others]))

    def _drop_all_but(self, racing):
        """Let go of the memory of fits that have ended, or will not go on."""
        for c in set(range(len(self.candidates))).difference(racing):
            for fit in self._fits[c]:
                fit.close()

    def _tell(self, racing, milestone):
        if self.verbose:
            print(f"After {milestone:.0%} of the epochs {len(racing)} candidates go on.")
