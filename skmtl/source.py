"""Where a transfer comes from: source data as fit arguments, or a fitted model."""

import warnings
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from sklearn.frozen import FrozenEstimator
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.utils.validation import check_array, check_consistent_length, check_is_fitted

from skmtl._compat import get_feature_names
from skmtl.plugins.base import RegressionLoss
from skmtl.rows import is_plain
from skmtl.tasks import observed

__all__ = ["as_source", "make_transfer_pipeline"]


def as_source(*datasets):
    """Pack source data for a transfer's ``fit``, safe from cross-validation.

    scikit-learn's cross-validation slices fit parameters that are as long as X. It never slices
    tuples, so the source goes in as tuples of one array per source.

    Parameters
    ----------
    *datasets : array-like
        ``X_source, y_source``, and for more sources ``X_2, y_2, ...`` after them.

    Returns
    -------
    dict
        ``{"X_source": (X, ...), "y_source": (y, ...)}``, to be passed on as keywords.

    Raises
    ------
    ValueError
        If there is no data, or an odd number of arrays.

    Examples
    --------
    >>> import numpy as np
    >>> from skmtl import as_source
    >>> source = as_source(np.zeros((3, 2)), np.array([0, 1, 1]))
    >>> sorted(source), len(source["X_source"])
    (['X_source', 'y_source'], 1)
    """
    if not datasets or len(datasets) % 2:
        raise ValueError(
            f"as_source takes pairs X_source, y_source, ...; got {len(datasets)} arguments."
        )
    return {"X_source": tuple(datasets[::2]), "y_source": tuple(datasets[1::2])}


def make_transfer_pipeline(*steps, memory=None, verbose=False):
    """Make a pipeline whose steps also transform the source, fitted on the target.

    Parameters
    ----------
    *steps : estimator
        Transformers, then a ``TransferClassifier`` or ``TransferRegressor``.
    memory : str or object with the joblib.Memory interface, default=None
        Cache of fitted transformers, see :func:`sklearn.pipeline.make_pipeline`.
    verbose : bool, default=False
        Whether to print the time of each step.

    Returns
    -------
    sklearn.pipeline.Pipeline
        With ``transform_input=["X_source", "X_unlabeled", "X_val"]``. Fitting it with these
        arguments needs ``sklearn.set_config(enable_metadata_routing=True)``.

    Examples
    --------
    >>> from sklearn.preprocessing import StandardScaler
    >>> from skmtl import TransferClassifier, make_transfer_pipeline
    >>> pipeline = make_transfer_pipeline(StandardScaler(), TransferClassifier())
    >>> pipeline.transform_input
    ['X_source', 'X_unlabeled', 'X_val']
    """
    return Pipeline(
        make_pipeline(*steps).steps,
        memory=memory,
        verbose=verbose,
        transform_input=["X_source", "X_unlabeled", "X_val"],
    )


class Labelled(NamedTuple):
    """A target or source: rows, their encoded labels, and the classes (None for numbers)."""

    X: object
    codes: np.ndarray
    classes: np.ndarray


