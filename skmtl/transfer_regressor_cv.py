"""TransferRegressorCV: how much of the source to use for numbers, and whether to use it at all."""

import numpy as np
from sklearn.model_selection import KFold

from skmtl.search.regression import RegressionSearch
from skmtl.search.verdict import not_clearly_worse
from skmtl.transfer_regressor import TransferRegressor
from skmtl.transfer_search import TransferSearch


class TransferRegressorCV(TransferSearch, RegressionSearch):  # numpydoc ignore=PR02
    r"""Regression with a source, and the amount of sharing chosen on the target.

    The surface over :math:`\lambda` and :math:`\mu` always holds its ends, the source alone and the
    target alone, and the two pooled. All candidates race: after some epochs those with the best
    scores go on from where they are, the others stop. Then the best candidate that uses the source
    is compared with the target alone, fold by fold. If it is not better beyond the error of that
    difference, the target alone is refitted, unless ``refit`` says otherwise: a source can hurt.

    Parameters
    ----------
    estimator : TransferRegressor or None, default=None
        What is searched over, with all its parameters; None is a ``TransferRegressor()``.
    lams : array-like of float, default=(0.1, 0.3, 1, 3, 10)
        Weights of the target's loss against the source's, each > 0 and finite.
    mus : array-like of float, default=(0.01, 0.1, 1)
        Strengths of the penalty on the feature map, each > 0; of effect if there is a map or an
        alignment, and else left alone.
    alphas : array-like of float or None, default=None
        Strengths of the penalty on the weights, each > 0, for every candidate, the target alone
        too; None: the estimator's. A target alone that is penalised too little, or too much, looks
        as if the source helped. See ``selection``.
    strategies : tuple of {"joint", "finetune"}, default=("joint", "finetune")
        Ways to use the source, besides the ends of the surface.
    cv : int, cross-validation generator, iterable or None, default=None
        Folds of the target's rows that have a number. None: five in random order, or as many as
        there are numbers, repeated to twenty in all if there are fewer than 1,000. With one number
        nothing can be held out: there is no verdict, and what is fitted is "finetune", or "joint"
        with the lam that is nearest to 1, with the mu that is nearest to the estimator's.
    scoring : str, callable or None, default=None
        How to score on the folds. None is R2 with the variance of all of the target's numbers for
        unit, not that of the fold's: see the notes. Where ``loss`` does not aim at means, as
        "pinball" does not, score by what counts.
    selection : {"best", "one_standard_error"}, default="best"
        "best" takes the largest of ``alphas`` with which a candidate is not below the best one
        beyond the error of that difference, and the best candidate with that. "one_standard_error"
        takes, of those within one standard error of the best candidate, the one that leans on the
        source least: with the largest lam and then the largest mu.
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
    best_estimator_ : TransferRegressor
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
        and where the target has one number.
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
    n_features_in_ : int
        Columns of X.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Their names, if they are strings.

    See Also
    --------
    TransferRegressor : One candidate.
    TransferClassifierCV : The same for classes.
    MultiTaskRegressorCV : The same question for several tasks.

    Notes
    -----
    The default score of a fold is one less the mean squared error on its rows over the variance of
    all numbers of the target. R2 divides by the variance of the fold's own numbers. Of ten numbers
    a fold has two: where these are alike, R2 is far below zero, and such folds would decide all.
    ``score`` of the fitted search is R2, unless ``scoring`` says otherwise.

    With ``share_head=False`` in the estimator, for a source whose numbers mean something else, the
    source alone and the two pooled are among the candidates all the same.

    References
    ----------
    .. [1] Jamieson and Talwalkar (2016). Non-stochastic best arm identification and hyperparameter
       optimization. AISTATS.
    .. [2] Nadeau and Bengio (2003). Inference for the generalization error. Machine Learning 52.

    Examples
    --------
    >>> from skmtl import TransferRegressor, TransferRegressorCV, as_source
    >>> from skmtl.datasets import make_transfer_pair
    >>> pair = make_transfer_pair(
    ...     30, relatedness=0.95, noise=0.3, kind="regression", random_state=0
    ... )
    >>> linear = TransferRegressor(hidden_layer_sizes=(), solver="lbfgs")
    >>> search = TransferRegressorCV(linear, alphas=(0.01, 0.1, 1), random_state=0)
    >>> search = search.fit(pair.X, pair.y, **as_source(pair.X_source, pair.y_source))
    >>> search.verdict_
    'helps'
    """

    _most_folds = staticmethod(len)

    @staticmethod
    def _default_estimator():
        return TransferRegressor()

    def _possible_ends(self, estimator, classes, sources):
        """Both, but with a head for each of several sources none of them speaks for all."""
        has_own_heads = estimator.share_head is False and len(sources) > 1
        return ["pooled"] if has_own_heads else ["source_only", "pooled"]

    def _worth_choosing(self, numbers, scores, candidates, folds):
        """Of those that are not clearly worse than the best, those with the largest alpha.

        A few rows of a table may lack the odd ones that a model with little penalty is far off at.
        Ten reds, with the whites: -.97 R2 by the score alone, .02 so; sd 1.80 and .12 over draws.
        """
        alphas = np.array([candidates[c].params.get("alpha", 0.0) for c in numbers])
        near = not_clearly_worse(scores[numbers], folds)
        return numbers[near & (alphas == alphas[near].max())]

    @staticmethod
    def _too_few(codes):
        return "There is one number" if len(codes) < 2 else None

    @staticmethod
    def _folds(n_splits, seed):
        return KFold(n_splits, shuffle=True, random_state=seed)
