"""Labels hidden at random."""

import numpy as np

__all__ = ["check_missing", "hide_labels"]


def check_missing(missing):
    """Refuse what is not a fraction of labels to hide."""
    if not 0 <= missing < 1:
        raise ValueError(f"missing must be a fraction in [0, 1), got {missing!r}")


def hide_labels(target, missing, rng):
    """Overwrite a fraction of each column's labels with NaN, drawn for each column by itself."""
    for column in target.T:
        observed = np.flatnonzero(~np.isnan(column))
        column[rng.permutation(observed)[: round(missing * len(observed))]] = np.nan