def validate_sources(
    X_source,
    y_source,
    *,
    n_target_rows,
    target_names,
    same_columns,
    dtype,
    read,
    classes=None,
):
    """Check the source arguments of ``fit``.

    Parameters
    ----------
    X_source, y_source : array-like, tuple of array-like, or None
        One source, or several.
    n_target_rows : int
        Rows of X.
    target_names : ndarray or None
        Names of the columns of X.
    same_columns : bool
        Whether the sources must have the target's columns.
    dtype : dtype
        Of the target, and so of the fit.
    read : callable
        Encodes labels: the estimator's ``_read_labels``.
    classes : list of ndarray, default=None
        The labels of each source, if they are known from before.

    Returns
    -------
    list of Labelled
    """
    if X_source is None and y_source is None:
        return []
    if X_source is None or y_source is None:
        raise ValueError("X_source and y_source must be given together.")
    if not isinstance(X_source, tuple):
        if np.shape(y_source)[:1] == (n_target_rows,):
            warnings.warn(
                f"X_source has as many rows as X ({n_target_rows}). In cross-validation "
                "scikit-learn would slice it like X: pass **as_source(X_source, y_source).",
                stacklevel=7,  # whoever called fit
            )
        X_source, y_source = (X_source,), (y_source,)
    if not isinstance(y_source, tuple) or len(X_source) != len(y_source):
        raise ValueError(
            f"X_source is a tuple of {len(X_source)} data sets: y_source must be a tuple of as "
            "many label arrays. as_source(X_1, y_1, X_2, y_2) makes both."
        )
    if classes is not None and len(classes) != len(X_source):
        raise ValueError(
            f"{len(X_source)} sources were given, but {len(classes)} in the fit to go on from."
        )
    sources = []
    for s, (X, y) in enumerate(zip(X_source, y_source)):
        X = validate_source_rows(
            X, s, target_names=target_names, same_columns=same_columns, dtype=dtype
        )
        known = None if classes is None else [classes[s]]
        labels = read(y, known=known)
        if not labels.is_1d:
            raise ValueError(
                f"y_source[{s}] must be 1-D: a source is one task. Got {labels.codes.shape[1]} "
                "columns; pass them as several sources with the same X."
            )
        check_consistent_length(X, labels.codes)
        if not observed(labels.codes).any():
            raise ValueError(f"y_source[{s}] has no label.")
        sources.append(Labelled(X, labels.codes[:, 0], labels.classes[0]))
    return sources


def validate_source_rows(X, number, *, target_names, same_columns, dtype):
    """Check the rows of a source.

    Parameters
    ----------
    X : {array-like, sparse matrix} of shape (n_rows, n_columns)
        The rows.
    number : int
        Of the source, for messages.
    target_names : ndarray or None
        Names of the columns of the target's X.
    same_columns : bool
        Whether the source must have these.
    dtype : dtype
        Of the fit.

    Returns
    -------
    {ndarray, CSR}
        X itself, if it is of the dtype and C-contiguous.
    """
    names = get_feature_names(X)
    both_named = names is not None and target_names is not None
    if same_columns and both_named and list(names) != list(target_names):
        raise ValueError(
            f"Source {number} must have the columns of X, in their order, with "
            "feature_map='identity'. Reorder them, or use feature_map='linear'."
        )
    if is_plain(X) and X.dtype == dtype:
        return X
    name = f"X_source[{number}]"
    return check_array(X, accept_sparse="csr", dtype=dtype, order="C", input_name=name)


class Numbers(NamedTuple):
    """How a head's outputs become numbers: ``offset + scale * link(output)``."""

    offset: float
    scale: float
    link: Callable


class Pretrained(NamedTuple):
    """Weights to start from: (weight, bias) of each trunk layer and head layer, and classes.

    ``numbers`` says what the head's outputs are where they are numbers. ``fisher`` gives the
    diagonal of their Fisher information in the same form; None where the source's data are not at
    hand.
    """

    trunk: list
    head: list
    classes: np.ndarray
    activation: str
    numbers: Numbers | None = None
    fisher: Callable | None = None


def read_source_model(model):
    """Take the weights out of a fitted model.

    Parameters
    ----------
    model : estimator
        A fitted MLPClassifier or MLPRegressor of scikit-learn or estimator of skmtl, as it is or in
        a FrozenEstimator, which ``clone`` keeps fitted.

    Returns
    -------
    Pretrained

    Raises
    ------
    TypeError
        If it is another kind of model.
    NotFittedError
        If it is not fitted.
    """
    if isinstance(model, FrozenEstimator):
        model = model.estimator
    message = (
        "The 'source_model' parameter, this %(name)s, is not fitted. clone and cross-validation "
        "leave it fitted only in a sklearn.frozen.FrozenEstimator."
    )
    if isinstance(model, (MLPClassifier, MLPRegressor)):
        check_is_fitted(model, msg=message)
        layers = list(zip(model.coefs_, model.intercepts_))
        classes, numbers = getattr(model, "classes_", None), None
        if classes is None and model.out_activation_ == "identity":
            numbers = Numbers(0.0, 1.0, RegressionLoss.predict)
        return Pretrained(layers[:-1], layers[-1:], classes, model.activation, numbers)
    if not (hasattr(model, "head_coefs_") or hasattr(model, "head_layer_sizes")):
        raise TypeError(
            "The 'source_model' parameter must be a fitted MLPClassifier or MLPRegressor of "
            "scikit-learn or estimator of skmtl, best in a sklearn.frozen.FrozenEstimator. Got "
            f"{model!r} instead."
        )
    check_is_fitted(model, msg=message)
    if model._layout.architecture.n_experts > 1:
        raise ValueError(
            "A source_model with several experts, as with sharing='none' or 'grouped', has no one "
            "trunk to start from: take one with sharing='hard' or 'pooled'."
        )
    trunk = list(zip(model.coefs_, model.intercepts_))
    if len(model.head_coefs_) > 1:
        return Pretrained(trunk, [], None, model.activation)
    head = list(zip(model.head_coefs_[0], model.head_intercepts_[0]))
    factor = getattr(model, "head_factor_", None)  # of estimators of several tasks
    if factor is not None:
        head[0] = factor @ head[0][0], head[0][1]
    loss = model._loss_of(0)
    if isinstance(loss, RegressionLoss):
        link = type(loss).predict
        numbers = Numbers(model.y_offset_[0], model.y_scale_[0], link)
        return Pretrained(trunk, head, None, model.activation, numbers)
    classes = model.classes_ if isinstance(model.classes_, np.ndarray) else None
    return Pretrained(trunk, head, classes, model.activation)


