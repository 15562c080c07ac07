"""TransferClassifierCV: how much of the source to use, and whether to use it at all."""

import numpy as np

from skmtl.model_selection import MultiTaskKFold
from skmtl.search.classification import ClassificationSearch
from skmtl.search.surface import possible_ends
from skmtl.transfer_classifier import TransferClassifier
from skmtl.transfer_search import TransferSearch


class TransferClassifierCV(TransferSearch, ClassificationSearch):  # numpydoc ignore=PR02
    r"""Transfer with the amount of sharing chosen by cross-validation on the target.

    The surface over :math:`\lambda` and :math:`\mu` always holds its ends, the source alone and the
    target alone, and the two pooled. All candidates race: after some epochs those with the best
    scores go on from where they are, the others stop. Then the best candidate that uses the source
    is compared with the target alone, fold by fold. If it is not better beyond the error of that
    difference, the target alone is refitted, unless ``refit`` says otherwise: a source can hurt.

    Parameters
    ----------
    estimator : TransferClassifier or None, default=None
        What is searched over, with all its parameters; None is a ``TransferClassifier()``.
    lams : array-like of float, default=(0.1, 0.3, 1, 3, 10)
        Weights of the target's loss against the source's, each > 0 and finite.
    mus : array-like of float, default=(0.01, 0.1, 1)
        Strengths of the penalty on the feature map, each > 0; of effect if there is a map or an
        alignment, and else left alone.
    alphas : array-like of float or None, default=None
        Strengths of the penalty on the weights, each > 0, for every candidate, the target alone
        too; None: the estimator's. A target alone that is penalised too much looks as if the source
        helped.
    strategies : tuple of {"joint", "finetune"}, default=("joint", "finetune")
        Ways to use the source, besides the ends of the surface.
    cv : int, cross-validation generator, iterable or None, default=None
        Folds of the target's labelled rows. None: five, stratified, repeated to twenty in all if
        there are fewer than 1,000 labels; but with a ``scoring`` of one's own, which may need all
        classes in every fold, not more than the rarest class has rows. Where a class has one row,
        nothing can be held out: there is no verdict, and what is fitted is "finetune", or "joint"
        with the lam that is nearest to 1, with the mu that is nearest to the estimator's.
    scoring : str, callable or None, default=None
        How to score on the folds. None is the mean log-probability of the true labels: of the few
        labels that a target may have, it tells more than accuracy does.
    selection : {"best", "one_standard_error"}, default="best"
        "one_standard_error" takes, of those within one standard error of the best candidate, the
        one that leans on the source least: with the largest lam and then the largest mu.
    refit : {"verdict", "best"}, default="verdict"
        What is fitted on all rows in the end. "verdict": the best candidate that uses the source,
        if the verdict is "helps", else the target alone. "best": the better of the two by mean
        score, whatever the verdict; for where a source that is left out costs as much as one that
        is used in vain.
    factor : float, default=3
        One in so many candidates goes on at each comparison, with so many times the epochs.
    min_epochs : int or "auto", default="auto"
        Epochs before the first comparison; "auto" is ``max_iter / 27``, at least 4. Candidates with
        a ``max_iter`` of their own run the same part of it.
    warm_path : bool, default=False
        Whether the fits of "joint" over ``lams`` start from one another's weights, the smallest
        first, on each fold. With ``solver="lbfgs"`` and no hidden layers that saves iterations and
        changes next to nothing; nets come out otherwise trained than by the refit.
    n_jobs : int or None, default=None
        Threads: the epochs run without the interpreter's lock.
    random_state : int, RandomState instance or None, default=None
        Seed of the folds, and of the candidates on them: the same for all candidates, another for
        each repeat of the folds. The refit uses the estimator's own.
    verbose : bool, default=False
        Whether to tell how the race goes.

    Attributes
    ----------
    best_estimator_ : TransferClassifier
        Refitted on all rows.
    best_params_ : dict
        What was set for it: ``strategy="target_only"`` and what goes with that, unless the verdict
        is "helps" or ``refit`` is "best".
    best_sharing_params_ : dict
        Those of the best candidate that uses the source.
    best_score_ : float
        Mean score of the refitted candidate over the folds.
    best_index_ : int
        Its place in ``cv_results_``.
    transfer_gain_ : Gain or None
        ``mean`` and ``std_error`` of the score that the source adds to the target alone. In each
        fold the candidate was chosen by the other folds, so that the luck of the best of many does
        not count. None without a source.
    placebo_gain_ : Gain or None
        What the best candidate that uses the source scores beyond itself with the source's labels
        shuffled, on the first ten folds. None where nothing seems to help, and with a
        ``source_model``, whose knowledge cannot be shuffled.
    verdict_ : {"helps", "hurts", "no difference"} or None
        "helps": the gain is beyond its error, and that over the placebo beyond half of its error.
        "hurts": every candidate that uses the source, and finished, is below the target alone
        beyond the error of that difference, for which each row counts once. None without a source,
        and where a class has one label.
    gains_ : dict of str to Gain
        The same of each way to use the source by itself, by its strategy: of those of which a
        candidate finished.
    verdicts_ : dict of str to {"helps", "hurts", "no difference"}
        Likewise: a source that helps may hurt where it is used in another way.
    reason_ : str
        The verdict in words, and what was refitted.
    cv_results_ : dict
        Scores of all candidates by fold, as in scikit-learn; of those that did not finish, the last
        ones. ``mean_n_epochs`` tells how far they came.
    lams_, mus_ : ndarray
        The inner axes of the surface.
    path_scores_ : ndarray of shape (n_lams, n_mus)
        Mean scores of "joint" over them, the best over ``alphas``: of candidates that stopped
        early, where they stood.
    end_scores_ : dict
        Mean scores of the other candidates by strategy, the best over ``mus`` and ``alphas``.
    scorer_name_ : str
        What the scores are.
    n_splits_ : int
        Number of folds.
    classes_ : ndarray of shape (n_classes,)
        Labels that ``predict`` may give.
    n_features_in_ : int
        Columns of X.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Their names, if they are strings.

    See Also
    --------
    TransferClassifier : One candidate.
    TransferRegressorCV : The same for numbers.
    MultiTaskClassifierCV : The same question for several tasks.

    References
    ----------
    .. [1] Jamieson and Talwalkar (2016). Non-stochastic best arm identification and hyperparameter
       optimization. AISTATS.
    .. [2] Nadeau and Bengio (2003). Inference for the generalization error. Machine Learning 52.

    Examples
    --------
    >>> from skmtl import TransferClassifier, TransferClassifierCV, as_source
    >>> from skmtl.datasets import make_transfer_pair
    >>> pair = make_transfer_pair(60, relatedness=0.95, random_state=0)
    >>> search = TransferClassifierCV(TransferClassifier(tol=1e-2), random_state=0)
    >>> search = search.fit(pair.X, pair.y, **as_source(pair.X_source, pair.y_source))
    >>> search.verdict_
    'helps'
    """

    @staticmethod
    def _default_estimator():
        return TransferClassifier()

    def _possible_ends(self, estimator, classes, sources):
        source_classes = [self._read_labels(s, estimator).classes[0] for s in sources]
        return possible_ends(classes, source_classes, estimator.share_head)

    @staticmethod
    def _too_few(codes):
        return "A class has one label" if _rarest(codes) < 2 else None

    def _most_folds(self, codes):
        return len(codes) if self.scoring is None else _rarest(codes)

    @staticmethod
    def _folds(n_splits, seed):
        return MultiTaskKFold(n_splits, random_state=seed)


def _rarest(codes):
    """Rows of the class that has the fewest."""
    counts = np.bincount(codes)
    return counts[counts > 0].min()
