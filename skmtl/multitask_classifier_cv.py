"""MultiTaskClassifierCV: how strongly to hold tasks together, and whether to share at all."""

import numpy as np

from skmtl.multitask_classifier import MultiTaskClassifier
from skmtl.multitask_search import MultiTaskSearch
from skmtl.search.classification import ClassificationSearch
from skmtl.tasks import union_of_labels


class MultiTaskClassifierCV(MultiTaskSearch, ClassificationSearch):  # numpydoc ignore=PR02
    r"""Several tasks, with the way and the strength of sharing chosen by cross-validation.

    Candidates are the estimator's own way to share, all tasks pooled, and one net per task, each
    over :math:`\lambda`. They race: after some epochs those with the best scores go on from where
    they are, the others stop. Then the best candidate that shares is compared with the best net per
    task, fold by fold. If it is not better beyond the error of that difference, one net per task is
    refitted: sharing can hurt.

    Parameters
    ----------
    estimator : MultiTaskClassifier or None, default=None
        What is searched over, with all its parameters; None is a ``MultiTaskClassifier()``.
    lams : array-like of float, default=(1e-4, 1e-3, 1e-2, 1e-1)
        Strengths of the penalty, each > 0.
    cv : int, cross-validation generator, iterable or None, default=None
        Folds; a number is that of a shuffled ``MultiTaskKFold``, None is 5.
    scoring : str, callable or None, default=None
        How to score on the folds. None is the mean over tasks of the mean log-probability of the
        true labels; :func:`skmtl.metrics.make_task_scorer` makes others.
    selection : {"best", "one_standard_error"}, default="best"
        "one_standard_error" takes, of those within one standard error of the best candidate, the
        one that shares least: its own way before pooling, and then the largest lam.
    refit : {"verdict", "best"}, default="verdict"
        What is fitted on all rows in the end. "verdict": the best candidate that shares, if the
        verdict is "helps", else the best that does not. "best": the better of the two by mean
        score, whatever the verdict; for where sharing that is missed costs as much as sharing
        that is in vain.
    factor : float, default=3
        One in so many candidates goes on at each comparison, with so many times the epochs.
    min_epochs : int or "auto", default="auto"
        Epochs before the first comparison; "auto" is ``max_iter / 27``, at least 4.
    warm_path : bool, default=False
        Whether the fits over ``lams`` start from one another's weights, the smallest first, on each
        fold. With ``solver="lbfgs"`` and no hidden layers that saves iterations and changes next to
        nothing; nets come out otherwise trained than by the refit.
    n_jobs : int or None, default=None
        Threads: the epochs run without the interpreter's lock.
    random_state : int, RandomState instance or None, default=None
        Seed of the folds, and of the candidates on them, the same for each. The refit uses the
        estimator's own.
    verbose : bool, default=False
        Whether to tell how the race goes.

    Attributes
    ----------
    best_estimator_ : MultiTaskClassifier
        Refitted on all rows.
    best_params_ : dict
        What was set for it: with ``sharing="none"`` unless the verdict is "helps".
    best_sharing_params_ : dict
        Those of the best candidate that shares.
    best_score_ : float
        Mean score of the refitted candidate over the folds.
    best_index_ : int
        Its place in ``cv_results_``.
    transfer_gain_ : Gain or None
        ``mean`` and ``std_error`` of the score that sharing adds to one net per task. In each fold
        both candidates were chosen by the other folds. None with one task.
    verdict_ : {"helps", "hurts", "no difference"} or None
        "helps": the gain is beyond its error. "hurts": every candidate that shares, and
        finished, is below the best net per task beyond the error of that difference, for which
        each row counts once.
    gains_ : dict of str to Gain
        The same of each way to share by itself, by its name: of those of which a candidate
        finished.
    verdicts_ : dict of str to {"helps", "hurts", "no difference"}
        Likewise.
    reason_ : str
        The verdict in words, and what was refitted.
    cv_results_ : dict
        Scores of all candidates by fold, as in scikit-learn; of those that did not finish, the last
        ones. ``mean_n_epochs`` tells how far they came.
    lams_ : ndarray
        The strengths, in order.
    path_scores_ : dict of ndarray of shape (n_lams,)
        Mean scores over them for each way to share: of candidates that stopped early, where they
        stood.
    scorer_name_ : str
        What the scores are.
    n_splits_ : int
        Number of folds.
    classes_ : ndarray of shape (n_classes,), or a list of them
        Labels of each task.
    n_features_in_ : int
        Columns of X.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Their names, if they are strings.

    See Also
    --------
    MultiTaskClassifier : One candidate.
    MultiTaskRegressorCV : The same for numbers.
    TransferClassifierCV : The same question for a source and a target.

    Examples
    --------
    >>> from skmtl import MultiTaskClassifier, MultiTaskClassifierCV
    >>> from skmtl.datasets import make_related_tasks
    >>> X, y = make_related_tasks(60, n_tasks=6, relatedness=0.95, random_state=0, return_X_y=True)
    >>> search = MultiTaskClassifierCV(
    ...     MultiTaskClassifier((16,), tol=1e-2), lams=(1e-3, 1e-1), random_state=0
    ... )
    >>> search.fit(X, y).verdict_
    'helps'
    """

    @staticmethod
    def _default_estimator():
        return MultiTaskClassifier()

    @staticmethod
    def _poolable(classes):
        """Whether all tasks have the same labels, so that one head can give them."""
        try:
            union = union_of_labels(classes)
        except TypeError:
            return False
        return all(np.array_equal(known, union) for known in classes)
