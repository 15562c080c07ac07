"""The contracts of the plugin kinds. Their docstrings are the specification.

A plugin is a `BaseEstimator` whose constructor stores its hyperparameters and whose mathematics are
static plain Python functions over C-contiguous arrays. The engine compiles these functions: they
call NumPy, `math` and other plain functions of their module, allocate nothing, and see no Python
objects. An argument is read-only unless its description says *overwritten*, *added to*, *updated*
or *scratch*. Floats are of the dtype of the fit, float32 or float64, unless stated. ``hp`` holds
the plugin's numbers in the order of ``hyper``.

``skmtl.testing.check_plugin`` tells whether a plugin keeps its contract.
"""

import functools
import inspect
from abc import ABC, abstractmethod
from numbers import Integral, Real
from typing import Any, NamedTuple

import numpy as np
from sklearn.base import BaseEstimator

# Columns of the table of weight matrices that penalties get, and values in its column ROLE.
from skmtl.engine.blocks import (  # noqa: F401
    BIAS,
    COLUMNS,
    DEPTH,
    HEAD,
    MAP,
    MAP_RESIDUAL,
    OFFSET,
    OUTPUT,
    OWN,
    ROLE,
    ROWS,
    TRUNK,
)


class Plugin(BaseEstimator, ABC):
    """What all plugins share.

    Attributes
    ----------
    group : str
        Entry-point group of the kind; the name of a plugin's entry point is its name in
        ``loss="..."``, ``penalty="..."`` and so on.
    """

    group = None

    def hyper(self):
        """Give the numbers that the plugin's functions find in ``hp``.

        Returns
        -------
        list of float or ndarray of shape (n_numbers,)
            By default the constructor's parameters in alphabetical order.

        Raises
        ------
        ValueError
            If a parameter is out of range; see ``_check_number``.
        """
        return [float(getattr(self, name)) for name in _parameter_names(type(self))]

    def _check_number(self, *names, low=0, high=np.inf, closed="left"):
        """Raise ValueError unless each named parameter is a number from low to high.

        ``closed`` says which of the two ends count: "left", "right", "both" or "neither".
        """
        for name in names:
            value = getattr(self, name)
            ok = isinstance(value, Real) and low <= value <= high
            ok = ok and (value > low or closed in ("left", "both"))
            ok = ok and (value < high or closed in ("right", "both"))
            if not ok:
                raise ValueError(
                    f"The {name!r} parameter of {type(self).__name__} must be a number in "
                    f"{'[' if closed in ('left', 'both') else '('}{low}, {high}"
                    f"{']' if closed in ('right', 'both') else ')'}. Got {value!r} instead."
                )

    def _check_count(self, name, low):
        """Raise ValueError unless the named parameter is an int of at least low."""
        value = getattr(self, name)
        if not isinstance(value, Integral) or isinstance(value, bool) or value < low:
            raise ValueError(
                f"The {name!r} parameter of {type(self).__name__} must be an int >= {low}. "
                f"Got {value!r} instead."
            )

    def _check_option(self, name, options):
        """Raise ValueError unless the named parameter is one of some options."""
        value = getattr(self, name)
        if not any(value is option or value == option for option in options):
            raise ValueError(
                f"The {name!r} parameter of {type(self).__name__} must be one of "
                f"{', '.join(map(repr, options))}. Got {value!r} instead."
            )


@functools.cache
def _parameter_names(plugin_class):
    """Names of the constructor's parameters, sorted; get_params reads the signature each time."""
    return sorted(inspect.signature(plugin_class).parameters)


