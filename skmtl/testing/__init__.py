"""Checks for authors of plugins, as scikit-learn's ``check_estimator`` is for estimators.

Each check is a function of a plugin that raises AssertionError; the message names the plugin and
the check, says what went wrong, and what to do. Those of all kinds are in ``estimators`` and
``functions``, the others in a module for each kind.
"""

from skmtl.plugins import base
from skmtl.testing import (
    alignments,
    estimators,
    feature_maps,
    functions,
    losses,
    optimizers,
    penalties,
    sharings,
    source_weightings,
    weightings,
)
from skmtl.testing.calls import CONTRACTS, kind_of

__all__ = ["check_plugin", "parametrize_with_plugin_checks", "plugin_checks"]

_OF_KIND = {
    base.Loss: losses.checks_of,
    base.Penalty: penalties.checks_of,
    base.FeatureMap: feature_maps.checks_of,
    base.Alignment: alignments.checks_of,
    base.Weighting: weightings.checks_of,
    base.SourceWeighting: source_weightings.checks_of,
    base.Sharing: sharings.checks_of,
    base.Optimizer: optimizers.checks_of,
}


def plugin_checks(plugin):
    """Generate the checks that a plugin must pass.

    Parameters
    ----------
    plugin : Plugin
        An instance of a plugin of any kind.

    Yields
    ------
    name : str
    check : callable
        Takes the plugin; raises AssertionError.

    Raises
    ------
    TypeError
        If it is no plugin.

    Examples
    --------
    >>> from skmtl.plugins.losses import LogLoss
    >>> from skmtl.testing import plugin_checks
    >>> [name for name, _ in plugin_checks(LogLoss())][:3]
    ['check_constructor', 'check_hyper', 'check_parameters']
    """
    kind = kind_of(plugin)
    compiled = functions.CHECKS if CONTRACTS[kind] else ()
    for check in (*estimators.CHECKS, *compiled, *_OF_KIND[kind](plugin)):
        yield check.__name__, check


def check_plugin(plugin):
    """Check that a plugin keeps the contract of its kind.

    Parameters
    ----------
    plugin : Plugin
        An instance of a plugin of any kind.

    Raises
    ------
    AssertionError
        At the first check that fails.
    TypeError
        If it is no plugin.

    Examples
    --------
    >>> from skmtl.plugins.losses import LogLoss
    >>> from skmtl.testing import check_plugin
    >>> check_plugin(LogLoss())
    """
    for _, check in plugin_checks(plugin):
        check(plugin)


def parametrize_with_plugin_checks(plugins):
    """Decorate a test with one case for each plugin and check.

    Parameters
    ----------
    plugins : list of Plugin
        Instances of plugins of any kinds.

    Returns
    -------
    decorator
        For a test function with the arguments ``plugin`` and ``check``.

    Examples
    --------
    >>> from skmtl.plugins.losses import LogLoss
    >>> from skmtl.testing import parametrize_with_plugin_checks
    >>> @parametrize_with_plugin_checks([LogLoss()])
    ... def test_my_plugin(plugin, check):
    ...     check(plugin)
    """
    import pytest

    return pytest.mark.parametrize(
        "plugin, check",
        [
            pytest.param(plugin, check, id=f"{plugin}-{name}")
            for plugin in plugins
            for name, check in plugin_checks(plugin)
        ],
    )
