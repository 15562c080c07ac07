"""The conformance kit: every built-in plugin passes, and every broken one fails its own check."""

import inspect
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from broken_plugins import BROKEN, Distance, MeanGap
from tables import QUICK, blobs, source_of

import skmtl.testing.__main__ as command
from skmtl import MultiTaskClassifier, TransferClassifier
from skmtl.plugins import available, base, resolve
from skmtl.plugins.losses import LogLoss
from skmtl.plugins.optimizers import SGD, Adam, AdamW
from skmtl.plugins.penalties import L2, ElasticNet
from skmtl.plugins.registry import KINDS
from skmtl.testing import check_plugin, parametrize_with_plugin_checks, plugin_checks
from skmtl.testing.calls import CONTRACTS
from skmtl.testing.estimators import check_pickle
from skmtl.testing.functions import check_cached, compiled_by_another

ROOT = Path(__file__).parents[1]

# --- the plugins that are there ------------------------------------------------------------------

INSTALLED = [resolve(kind, name, "p") for kind, names in available().items() for name in names]
VARIANTS = [
    *(ElasticNet(ratio) for ratio in (0.0, 1.0)),
    *(SGD(0.0), SGD(0.5, nesterov=False), AdamW(weight_decay=0.2)),
    *(type(p)(where="input") for p in INSTALLED if isinstance(p, base.Alignment)),
]


@parametrize_with_plugin_checks([Distance(), MeanGap(where="input")])
def test_plugins_keep_their_contracts(plugin, check):
    check(plugin)


@pytest.mark.parametrize(
    "plugin, check",
    [
        pytest.param(plugin, check, id=f"{plugin}-{name}")
        for plugin in [*INSTALLED, *VARIANTS]
        for name, check in plugin_checks(plugin)
        if name != "check_cached"  # it starts a process; below one serves all
    ],
)
def test_our_plugins_keep_their_contracts(plugin, check):
    check(plugin)


def test_our_plugins_are_cached():
    assert compiled_by_another([*INSTALLED, *VARIANTS]) == []


@pytest.mark.parametrize(
    "plugin",
    [
        ElasticNet(1.5),
        ElasticNet(-0.1),
        ElasticNet("a"),
        ElasticNet(np.nan),
        SGD(1.0),
        SGD(-0.1),
        Adam(beta_1=1.0),
        Adam(beta_2=-1.0),
        Adam(epsilon=0.0),
        Adam(epsilon=np.inf),
        AdamW(weight_decay=-1.0),
        AdamW(weight_decay=None),
        AdamW(beta_1=2.0),
    ],
    ids=str,
)
def test_bad_numbers_are_named(plugin):
    (name, value) = next(
        (n, v) for n, v in plugin.get_params().items() if v != type(plugin)().get_params()[n]
    )
    with pytest.raises(ValueError, match=f"'{name}' parameter of .* Got {value!r}"):
        plugin.hyper()


def test_hyper_is_alphabetical_by_default():
    class Two(L2):
        def __init__(self, b=1, a=2):
            self.b, self.a = b, a

    assert Two().hyper() == [2.0, 1.0]


# --- the kit ------------------------------------------------------------------------------------


def test_the_kit_and_the_contracts_name_the_same_arguments():
    assert set(CONTRACTS) == set(KINDS.values())
    for kind, functions in CONTRACTS.items():
        abstract = {name for name in kind.__abstractmethods__ if name in functions}
        assert abstract or not functions
        for name in abstract:
            names = " ".join(inspect.signature(getattr(kind, name)).parameters)
            assert functions[name].names == names


@pytest.mark.parametrize(
    "plugin, check, message", BROKEN, ids=[f"{type(p).__name__}-{c}" for p, c, _ in BROKEN]
)
def test_broken_plugins_are_found_out(plugin, check, message):
    checks = dict(plugin_checks(plugin))
    with pytest.raises(AssertionError) as caught:
        checks[check](plugin)
    text = str(caught.value)
    assert text.startswith(f"{type(plugin).__name__} fails {check}: ")
    assert re.search(message, text), text
    assert text.endswith("."), text


def test_every_check_finds_something_broken():
    """But for fits of kinds whose other checks see all that a fit can show."""
    every = {
        name
        for plugin in (LogLoss(), Distance(), *(p for p, _, _ in BROKEN))
        for name, _ in plugin_checks(plugin)
    }
    seen = {check for _, check, _ in BROKEN}
    rest = {name for name in every - seen if not name.endswith("_fit")}
    assert rest == {"check_cached"}  # below


def test_three_of_each_kind_are_broken():
    for kind in CONTRACTS:
        assert len([plugin for plugin, _, _ in BROKEN if isinstance(plugin, kind)]) >= 3


def test_check_plugin_stops_at_the_first_failure():
    plugin = next(p for p, check, _ in BROKEN if check == "check_loss_gradient")
    with pytest.raises(AssertionError, match="^WrongGradient fails check_loss_gradient: "):
        check_plugin(plugin)


@pytest.mark.parametrize("plugin", [LogLoss, "log_loss", None])
def test_only_instances_are_checked(plugin):
    with pytest.raises(TypeError, match="is no plugin: derive its class from one of Loss, Penalty"):
        check_plugin(plugin)


def test_classes_that_no_other_process_finds_are_told():
    class Local(L2):
        pass

    with pytest.raises(AssertionError, match="^Local fails check_cached: Its class lives in .*<lo"):
        check_cached(Local())
    with pytest.raises(AssertionError, match="^Local fails check_pickle: .*top level of a module"):
        check_pickle(Local())


