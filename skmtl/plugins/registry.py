"""Plugins by name, read from entry points on first use."""

import functools
import inspect
from importlib.metadata import entry_points

from skmtl.plugins import base

KINDS = {
    "losses": base.Loss,
    "penalties": base.Penalty,
    "feature_maps": base.FeatureMap,
    "alignments": base.Alignment,
    "weightings": base.Weighting,
    "source_weightings": base.SourceWeighting,
    "sharings": base.Sharing,
    "optimizers": base.Optimizer,
}


def available(kind=None):
    """Names of the installed plugins.

    Parameters
    ----------
    kind : {"losses", "penalties", "feature_maps", "alignments", "weightings", \
            "source_weightings", "sharings", "optimizers"}, default=None
        One kind, or all.

    Returns
    -------
    list of str, or dict of such lists by kind

    Examples
    --------
    >>> import skmtl.plugins
    >>> skmtl.plugins.available("optimizers")
    ['adagrad', 'adam', 'adamw', 'lion', 'nadam', 'rmsprop', 'sgd']
    """
    if kind is None:
        return {kind: available(kind) for kind in KINDS}
    if kind not in KINDS:
        raise ValueError(f"unknown plugin kind {kind!r}; there are {', '.join(KINDS)}")
    return sorted(_installed(kind))


def resolve(kinds, plugin, parameter, also=()):
    """The plugin instance that a parameter asks for.

    Parameters
    ----------
    kinds : str or tuple of str
        Keys of ``KINDS``: what the parameter may be.
    plugin : str or Plugin
        A name among the installed plugins, or an instance.
    parameter : str
        Name of the estimator's parameter, for the error message.
    also : tuple of str, default=()
        Names that the parameter takes besides those of plugins, for the same message.

    Returns
    -------
    Plugin

    Raises
    ------
    ValueError
        If the name is unknown, or two distributions give it.
    TypeError
        If it is neither an instance of the kind nor the name of one.
    """
    kinds = (kinds,) if isinstance(kinds, str) else kinds
    contracts = tuple(KINDS[kind] for kind in kinds)
    wanted = " or ".join(f"skmtl.plugins.base.{contract.__name__}" for contract in contracts)
    if isinstance(plugin, contracts):
        return plugin
    if not isinstance(plugin, str):
        hint = " Pass an instance, not the class." if inspect.isclass(plugin) else ""
        raise TypeError(
            f"The {parameter!r} parameter must be a name or an instance of {wanted}. "
            f"Got {plugin!r} instead.{hint}"
        )
    found = [point for kind in kinds for point in _installed(kind).get(plugin, ())]
    if not found:
        names = [name for kind in kinds for name in available(kind)]
        raise ValueError(
            f"The {parameter!r} parameter: unknown name {plugin!r}; installed: "
            f"{', '.join([*names, *also])}"
        )
    if len(found) > 1:
        owners = ", ".join(sorted(f"{point.dist.name} ({point.value})" for point in found))
        raise ValueError(
            f"The {parameter!r} parameter: the name {plugin!r} is given by several "
            f"distributions: {owners}. Uninstall one, or pass an instance."
        )
    instance = found[0].load()()
    if not isinstance(instance, contracts):
        raise TypeError(
            f"The {parameter!r} parameter: {plugin!r} of {found[0].dist.name} "
            f"({found[0].value}) is no {wanted}."
        )
    return instance


@functools.cache
def _installed(kind):
    """Entry points of a kind by name; a list, because two distributions may give one name."""
    found = {}
    for point in entry_points(group=KINDS[kind].group):
        same = found.setdefault(point.name, [])
        if all((p.value, p.dist.name) != (point.value, point.dist.name) for p in same):
            same.append(point)
    return found
