"""The first stage of fine-tuning, which fits on the folds of one target may have in common."""

from typing import Any, NamedTuple

import joblib


class FirstStage(NamedTuple):
    """What training on the sources alone leaves.

    Attributes
    ----------
    pretrained : Pretrained
    losses : list of float
        The objective by epoch.
    map_params : list of ndarray or None
        Of each source's feature map.
    source_weights : ndarray of shape (n_sources,)
        What each source weighed.
    rng_state : dict
        Of the fit's random generator at the end of the stage.
    ended : bool
        Whether the user, or a callback, ended the whole fit.
    """

    pretrained: Any
    losses: list
    map_params: list
    source_weights: Any
    rng_state: dict
    ended: bool


def start_of(problem, classes):
    """A digest of all that tells apart the first stages of estimators with the same parameters.

    Where anything reads the target's rows, as an alignment does, it differs from fold to fold.

    Parameters
    ----------
    problem : Problem
        Not trained yet.
    classes : ndarray or None
        Labels of its first head: a head that is shared knows those of the target's fold too.

    Returns
    -------
    str
    """
    return joblib.hash(
        [
            problem.theta,
            problem.training.rng.bit_generator.state,
            [(domain.X, domain.also_rows) for domain in problem.domains],
            [(task.rows, task.y, task.weight, task.coefficient) for task in problem.tasks],
            classes,
        ]
    )
