"""The network in NumPy and SciPy alone, for prediction: no compiler needed."""

import numpy as np
from scipy.special import erf, expit, softmax

from skmtl.engine.layout import CONSTANT, FIXED

ACTIVATE = {
    "identity": lambda z: z,
    "relu": lambda z: np.maximum(z, 0, out=z),
    "tanh": lambda z: np.tanh(z, out=z),
    "logistic": lambda z: expit(z, out=z),
    "gelu": lambda z: z * (0.5 * (1 + erf(z * np.sqrt(z.dtype.type(0.5))))),
    "silu": lambda z: z * expit(z),
}

# Numbers of a layer that are computed at a time: 1 MB in float32, so that a layer stays in the
# cache of a core.
BLOCK = 1 << 18
FEWEST_ROWS = 512  # in a block: BLAS is slower on fewer


def in_blocks(function, layout, X):
    """What a function gives for rows, computed for a block of them at a time.

    The layers of a block stay in the cache, and memory beyond the results is that of a block.

    Parameters
    ----------
    function : callable
        From rows to a list of arrays with as many rows.
    layout : Layout
    X : {ndarray, CSR} of shape (n_rows, n_columns)

    Returns
    -------
    list of ndarray
    """
    n_rows, n = X.shape[0], _rows_of_block(layout.architecture)
    if n_rows <= n:
        return function(X)
    results = []
    for start in range(0, n_rows, n):
        parts = function(X[start : start + n])
        if not results:
            results = [np.empty((n_rows, *part.shape[1:]), part.dtype) for part in parts]
        for result, part in zip(results, parts, strict=True):
            result[start : start + n] = part
    return results


def _rows_of_block(architecture):
    a = architecture
    return max(FEWEST_ROWS, BLOCK // max(*a.hidden, *a.head_hidden, sum(a.n_outputs), 1))


def shared_representations(layout, theta, Z, tasks):
    """Yield what the head of each task reads; an expert runs once for tasks in a row that read it.

    Parameters
    ----------
    layout : Layout
    theta : ndarray of shape (layout.size,)
    Z : {ndarray, CSR} of shape (n_rows, n_inputs)
        Rows in the trunk's input space.
    tasks : iterable of int

    Yields
    ------
    ndarray or CSR of shape (n_rows, n_shared)
        Z itself where the trunk is empty.
    """
    architecture, outputs = layout.architecture, {}
    for task in tasks:
        if not architecture.hidden:
            yield Z
            continue
        allowed = [e for e, reads in enumerate(architecture.gate_mask[task]) if reads]
        outputs = {
            e: outputs[e] if e in outputs else _run_chain(layout, theta, layout.trunk[e], Z)
            for e in allowed
        }
        yield _mix(layout, theta, Z, task, allowed, list(outputs.values()))


def expert_outputs(layout, theta, Z):
    """What each expert of a trunk gives, a list of ndarrays of shape (n_rows, n_shared)."""
    return [_run_chain(layout, theta, chain, Z) for chain in layout.trunk]


def gate_weights(layout, theta):
    """The part of each expert in what each task reads, ndarray of shape (n_tasks, n_experts).

    None where it depends on the row.
    """
    architecture = layout.architecture
    if architecture.gate == "linear":
        return None
    mask = np.array(architecture.gate_mask)
    logits = np.zeros(mask.shape, theta.dtype)
    if architecture.gate == "constant":
        logits[...] = layout.gate_offsets(theta)
    logits[~mask] = -np.inf
    return softmax(logits, axis=1)


def head_factor(layout, theta):
    """The trunk's linear last layer, ndarray of shape (n_in, n_shared), stacked over experts.

    None where there is no such layer.
    """
    if not layout.architecture.linear_last:
        return None
    factors = [layout.weight_bias(theta, chain[-1])[0] for chain in layout.trunk.tolist()]
    return factors[0] if len(factors) == 1 else np.stack(factors)


def shared_representation(layout, theta, Z, task=0):
    """What the head of one task reads, see ``shared_representations``."""
    return next(shared_representations(layout, theta, Z, [task]))


def _mix(layout, theta, Z, task, allowed, outputs):
    """The outputs of the experts that a task may read, mixed by its gate."""
    kind, offset = layout.gates[task]
    if kind == FIXED:
        return outputs[0] if len(outputs) == 1 else sum(outputs) / len(outputs)
    architecture = layout.architecture
    n_experts = architecture.n_experts
    logits = theta[offset : offset + n_experts][allowed]
    if kind != CONSTANT:
        start = offset + n_experts
        weight = theta[start : start + architecture.n_inputs * n_experts]
        logits = logits + np.asarray(Z @ weight.reshape(-1, n_experts)[:, allowed])
    gate = np.atleast_2d(softmax(logits, axis=-1))
    return sum(gate[:, [e]] * h for e, h in enumerate(outputs))


def task_outputs(layout, theta, Z, tasks):
    """The outputs of the heads of some tasks, a list of ndarrays of shape (n_rows, n_out).

    Heads without hidden layers that all read the same are one product, whichever tasks are asked
    for, so that a task has the same bits alone and among others: columns of one array.
    """
    architecture = layout.architecture
    if architecture.n_experts == 1 and not architecture.head_hidden:
        H = shared_representation(layout, theta, Z)
        out = _affine(H, *layout.all_outputs(theta))
        return [out[:, layout.output_columns[architecture.task_heads[task]]] for task in tasks]
    shared = shared_representations(layout, theta, Z, tasks)
    return [head_output(layout, theta, H, task) for task, H in zip(tasks, shared, strict=True)]


def head_output(layout, theta, H, task=0):
    """The outputs of a task's head from what it reads, ndarray of shape (n_rows, n_out)."""
    head = layout.architecture.task_heads[task]
    H = _run_chain(layout, theta, layout.heads[head], H)
    return _affine(H, *layout.output_weight_bias(theta, head))


def _run_chain(layout, theta, chain, H):
    activate = ACTIVATE[layout.architecture.activation]
    for layer in chain.tolist():  # Python's numbers: slices by NumPy's take twice as long
        weight, bias = layout.weight_bias(theta, layer)
        H = activate(_affine(H, weight, bias)) if bias.size else np.asarray(H @ weight)
    return H


def _affine(H, weight, bias):
    out = np.asarray(H @ weight)
    out += bias
    return out
