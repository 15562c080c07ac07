"""Which candidates a source, its labels and the estimator's parameters allow."""

import numpy as np

from skmtl.plugins.base import Alignment
from skmtl.plugins.feature_maps import Identity
from skmtl.plugins.registry import resolve
from skmtl.tasks import union_of_labels

#: Steps of the target alone that are enough, unless ``max_iter`` asks for more.
MOST_STEPS = 5_000


def plain_choice(estimator, candidates):
    """What to do with a source that nothing tells how to use: fine-tune, with the plainest mu."""

    def oddity(candidate):
        params = candidate.params
        unlike = (
            abs(params["mu"] - estimator.mu),
            abs(np.log(params.get("lam", 1.0))),
            abs(params.get("alpha", estimator.alpha) - estimator.alpha),
        )
        return params["strategy"] != "finetune", *unlike

    choices = [c for c in candidates if c.params["strategy"] in ("finetune", "joint")]
    return min(choices, key=oddity)


def as_many_steps(estimator, n_target, n_source):
    """Epochs in which the target takes as many steps by itself as it would beside the source.

    An epoch passes over the larger domain: with few labels the target by itself would take a step
    or two in each, and lose to the source for want of training.
    """
    if estimator._uses_lbfgs:
        return estimator.max_iter
    n_together = max(n_target, n_source)
    together, alone = (-(-n // estimator._rows_of_a_batch(n)) for n in (n_together, n_target))
    steps = min(estimator.max_iter * together, max(MOST_STEPS, estimator.max_iter * alone))
    return -(-steps // alone)


def as_patient(estimator, n_epochs):
    """What to set for a target that trains for so many epochs: its ``tol`` waits for as many steps.

    Ten epochs of one step each without progress say little. MNIST to five and ten digits a class:
    what the search refits gained .004 and .005 in accuracy, 10 draws.
    """
    if estimator._uses_lbfgs:
        return {"max_iter": n_epochs}
    n_waited = estimator._schedule(n_epochs).n_iter_no_change
    return {"max_iter": n_epochs, "n_iter_no_change": n_waited}


def maps_or_aligns(estimator):
    """Whether mu has an effect."""
    map_penalty = resolve(("penalties", "alignments"), estimator.map_penalty, "map_penalty")
    feature_map = resolve("feature_maps", estimator.feature_map, "feature_map")
    return isinstance(map_penalty, Alignment) or not isinstance(feature_map, Identity)


def without_pretraining(estimator):
    """What to set where nothing is fine-tuned: parameters that need weights from a source."""
    reset = {}
    if estimator.unfreeze_every is not None:
        reset["unfreeze_every"] = None
    if estimator.layer_decay != 1:
        reset["layer_decay"] = 1.0
    if estimator.source_model is None:
        if estimator.freeze:
            reset["freeze"] = 0
        if resolve("penalties", estimator.penalty, "penalty").needs_pretrained:
            reset["penalty"] = "l2"
    return reset


def ways_to_share(estimator, strategies, lams, mus, n_epochs):
    """What to set for each candidate that uses the source, with those that lean on it least last.

    ``n_epochs`` are those of the target's stage of fine-tuning.
    """
    of_strategy = {
        strategy: {"strategy": strategy, **without_pretraining(estimator)}
        for strategy in strategies
    }
    of_strategy["finetune"] = {
        "strategy": "finetune",
        **as_patient(estimator, n_epochs),
        "pretrain_max_iter": estimator._n_pretrain_epochs,
    }
    of_lam = {"joint": [{"lam": float(lam)} for lam in lams]}
    return [
        {**of_strategy[strategy], **lam, "mu": float(mu)}
        for strategy in strategies
        for lam in of_lam.get(strategy, [{}])
        for mu in mus
    ]


def possible_ends(classes, source_classes, share_head):
    """Of "source_only" and "pooled" those that these labels allow."""
    try:
        union_of_labels([classes, *source_classes])
    except TypeError:
        return []
    same = all(np.array_equal(one, source_classes[0]) for one in source_classes)
    return ["source_only", "pooled"] if same or share_head is True else ["pooled"]