def as_pretrained(problem, classes, numbers):
    """The trunk and first head of a trained network, to start the next stage from.

    Parameters
    ----------
    problem : Problem
        The stage that is over.
    classes : ndarray or None
        Labels of the first head.
    numbers : Numbers or None
        What it gives, if that is numbers.

    Returns
    -------
    Pretrained
    """
    layout, theta = problem.layout, problem.theta

    def part_of(vector, fisher=None):
        trunk, head = _trunk_and_head(layout, vector)
        activation = layout.architecture.activation
        return Pretrained(trunk, head, classes, activation, numbers, fisher)

    return part_of(theta, lambda: part_of(problem.fisher()))


def _trunk_and_head(layout, theta):
    """Views (weight, bias) of the trunk's layers and of those of the first head."""
    trunk = [layout.weight_bias(theta, layer) for layer in layout.trunk[0]]
    head = [layout.weight_bias(theta, layer) for layer in layout.heads[0]]
    return trunk, [*head, layout.output_weight_bias(theta, 0)]


def head_fits(layout, pretrained):
    """Whether the head of a source model has the layers of the first head.

    Parameters
    ----------
    layout : Layout
        Of the network to start.
    pretrained : Pretrained
        The source model's weights.

    Returns
    -------
    bool
    """
    layers = [*layout.heads[0].tolist(), layout.outputs[0].tolist()]
    wanted = [(n_in, n_out) for _, _, n_in, n_out in layers]
    return wanted == [weight.shape for weight, _ in pretrained.head]


def take_weights(layout, theta, pretrained, with_head):
    """Write the weights of a source model into theta.

    Parameters
    ----------
    layout : Layout
    theta : ndarray
        Written to: the trunk, and the first head where that is wanted and fits.
    pretrained : Pretrained
    with_head : bool

    Returns
    -------
    ndarray of bool
        Which parameters were written.

    Raises
    ------
    ValueError
        If the trunks differ.
    """
    architecture = layout.architecture
    wanted = [(int(n_in), int(n_out)) for _, _, n_in, n_out in layout.trunk[0]]
    given = [weight.shape for weight, _ in pretrained.trunk]
    if wanted != given or pretrained.activation != architecture.activation:
        raise ValueError(
            f"The 'source_model' parameter has trunk layers of shapes {given} and "
            f"activation={pretrained.activation!r}; X, hidden_layer_sizes and activation ask for "
            f"{wanted} and {architecture.activation!r}."
        )
    written = np.zeros(theta.shape, bool)
    (trunk, head), (trunk_written, head_written) = (
        _trunk_and_head(layout, vector) for vector in (theta, written)
    )
    triples = list(zip(trunk, pretrained.trunk, trunk_written))
    if with_head and head_fits(layout, pretrained):
        triples += zip(head, pretrained.head, head_written)
    for mine, theirs, flags in triples:
        for k in (0, 1):  # weight, bias
            mine[k][...], flags[k][...] = theirs[k], True
    return written