class Loss(Plugin):
    """A task's loss: how far its outputs are from its labels.

    Derive from ``ClassificationLoss`` or ``RegressionLoss``.
    """

    group = "skmtl.losses"

    @staticmethod
    @abstractmethod
    def value_grad(out, y, weight, hp, grad):
        """Weighted mean of the loss over rows, and its gradient.

        Parameters
        ----------
        out : ndarray of shape (n_rows, n_outputs)
            The head's outputs, before any link function. At least one row.
        y : ndarray of shape (n_rows, 1)
            Codes of classes 0, 1, ... for a classification loss; numbers for a regression loss.
        weight : ndarray of shape (n_rows,)
            Positive; the value is ``sum_i weight_i l_i / sum_i weight_i``.
        hp : ndarray
            The plugin's numbers.
        grad : ndarray of shape (n_rows, n_outputs)
            Overwritten with the derivative of the value by ``out``.

        Returns
        -------
        float
            The weighted mean, summed in double precision.
        """


class ClassificationLoss(Loss):
    """A loss on class labels."""

    def n_outputs(self, classes):
        """Give the number of outputs that a head needs for these classes.

        By default one for two classes, otherwise one each.
        """
        return 1 if len(classes) == 2 else len(classes)

    @abstractmethod
    def proba(self, out):
        """Turn outputs (n, n_outputs) into class probabilities (n, n_classes), with NumPy."""


class RegressionLoss(Loss):
    """A loss on numbers; a head has one output for each."""

    #: Whether estimators may shift targets to mean 0 besides scaling them. Not where 0 is the least
    #: that targets can be, or means something else.
    centring = True

    def check_targets(self, y):
        """Raise ValueError if the loss is not defined for these numbers, ndarray of any shape."""

    def predict(self, out):
        """Turn outputs (n, 1) into predictions of the same shape, with NumPy; by default as is."""
        return out


class Start(NamedTuple):
    """Where a fit starts from, for ``Penalty.constants``.

    Attributes
    ----------
    theta : ndarray of shape (n_parameters,)
        The parameters to start from.
    pretrained : ndarray of shape (n_parameters,), bool, or None
        Which of them were learned on a source; None if there was no such stage.
    fisher : callable
        Gives the diagonal of the Fisher information at the source's optimum, ndarray of shape
        (n_parameters,), zero where not pretrained. Raises ValueError where there is no source.
    blocks : ndarray of shape (n_blocks, 6), int64
        The weight matrices that the penalty acts on, see ``Penalty``.
    """

    theta: np.ndarray
    pretrained: Any
    fisher: Any
    blocks: np.ndarray


