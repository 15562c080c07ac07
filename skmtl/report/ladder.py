"""Transfer report: every rung of the ladder on the same splits and draws of labels."""

from numbers import Integral

import numpy as np
from sklearn.metrics import check_scoring
from sklearn.model_selection import StratifiedKFold, check_cv
from sklearn.pipeline import Pipeline
from sklearn.utils import check_random_state
from sklearn.utils.parallel import Parallel, delayed

from skmtl._compat import n_samples, safe_indexing
from skmtl.report.base import in_words, score_name
from skmtl.report.ladder_report import BASELINE, TransferReport
from skmtl.report.paired import size_ratio
from skmtl.report.source_scores import fit_source_only, source_scores
from skmtl.report.steps import check_final_step, final_step, fit_with
from skmtl.source import as_source
from skmtl.tasks import encode_labels, union_of_labels
from skmtl.transfer import STRATEGIES, TransferNetwork

COMMON_LABELS = "source_only", "pooled"
RUNGS = ("source_only", "target_only", "pooled", "finetune", "joint")


def transfer_report(
    estimator,
    X,
    y,
    X_source,
    y_source,
    *,
    cv=5,
    n_labels=None,
    scoring=None,
    rungs=RUNGS,
    n_jobs=None,
    random_state=None,
):
    """Compare every way to use a source with the target alone, by number of target labels.

    In each split, for each number of labels, the same rows of the training fold are given to every
    rung, so that the differences between them are paired.

    Parameters
    ----------
    estimator : TransferClassifier or Pipeline
        Its ``strategy`` is set to each rung. A pipeline ends in a TransferClassifier and comes
        from :func:`skmtl.make_transfer_pipeline`; routing of metadata is turned on for its fits.
    X : {array-like, sparse matrix} of shape (n_samples, n_features)
        Rows of the target.
    y : array-like of shape (n_samples,)
        Their labels. Rows without one go into every training set, and into no test set.
    X_source, y_source : array-like or tuple of array-like
        Rows and labels of the source, or of several.
    cv : int, splitter or iterable of (train, test), default=5
        An int: so many stratified folds, shuffled. ``RepeatedStratifiedKFold`` repeats the draws
        too. Splits are of the labelled rows.
    n_labels : int, "all" or list of these, default=None
        How many labels per class a training set keeps; the other labelled rows of the training
        fold are left out of it. Fewer if the class has fewer there. The rows of a smaller number
        are among those of a greater. None is "all".
    scoring : str, callable or None, default=None
        A scorer of scikit-learn; None is the accuracy.
    rungs : sequence of str, or dict of str to dict
        The strategies to compare, "target_only" among them. A dict gives each rung parameters of
        its own, as in ``{"target_only": {"max_iter": 400}, "joint": {"lam": 3}}``: an epoch of the
        target alone has fewer steps, so it may need more of them. With a ``"strategy"`` among the
        parameters, the rung may have any name.
    n_jobs : int, default=None
        Fits side by side, as joblib has it. Fits release the GIL, so that
        ``joblib.parallel_config("threading")`` suits them.
    random_state : int, RandomState instance or None, default=None
        Determines folds and draws. Weights and batches have the estimator's own.

    Returns
    -------
    TransferReport
        Scores, differences, verdicts, and how well the source suits the target: ``log_me``,
        ``h_score`` (with shrinkage) and ``leep`` of a "source_only" fit on the target's labelled
        rows, and ``proxy_a_distance`` between the source, as its feature map leaves it, and all
        rows of the target.

    Raises
    ------
    TypeError
        If the estimator has no ``strategy``.
    ValueError
        If rungs, numbers of labels, splits or scoring do not allow the comparison.

    See Also
    --------
    skmtl.report.LearningCurveDisplay : The picture.

    Notes
    -----
    The standard error is that of Nadeau and Bengio [1]_, ``sd * sqrt(1 / K + n_test / n_train)``
    for K splits, with the numbers of rows before labels are hidden: training sets share more rows
    then than after, so that for few labels it errs on the safe side. A difference is called clear
    if its 95 % interval, of Student's t with K - 1 degrees, leaves 0 out. That is said of each
    rung by itself: of many rungs and sizes, one in twenty would look clear by chance.

    References
    ----------
    .. [1] Nadeau and Bengio (2003). Inference for the generalization error. Machine Learning 52.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skmtl import TransferClassifier
    >>> from skmtl.report import transfer_report
    >>> X, y = load_digits(n_class=5, return_X_y=True)
    >>> report = transfer_report(
    ...     TransferClassifier((8,), solver="lbfgs", random_state=0),
    ...     X[:100] / 16,
    ...     y[:100],
    ...     X[100:] / 16,
    ...     y[100:],
    ...     cv=4,
    ...     n_labels=1,
    ...     rungs=["target_only", "joint"],
    ...     random_state=0,
    ... )
    >>> report.best_rungs
    {1: 'joint'}
    """
    _check_estimator(estimator)
    rungs = _as_parameters(rungs)
    sizes = _as_sizes(n_labels)
    scorer, scored = _as_scorer(estimator, scoring)
    source = _as_source(X_source, y_source)
    missing = {"missing_label": final_step(estimator).missing_label}
    labels = encode_labels(y, **missing)
    if not labels.is_1d:
        raise ValueError(f"y must be 1-D, got {labels.codes.shape[1]} columns")
    codes, classes = labels.codes[:, 0], labels.classes[0]
    if n_samples(X) != len(codes):
        raise ValueError(f"X has {n_samples(X)} rows, but y has {len(codes)} labels")
    labelled, unlabelled = np.flatnonzero(codes >= 0), np.flatnonzero(codes < 0)

    source_classes = [encode_labels(one, **missing).classes[0] for one in source["y_source"]]
    rungs, notes = _comparable(rungs, classes, source_classes)

    rng = check_random_state(random_state)
    splits = _splits(cv, X, labelled, codes, rng)
    draws = [_draw(codes, train, sizes, rng) for train, _ in splits]
    _check_sizes(sizes, codes, splits)
    jobs = [(s, k, rung) for s in range(len(splits)) for k in range(len(sizes)) for rung in rungs]
    scores = Parallel(n_jobs=n_jobs)(
        delayed(_fit_and_score)(
            estimator,
            rungs[rung],
            safe_indexing(X, np.append(draws[s][k], unlabelled)),
            safe_indexing(y, np.append(draws[s][k], unlabelled)),
            safe_indexing(X, splits[s][1]),
            classes[codes[splits[s][1]]],
            source,
            scorer,
        )
        for s, k, rung in jobs
    )
    table = {rung: np.empty((len(sizes), len(splits))) for rung in rungs}
    for (s, k, rung), score in zip(jobs, scores):
        table[rung][k, s] = score

    one_head = all(np.array_equal(one, source_classes[0]) for one in source_classes)
    model = fit_source_only(estimator, X, y, source, one_head)
    of_source, left_out = source_scores(
        model, X, labelled, classes[codes[labelled]], source["X_source"], rng
    )
    return TransferReport(
        table,
        n_labels=sizes,
        n_train=np.mean([[len(rows) for rows in drawn] for drawn in draws], axis=0),
        n_classes=len(classes),
        test_to_train=size_ratio(splits),
        score_name=scored,
        transferability=of_source,
        notes=notes + left_out,
    )


