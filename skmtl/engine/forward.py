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


def shared_representation(layout, theta, Z, task=0):
    """What the head of a task reads.

    Parameters
    ----------
    layout : Layout
    theta : ndarray of shape (layout.size,)
    Z : {ndarray, CSR} of shape (n_rows, n_inputs)
        Rows in the trunk's input space.
    task : int, default=0

    Returns
    -------
    ndarray or CSR of shape (n_rows, n_shared)
        Z itself where the trunk is empty.
    """
    architecture = layout.architecture
    if not architecture.hidden:
        return Z
    allowed = np.flatnonzero(architecture.gate_mask[task])
    outputs = [_run_chain(layout, theta, layout.trunk[expert], Z) for expert in allowed]
    kind, offset = layout.gates[task]
    if kind == FIXED:
        return outputs[0] if len(outputs) == 1 else sum(outputs) / len(outputs)
    n_experts = architecture.n_experts
    logits = theta[offset : offset + n_experts][allowed]
    if kind != CONSTANT:
        start = offset + n_experts
        weight = theta[start : start + architecture.n_inputs * n_experts]
        logits = logits + np.asarray(Z @ weight.reshape(-1, n_experts)[:, allowed])
    gate = np.atleast_2d(softmax(logits, axis=-1))
    return sum(gate[:, [e]] * h for e, h in enumerate(outputs))


def head_output(layout, theta, H, task=0):
    """The outputs of a task's head from what it reads, ndarray of shape (n_rows, n_out)."""
    head = layout.architecture.task_heads[task]
    H = _run_chain(layout, theta, layout.heads[head], H)
    weight, bias = layout.output_weight_bias(theta, head)
    return np.asarray(H @ weight) + bias


def _run_chain(layout, theta, chain, H):
    activate = ACTIVATE[layout.architecture.activation]
    for layer in chain:
        weight, bias = layout.weight_bias(theta, layer)
        H = np.asarray(H @ weight)
        H += bias
        H = activate(H)
    return H