class Penalty(Plugin):
    """A penalty R on weight matrices: of the trunk and heads, or of a feature map.

    Which matrices, the argument ``layout`` says, an int64 table with a row for each:

    ====== =================================================================================
    column meaning
    ====== =================================================================================
    0      offset of the matrix in ``theta``, where it lies in C order
    1      rows
    2      columns
    3      offset of its bias in ``theta``, or -1
    4      role: 0 a layer of the trunk, 1 a hidden layer of a head, 2 the output layer of a
           head, 3 a feature map, 4 a part of a feature map that is best near zero, 5 a matrix
           of the penalty's own
    5      depth: 0 if the matrix reads the network's inputs, otherwise the layers before it
    ====== =================================================================================

    A matrix has a row per input, a column and a bias per output, (n_in, n_out), but for output
    layers (role 2): (n_out, n_in), one after the other and each below the one before, so that all
    heads together are one matrix with a row for each output. Column names are in this module:
    ``layout[b, OFFSET]``, ``layout[b, ROLE] == OUTPUT``.

    A penalty may also have ``prox``, where it has no gradient everywhere, or one too steep for a
    step. Optimizers that go along the gradient (``solver="sgd"``, see ``Optimizer.step_length``)
    then use ``value_grad`` for its value alone, and are followed by a proximal step. Others, which
    rescale every parameter (Adam), and lbfgs use the gradient, or subgradient: so all solvers head
    for the same minimum, and exact zeros come with sgd.
    """

    group = "skmtl.penalties"

    #: Whether R anchors at weights that were learned on a source. These are then learned with
    #: ``for_source``.
    needs_pretrained = False
    #: Whether R is half the sum of squares of the matrices. Sparse rows then need not be visited in
    #: every step, see ``Optimizer.catch_up``.
    is_weight_decay = False
    #: ``prox(theta, layout, step, hp, constants, work)``, static, or None; see ``value_grad`` for
    #: the arguments. theta is updated to argmin_z ||z - theta||^2 / 2 + step * R(z), where step is
    #: a float >= 0: learning rate times strength.
    prox = None

    def for_source(self):
        """Give the penalty that the weights to anchor at are learned with, and its strength.

        Returns
        -------
        tuple (Penalty, float) or None
            None: they are learned without any.
        """
        return None

    def own_matrices(self, layout):
        """Give the shapes of matrices that the penalty learns along with the network.

        For a penalty that is itself a minimum, ``R(W) = min_Q r(W, Q)``: its functions then are
        those of r, and find Q in the last rows of ``layout``, of role 5. Q starts at zero. Only as
        ``penalty=``, not as ``map_penalty=``.

        Parameters
        ----------
        layout : ndarray of shape (n_blocks, 6), int64
            The weight matrices of the network.

        Returns
        -------
        list of (n_rows, n_columns), default empty
        """
        return []

    def n_work(self, layout):
        """Give the length of the scratch array that the functions get."""
        return 0

    def constants(self, start):
        """Give numbers that stay fixed during the fit but are no hyperparameters.

        Parameters
        ----------
        start : Start
            Where the fit starts from.

        Returns
        -------
        ndarray of shape (n_constants,), default empty

        Raises
        ------
        ValueError
            If the penalty does not suit the network, or needs what there is not.
        """
        return np.zeros(0)

    @staticmethod
    @abstractmethod
    def value_grad(theta, layout, strength, hp, constants, work, grad):
        """Give ``strength * R(theta)``; adds its gradient, or a subgradient, to grad.

        Parameters
        ----------
        theta : ndarray of shape (n_parameters,)
            All parameters of the network.
        layout : ndarray of shape (n_blocks, 6), int64
            The weight matrices to penalise; see the class. At least one.
        strength : float
            Coefficient of the penalty in the objective.
        hp : ndarray
            The plugin's numbers.
        constants : ndarray
            What ``constants`` gave.
        work : ndarray of shape (n_work,), float64
            Scratch.
        grad : ndarray of shape (n_parameters,)
            Added to.

        Returns
        -------
        float
        """


class FeatureMap(Plugin):
    """A trainable map g from the columns of a source to the columns of the target."""

    group = "skmtl.feature_maps"

    #: Whether ``init`` looks at the rows, rather than at their number of columns alone.
    starts_from_rows = False
    #: Whether ``forward_csr`` and ``backward_csr`` exist. They take
    #: (theta, values, indices, indptr, rows, hp, work, out) and (..., work, dout, grad): the rows
    #: numbered ``rows`` of a CSR matrix in place of ``x``, with ``indices`` int32.
    accepts_csr = False

    @abstractmethod
    def n_params(self, n_in, n_out):
        """Give the length of the parameter vector."""

    @abstractmethod
    def init(self, X_source, X_target, rng, y_source=None, y_target=None):
        """Give the parameters to start from.

        Parameters
        ----------
        X_source : {ndarray, CSR} of shape (n_source_rows, n_in)
        X_target : {ndarray, CSR} of shape (n_target_rows, n_out)
        rng : numpy.random.Generator
        y_source, y_target : ndarray of shape (n_rows,), int, default=None
            Class codes, comparable between source and target, -1 where missing; None where the
            two have no classes in common.

        Returns
        -------
        ndarray of shape (n_params,)

        Raises
        ------
        ValueError
            If there is no such map between spaces of these sizes.
        """

    @abstractmethod
    def blocks(self, n_in, n_out):
        """Give the weight matrices within the parameters that a penalty may act on.

        Returns
        -------
        list of tuple of int
            (offset, rows, columns, offset of the bias or -1), offsets from the first parameter;
            and, if the matrix is zero where the map is the identity, or has no identity to be
            near, a fifth number, the role ``MAP_RESIDUAL``.
        """

    def n_work(self, n_rows, n_in, n_out):
        """Give the length of the scratch array that ``forward`` and ``backward`` share."""
        return 0

    @staticmethod
    @abstractmethod
    def forward(theta, x, hp, work, out):
        """Map rows.

        Parameters
        ----------
        theta : ndarray of shape (n_params,)
            The map's own parameters.
        x : ndarray of shape (n_rows, n_in)
        hp : ndarray
            The plugin's numbers.
        work : ndarray of shape (n_work,)
            Scratch; ``backward`` for the same rows finds it as ``forward`` left it.
        out : ndarray of shape (n_rows, n_out)
            Overwritten with g(x).
        """

    @staticmethod
    @abstractmethod
    def backward(theta, x, hp, work, dout, grad):
        """Add to grad (n_params,) the gradient by theta, from dout, the gradient by g(x).

        The other arguments are those of ``forward``.
        """

    @abstractmethod
    def transform(self, theta, X, n_out):
        """Map dense or CSR rows with NumPy and SciPy alone; gives ndarray (n_rows, n_out)."""


