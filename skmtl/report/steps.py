"""The estimator that a report is about: itself, or the last step of a pipeline."""

from sklearn import config_context
from sklearn.base import clone
from sklearn.pipeline import Pipeline


def final_step(estimator):
    """The estimator, or the last step of a pipeline.

    Parameters
    ----------
    estimator : estimator
        Fitted or not.

    Returns
    -------
    estimator
    """
    return estimator.steps[-1][1] if isinstance(estimator, Pipeline) else estimator


def check_final_step(estimator, base, kind):
    """Complain about an estimator whose last step does not inherit from a base."""
    if not isinstance(final_step(estimator), base):
        raise TypeError(
            f"estimator must be a {kind}, or a Pipeline that ends in one; got {estimator!r}"
        )


def with_parameters(estimator, parameters):
    """A clone with parameters of the last step set."""
    model = clone(estimator)
    prefix = f"{model.steps[-1][0]}__" if isinstance(model, Pipeline) else ""
    return model.set_params(**{f"{prefix}{name}": value for name, value in parameters.items()})


def fit_with(estimator, parameters, X, y, **source):
    """Fit a clone with parameters of the last step set.

    Routing is on meanwhile, in this thread alone: only so does a pipeline take a source along.
    """
    model = with_parameters(estimator, parameters)
    with config_context(enable_metadata_routing=True):
        return model.fit(X, y, **source)


def until_last(model, X):
    """Rows as a fitted pipeline hands them to its last step; as they are if there is none."""
    several = isinstance(model, Pipeline) and len(model.steps) > 1
    return model[:-1].transform(X) if several else X


def task_names_of(estimator):
    """Names of the columns of ``task_loss_curves_``."""
    if not hasattr(estimator, "map_params_"):
        names = estimator.task_names_
        return None if names is None else list(names)
    sources = [
        "source" if len(estimator.map_params_) == 1 else f"source {s}"
        for s, params in enumerate(estimator.map_params_)
        if params is not None
    ]
    n_curves = estimator.task_loss_curves_.shape[1]
    if estimator.pretrain_loss_curve_ is not None:
        return ["target"]
    return sources if n_curves == len(sources) else ["target", *sources]