# --- arguments -----------------------------------------------------------------------------------


def _check_estimator(estimator):
    check_final_step(estimator, TransferNetwork, "TransferClassifier")
    several = isinstance(estimator, Pipeline) and len(estimator.steps) > 1
    if several and "X_source" not in (estimator.transform_input or ()):
        raise ValueError(
            "the steps of the pipeline would leave the source as it is: make the pipeline with "
            f"skmtl.make_transfer_pipeline; got transform_input={estimator.transform_input!r}"
        )


def _as_parameters(rungs):
    """Parameters of each rung, its strategy among them."""
    given = rungs if isinstance(rungs, dict) else {rung: {} for rung in rungs}
    parameters = {rung: {"strategy": rung, **own} for rung, own in given.items()}
    for rung, own in parameters.items():
        if own["strategy"] not in STRATEGIES:
            raise ValueError(
                f"rungs has {rung!r}, which is no strategy: {', '.join(STRATEGIES)} are. A rung "
                "with another name needs a 'strategy' among its parameters."
            )
        if own["strategy"] == "source_only":
            own["early_stopping"] = False  # it would watch target rows, which take no part
    if BASELINE not in parameters or len(parameters) < 2:
        raise ValueError(
            f"rungs must hold {BASELINE!r}, which the others are compared with, and at least one "
            f"other; got {list(parameters)}"
        )
    return parameters