class Alignment(Plugin):
    """A term of R(g) that draws the distributions of source and target together.

    It sees a batch of each. Every alignment has the constructor parameter ``where``, which says of
    what: "shared", the default, after the trunk, or "input", after the feature map. It may have
    parameters of its own, trained along with the rest.
    """

    group = "skmtl.alignments"

    #: Whether ``value_grad`` reads class codes; then source and target must share a head.
    needs_labels = False
    #: Whether the term is random, or has a player of its own that ascends it: not for lbfgs.
    needs_minibatches = False

    def n_params(self, n_features):
        """Give the length of the alignment's own parameter vector."""
        return 0

    def init(self, n_features, rng):
        """Give its parameters to start from, ndarray of shape (n_params,)."""
        return np.zeros(self.n_params(n_features))

    def n_work(self, n_source, n_target, n_features):
        """Give the length of the scratch array, for batches of at most these sizes."""
        return 0

    @staticmethod
    @abstractmethod
    def value_grad(theta, hs, ht, ys, yt, strength, hp, work, rng, dhs, dht, grad):
        """Give ``strength`` times the distance between the rows of hs and those of ht.

        Parameters
        ----------
        theta : ndarray of shape (n_params,)
            The alignment's own parameters.
        hs, ht : ndarray of shape (n_source, n_features) and (n_target, n_features)
            Rows of source and target. At least one of each.
        ys, yt : ndarray of shape (n_source,) and (n_target,), int64
            Their class codes, -1 where there is no label; all -1 unless ``needs_labels``.
        strength : float
            Coefficient of the term in the objective.
        hp : ndarray
            The plugin's numbers.
        work : ndarray, float64
            Scratch, of ``n_work`` numbers at least.
        rng : numpy.random.Generator
            ``rng.random()`` and ``rng.standard_normal()`` compile.
        dhs, dht : ndarray, shapes of hs and ht
            Added to: the gradient by hs and ht.
        grad : ndarray of shape (n_params,)
            Added to: the gradient that theta descends.

        Returns
        -------
        float
        """