def test_a_class_of_main_is_told():
    script = """
from skmtl.plugins.penalties import L2
from skmtl.testing.functions import check_cached
class Mine(L2):
    pass
check_cached(Mine())
"""
    result = _python(script)
    assert result.returncode == 1
    assert "Mine fails check_cached: Its class lives in __main__" in result.stderr


def test_a_second_process_that_compiles_is_told(tmp_path):
    """Here because a global that the function reads is another one in each process."""
    (tmp_path / "unsteady.py").write_text(
        "import os\n"
        "from skmtl.plugins.penalties import L2\n"
        "PROCESS = float(os.getpid())\n"
        "class Unsteady(L2):\n"
        "    @staticmethod\n"
        "    def value_grad(theta, layout, strength, hp, constants, work, grad):\n"
        "        return PROCESS\n"
    )
    script = "import unsteady, skmtl.testing.functions as f; f.check_cached(unsteady.Unsteady())"
    result = _python(script, tmp_path)
    assert "Unsteady fails check_cached: A second process compiles anew" in result.stderr
    assert "globals that differ between processes" in result.stderr


def _python(script, *folders):
    path = os.pathsep.join(map(str, (*folders, ROOT)))
    return subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_table_of_what_is_installed(monkeypatch, capsys):
    """One plugin that keeps its contract and one that does not."""
    wrong = next(p for p, check, _ in BROKEN if check == "check_optimizer_descent")
    plugins = {"good": SGD(), "wrong": wrong}
    monkeypatch.setattr(command, "available", lambda kind=None: [*plugins] if kind else ["one"])
    monkeypatch.setattr(command, "resolve", lambda kind, name, parameter: plugins[name])
    assert command.main(["one"]) == 1
    lines = capsys.readouterr().out.splitlines()
    marks = {line.split()[0]: line.split()[1:] for line in lines if line.strip()}
    assert set(marks["good"]) == {"."}
    assert len(marks["good"]) == len(list(plugin_checks(SGD())))
    assert "F" in marks["wrong"]
    assert any(line.startswith(f"{type(wrong).__name__} fails check_opt") for line in lines)
    plugins.pop("wrong")
    assert command.main([]) == 0
    assert capsys.readouterr().out.endswith("All plugins keep their contracts.\n")


def test_importing_the_kit_compiles_nothing():
    script = "import sys, skmtl.testing; print({'numba', 'pytest'} & set(sys.modules))"
    assert _python(script).stdout == "set()\n"


# --- mistakes of users, at fit time --------------------------------------------------------------


def _fit(**parameters):
    X, y = blobs()
    MultiTaskClassifier(**{**QUICK, "max_iter": 1, **parameters}).fit(X, y)


def _transfer(**parameters):
    X, y = blobs()
    TransferClassifier(**{**QUICK, "max_iter": 1, **parameters}).fit(X, y, **source_of())


def _broken(name):
    return next(p for p, _, _ in BROKEN if type(p).__name__ == name)


MISTAKES = {
    "unknown name": (lambda: _fit(loss="hubr"), ValueError, "'loss'.*'hubr'; installed: "),
    "unknown penalty": (lambda: _fit(penalty="l3"), ValueError, "'penalty'.*'l3'; installed: "),
    "class": (lambda: _fit(loss=LogLoss), TypeError, "'loss'.*Pass an instance, not the class"),
    "wrong kind": (lambda: _fit(weighting=L2()), ValueError, "'weighting' parameter"),
    "numbers": (lambda: _fit(loss=Distance()), ValueError, "must be a loss on classes.*Distance"),
    "NaN gradient": (
        lambda: _fit(loss=_broken("NanGradient")),
        ValueError,
        "stopped being finite in epoch 1",
    ),
    "bad number": (
        lambda: _fit(penalty=ElasticNet(2.0)),
        ValueError,
        "'l1_ratio' parameter of ElasticNet must be a number in .0, 1.. Got 2.0",
    ),
    "closure": (
        lambda: _fit(penalty=_broken("Closed")),
        TypeError,
        "value_grad must be a plain function without closure",
    ),
    "renamed": (
        lambda: _fit(penalty=_broken("Renamed")),
        TypeError,
        r"Renamed.value_grad takes \(theta, blocks, .* its kind takes \(theta, layout, strength",
    ),
    "argument missing": (
        lambda: _fit(solver=_broken("ArgumentMissing")),
        TypeError,
        r"ArgumentMissing.step takes \(theta, grad, state, lr, hp\), but .* state, lr, step, hp\)",
    ),
    "self": (
        lambda: _fit(penalty=_broken("WithSelf")),
        TypeError,
        "WithSelf.value_grad takes .*@staticmethod in place of self",
    ),
    "objects": (
        lambda: _fit(penalty=_broken("NeedsObjects")),
        TypeError,
        "NeedsObjects.value_grad cannot be compiled for float64: .*'object'",
    ),
    "string in hyper": (
        lambda: _fit(penalty=_broken("StringInHyper")),
        ValueError,
        r"StringInHyper.hyper\(\) must give a flat list of finite floats.* Got \['squared'\]",
    ),
    "None in hyper": (
        lambda: _fit(penalty=_broken("NoneInHyper")),
        ValueError,
        r"NoneInHyper.hyper\(\) must give",
    ),
    "NaN in hyper": (
        lambda: _fit(penalty=_broken("NanInHyper")),
        ValueError,
        r"NanInHyper.hyper\(\) must give",
    ),
    "NaN gradient is somebody's": (
        lambda: _fit(loss=_broken("NanGradient")),
        ValueError,
        "look at NanGradient with skmtl.testing.check_plugin",
    ),
    "class as map": (
        lambda: _transfer(feature_map=L2()),
        ValueError,
        "'feature_map' parameter",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_are_named(mistake):
    fit, error, message = MISTAKES[mistake]
    with pytest.raises(error, match=message):
        fit()