def _as_sizes(n_labels):
    """The numbers of labels per class, as a list."""
    if np.ndim(n_labels) == 0:
        n_labels = ["all" if n_labels is None else n_labels]
    sizes = [int(k) if isinstance(k, Integral) else k for k in n_labels]
    for k in sizes:
        if not (k == "all" or (isinstance(k, int) and k >= 1)):
            raise ValueError(f"n_labels must hold integers >= 1 or 'all', got {k!r}")
    if not sizes or len(set(sizes)) < len(sizes):
        raise ValueError(f"n_labels must hold at least one number, each once; got {n_labels!r}")
    return sizes


def _as_scorer(estimator, scoring):
    if scoring is not None and not isinstance(scoring, str) and not callable(scoring):
        raise ValueError(
            f"scoring must be the name of one scorer, a scorer or None, got {scoring!r}"
        )
    return check_scoring(estimator, scoring), score_name(scoring)


def _as_source(X_source, y_source):
    both = isinstance(X_source, tuple), isinstance(y_source, tuple)
    if any(both) and (not all(both) or len(X_source) != len(y_source)):
        raise ValueError(
            "X_source and y_source must both be arrays, or tuples of as many arrays; got "
            f"{type(X_source).__name__} and {type(y_source).__name__}"
            + (f" of {len(X_source)} and {len(y_source)}" if all(both) else "")
        )
    if all(both):
        return {"X_source": X_source, "y_source": y_source}
    return as_source(X_source, y_source)


def _comparable(rungs, classes, source_classes):
    """The rungs without those that need a common kind of labels where there is none; and notes."""
    try:
        union_of_labels([classes, *source_classes])
    except TypeError as error:
        kept = {r: own for r, own in rungs.items() if own["strategy"] not in COMMON_LABELS}
        if len(kept) < 2:
            raise ValueError(
                f"rungs={list(rungs)} cannot be compared: {in_words(COMMON_LABELS)} need source "
                f"and target labels of one kind, but {error}"
            ) from error
        lost = [rung for rung in rungs if rung not in kept]
        notes = [f"no {in_words(lost)}: in source and target {error}"] if lost else []
        return kept, notes
    return rungs, []


# --- splits and draws ----------------------------------------------------------------------------


def _splits(cv, X, labelled, codes, rng):
    """Pairs of row numbers of X; all of them carry a label."""
    if isinstance(cv, Integral):
        cv = StratifiedKFold(int(cv), shuffle=True, random_state=rng.randint(2**31 - 1))
    cv = check_cv(cv, codes[labelled], classifier=True)
    splits = [
        (labelled[train], labelled[test])
        for train, test in cv.split(safe_indexing(X, labelled), codes[labelled])
    ]
    if len(splits) < 2:
        raise ValueError("cv must give at least 2 splits: a standard error needs them; it gave 1")
    return splits


def _draw(codes, train, sizes, rng):
    """For each size the rows of a training fold that keep their label, smaller ones in larger."""
    order = rng.permutation(train)
    by_class = [order[codes[order] == c] for c in np.unique(codes[train])]
    return [
        train if k == "all" else np.sort(np.concatenate([rows[:k] for rows in by_class]))
        for k in sizes
    ]


def _check_sizes(sizes, codes, splits):
    most = min(np.bincount(codes[train]).max() for train, _ in splits)
    for k in sizes:
        if k != "all" and k > most:
            raise ValueError(
                f"n_labels={k} hides nothing: a training fold has at most {most} labels of a "
                "class; use 'all'"
            )


def _fit_and_score(estimator, parameters, X, y, X_test, y_test, source, scorer):
    model = fit_with(estimator, parameters, X, y, **source)
    return float(scorer(model, X_test, y_test))