class Weighting(Plugin):
    """A rule that weighs the tasks' terms anew at every step.

    With ``needs_gram`` the weights combine the tasks' gradients by the parameters that they share,
    and what belongs to one task alone follows that task's gradient as it is. Without, they multiply
    the whole term of each task.
    """

    group = "skmtl.weightings"

    #: Whether ``update`` reads the Gram matrix of the tasks' shared gradients.
    needs_gram = False
    #: Whether the first task is the one that counts, of a transfer the target, and the others are
    #: there to help it. Training then ends by the weighted objective. Of a transfer's stage without
    #: the target it has no part.
    has_main_task = False

    def n_state(self, n_tasks):
        """Give the length of the state, which starts at zero."""
        return 0

    @staticmethod
    @abstractmethod
    def update(losses, n_labels, gram, step, steps_per_epoch, hp, state, rng, weights):
        """Weigh the tasks.

        Parameters
        ----------
        losses : ndarray of shape (n_tasks,), float64
            This batch's estimate of each task's term, ``c_t L_t``; 0 for a task without labels.
        n_labels : ndarray of shape (n_tasks,), int64
            Labels of each task in the batch. A task without any must not change the weights of
            the others.
        gram : ndarray of shape (n_tasks, n_tasks), float64
            Inner products of the gradients of the tasks' terms by the shared parameters; zeros
            unless ``needs_gram``.
        step, steps_per_epoch : int
            Steps taken before this one; steps in an epoch.
        hp : ndarray
            The plugin's numbers.
        state : ndarray of shape (n_state,), float64
            Updated; also serves as scratch.
        rng : numpy.random.Generator
            ``rng.random()`` and ``rng.standard_normal()`` compile.
        weights : ndarray of shape (n_tasks,), float64
            Overwritten with finite numbers.
        """


class SourceWeighting(Plugin):
    """A rule that weighs the labelled rows of a source, before the fit, and in rounds during it.

    It is NumPy and SciPy, and is not compiled: ``hyper`` only checks the parameters.
    """

    group = "skmtl.source_weightings"

    #: Whether ``weigh`` reads the rows. Source and target then need the same columns, and the
    #: target's rows are all that there are, ``X_unlabeled`` too; without, they may be missing.
    reads_rows = True
    #: How often ``reweigh`` is called while target and source are trained together, each time
    #: after ``every`` more epochs. A rule with rounds has both among its parameters.
    n_rounds = 0
    every = 1

    @abstractmethod
    def weigh(self, X_source, y_source, X_target, y_target, rng):
        """Weigh the rows of a source.

        Parameters
        ----------
        X_source : {ndarray, CSR} of shape (n_source_rows, n_columns)
            The labelled rows of the source.
        y_source : ndarray of shape (n_source_rows,), int, or None
            Their class codes; None where labels are numbers.
        X_target : {ndarray, CSR} of shape (n_target_rows, n_columns)
        y_target : ndarray of shape (n_target_rows,), int, or None
            Codes of the same classes, -1 where missing; None where source and target have no head
            in common, or labels are numbers.
        rng : numpy.random.Generator

        Returns
        -------
        ndarray of shape (n_source_rows,)
            Finite numbers >= 0, not all 0. A fit scales them to a mean of 1.

        Raises
        ------
        ValueError
            If a parameter is out of range, or it needs classes and there are none.
        """

    def reweigh(self, weights, y_source, predicted, round):
        """Weigh the rows anew, from what the model makes of them; needed with ``n_rounds``.

        Parameters
        ----------
        weights : ndarray of shape (n_source_rows,)
            What they weigh now, with a mean of 1.
        y_source : ndarray of shape (n_source_rows,)
            Class codes, or numbers.
        predicted : ndarray of shape (n_source_rows, n_classes) or (n_source_rows,)
            Class probabilities, or numbers, by the source's head, which is the target's where they
            share one.
        round : int
            0, 1, ... ``n_rounds - 1``.

        Returns
        -------
        ndarray of shape (n_source_rows,)
            Finite numbers >= 0, not all 0. A fit scales them to a mean of 1.
        """
        raise NotImplementedError(f"{type(self).__name__} has n_rounds, and no reweigh.")


