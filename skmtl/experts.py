"""From a way of sharing to the engine's experts and gates."""

import numpy as np

GATES = "fixed", "constant", "linear"


def experts_of(sharing, n_tasks, hidden):
    """The fields of an ``Architecture`` that a sharing decides.

    Experts are hidden layers. Without these, experts under fixed gates all hand on the input, and
    one stands for them; under learned gates they are a mistake.

    Parameters
    ----------
    sharing : Sharing
    n_tasks : int
    hidden : tuple of int
        Widths of the trunk's layers.

    Returns
    -------
    dict
        ``gate_mask`` and ``gate``.

    Raises
    ------
    ValueError
        If a parameter of the sharing is out of range, if it does not keep its contract, or if there
        are gates to learn and no hidden layers.
    """
    sharing.hyper()
    name = type(sharing).__name__
    mask = np.asarray(sharing.experts(n_tasks))
    if mask.ndim != 2 or len(mask) != n_tasks or mask.dtype != bool or not mask.any(axis=1).all():
        raise ValueError(
            f"{name}.experts({n_tasks}) must give a bool array with a row for each task, and an "
            f"expert to read in each. Got {mask!r} instead."
        )
    if sharing.gate not in GATES:
        raise ValueError(f"{name}.gate must be one of {', '.join(GATES)}. Got {sharing.gate!r}.")
    gate = sharing.gate if (mask.sum(axis=1) > 1).any() else "fixed"  # nothing to mix
    if not hidden:
        if gate != "fixed":
            raise ValueError(
                f"{name} mixes experts, which are hidden layers, and hidden_layer_sizes=() has "
                "none. For experts that are linear take hidden_layer_sizes=(k,) and "
                "activation='identity', with k the outputs of a head: 1 for two classes, else one "
                "for each class."
            )
        mask = np.ones((n_tasks, 1), bool)
    return {"gate_mask": tuple(map(tuple, mask.tolist())), "gate": gate}


def start_gates(sharing, layout, theta, rng):
    """Write what the gates start from into theta; nothing where they are fixed."""
    logits = layout.gate_offsets(theta)
    if logits is None:
        return
    start = np.asarray(sharing.init(len(logits), rng))
    if start.shape != logits.shape or not np.isfinite(start).all():
        raise ValueError(
            f"{type(sharing).__name__}.init({len(logits)}, rng) must give finite numbers of shape "
            f"{logits.shape}. Got {start!r} instead."
        )
    logits[...] = start
