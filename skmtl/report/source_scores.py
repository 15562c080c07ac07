"""What a model of the source alone says about the target: the scores of a transfer report."""

from scipy.sparse import issparse
from sklearn.utils import check_array

from skmtl._compat import safe_indexing
from skmtl.report.steps import final_step, fit_with, until_last
from skmtl.report.transferability import h_score, leep, log_me, proxy_a_distance
from skmtl.rows import stacked


def fit_source_only(estimator, X, y, source, one_head):
    """Fit a clone on the source alone; without one head for all sources, they are given one."""
    # Early stopping would watch target rows, which take no part.
    parameters = {"strategy": "source_only", "early_stopping": False}
    if not one_head:
        parameters["share_head"] = True
    return fit_with(estimator, parameters, X, y, **source)


def source_scores(model, X, labelled, y, X_sources, random_state):
    """Transferability scores of a model of the source alone.

    Parameters
    ----------
    model : estimator
        What ``fit_source_only`` gives.
    X : {array-like, sparse matrix} of shape (n_samples, n_features)
        Rows of the target.
    labelled : ndarray of shape (n_labelled,)
        Numbers of the rows with a label.
    y : ndarray of shape (n_labelled,)
        Their labels.
    X_sources : tuple of array-like
        Rows of each source.
    random_state : int or RandomState instance
        Determines the folds of the proxy A-distance.

    Returns
    -------
    dict of str to float
        The scores by name.
    list of str
        What was left out, and why.
    """
    X_labelled, notes, found = safe_indexing(X, labelled), [], {}
    features = model.transform(X_labelled)
    if issparse(features):
        notes.append(
            "log_me and h_score are left out: without hidden layers the features of "
            "sparse rows are these rows"
        )
    else:
        found["log_me"] = log_me(features, y)
        found["h_score"] = h_score(features, y, shrinkage=True)
    found["leep"] = leep(model.predict_proba(X_labelled), y)
    last = final_step(model)
    mapped = stacked(
        [last.map_source(until_last(model, rows), s) for s, rows in enumerate(X_sources)]
    )
    target = check_array(until_last(model, X), accept_sparse="csr")
    if last.target_scaler_ is not None:
        target = last.target_scaler_.transform(target)
    n_folds = min(5, mapped.shape[0], target.shape[0])
    found["proxy_a_distance"] = proxy_a_distance(mapped, target, n_folds, random_state)
    return found, notes