class Sharing(Plugin):
    r"""A way in which tasks share the trunk: its experts, who reads them, and how they are mixed.

    The hidden layers of the network are there once for each expert, with the same widths. The head
    of task t reads :math:`H_t(x) = \sum_e a_{te}(x) H_e(x)`, a mixture of what the experts give;
    the gate :math:`a_t` is zero for experts that the task may not read, and sums to one. A sharing
    describes that to the engine before the fit and has no part in it: its methods are ordinary
    Python, and may allocate.
    """

    group = "skmtl.sharings"

    #: The kind of gate. "fixed": equal parts of the experts that a task may read. "constant": a
    #: softmax over them of numbers that are learned, one for each task and expert. "linear": a
    #: softmax of an affine function of x that is learned. Where every task reads one expert alone
    #: there is nothing to mix, and any gate is "fixed".
    gate = "fixed"
    #: Whether one head serves all tasks, which then must have labels of one kind.
    shares_heads = False

    @abstractmethod
    def experts(self, n_tasks):
        """Say which experts each task may read.

        Parameters
        ----------
        n_tasks : int
            At least 1.

        Returns
        -------
        ndarray of shape (n_tasks, n_experts), bool
            At least one expert for each task, and one task for each expert.

        Raises
        ------
        ValueError
            If there is no such sharing of this many tasks.
        """

    def init(self, n_tasks, rng):
        """Give the numbers, before the softmax, from which gates start that are learned.

        By default zeros: equal parts. The matrix of a linear gate starts at zero, so that these
        are its offsets. Experts always start from random weights of their own.

        Parameters
        ----------
        n_tasks : int
        rng : numpy.random.Generator

        Returns
        -------
        ndarray of shape (n_tasks, n_experts)
            Finite; read where a task may read the expert.
        """
        return np.zeros(self.experts(n_tasks).shape)


class Optimizer(Plugin):
    """A rule that turns a gradient into a step."""

    group = "skmtl.optimizers"

    #: Arrays of the size of theta that the rule keeps; they start at zero.
    n_slots = 0

    #: ``catch_up(theta, grad, state, rows, since, width, first, step, decay, lr, hp, work)``,
    #: static, or None: many steps of parameters that had a gradient in the first of these alone. It
    #: makes fits on sparse X fast: a column's weights take their steps when a batch has the column.
    #: It must come to what ``step`` comes to one by one, and be defined in the same class.
    #:
    #: theta, grad : ndarray of shape (n_rows * width,)
    #:     Rows of parameters, updated; and their gradients, which it leaves at zero.
    #: state : ndarray of shape (n_slots, n_rows * width)
    #:     Updated.
    #: rows, since : ndarray of shape (n_behind,), int64
    #:     Which rows, and how many steps each has taken: it takes those up to ``step``.
    #: width : int
    #: first, step : int
    #:     Steps taken before this epoch, and before now.
    #: decay : float
    #:     In every step ``decay * theta`` is added to the gradient.
    #: lr : float
    #: hp : ndarray
    #: work : ndarray of shape (n_catch_up_work,), float64
    #:     Starts at zero in every epoch, and is left as it was from call to call.
    #:
    #: It gives the sum over rows and steps of the squares of theta before the step, where ``decay``
    #: is not 0.
    catch_up = None

    @classmethod
    def catches_up(cls):
        """Whether there is a ``catch_up`` that belongs to ``step``: of the same class."""
        owner = next(c for c in cls.__mro__ if "step" in vars(c))
        return vars(owner).get("catch_up") is not None

    def n_catch_up_work(self, n_steps):
        """Give the length of the array that ``catch_up`` keeps in an epoch of ``n_steps`` steps."""
        return 0

    def step_length(self):
        """Give the length of a step in learning rates, where the gradient stays as it is.

        1 for plain descent, 1 / (1 - momentum) with momentum: proximal steps are as long. None, the
        default, where every parameter has a scale of its own, so that no one length fits.
        """
        return None

    @staticmethod
    @abstractmethod
    def step(theta, grad, state, lr, step, hp):
        """Take one step.

        Parameters
        ----------
        theta : ndarray of shape (n_parameters,)
            Updated.
        grad : ndarray of shape (n_parameters,)
        state : ndarray of shape (n_slots, n_parameters)
            Updated.
        lr : float
            Learning rate of this step.
        step : int
            Steps taken before this one.
        hp : ndarray
            The plugin's numbers.
        """
