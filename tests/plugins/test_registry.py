"""Plugins by name."""

import importlib
from importlib.metadata import EntryPoint
from types import SimpleNamespace

import pytest

import skmtl.plugins
from skmtl.plugins import registry
from skmtl.plugins.feature_maps import Identity
from skmtl.plugins.losses import LogLoss
from skmtl.plugins.optimizers import SGD
from skmtl.plugins.penalties import L2
from skmtl.plugins.registry import available, resolve
from skmtl.plugins.weightings import Uniform

pytestmark = pytest.mark.nojit


@pytest.fixture
def installed(monkeypatch):
    """Function that makes entry points the only installed ones: (distribution, name, value)."""

    def install(*points, kind="losses"):
        made = []
        for distribution, name, value in points:
            point = EntryPoint(name, value, registry.KINDS[kind].group)
            made.append(point._for(SimpleNamespace(name=distribution)))
        monkeypatch.setattr(
            registry, "entry_points", lambda group: [p for p in made if p.group == group]
        )

    registry._installed.cache_clear()
    yield install
    registry._installed.cache_clear()


@pytest.mark.parametrize("kind", registry.KINDS)
def test_every_built_in_plugin_has_a_name(kind):
    """The names of the entry points are those of all classes that the package gives."""
    names = available(kind)
    assert names == sorted(names)
    assert skmtl.plugins.available()[kind] == names
    package = importlib.import_module(f"skmtl.plugins.{kind}")
    built_in = {type(resolve(kind, name, "p")) for name in names}
    assert built_in >= {getattr(package, name) for name in package.__all__}
    for name in names:
        assert resolve(kind, name, "p") is not resolve(kind, name, "p")


@pytest.mark.parametrize(
    "kind, name, plugin",
    [
        ("losses", "log_loss", LogLoss),
        ("penalties", "l2", L2),
        ("feature_maps", "identity", Identity),
        ("weightings", "uniform", Uniform),
        ("optimizers", "sgd", SGD),
    ],
)
def test_names_of_the_defaults(kind, name, plugin):
    assert type(resolve(kind, name, "p")) is plugin


def test_an_instance_is_taken_as_it_is():
    loss = LogLoss()
    assert resolve("losses", loss, "loss") is loss


def test_unknown_kind():
    with pytest.raises(ValueError, match="unknown plugin kind 'los'.*losses"):
        available("los")


def test_an_unknown_name_lists_the_installed_ones(installed):
    installed(("b", "huber", "m:Huber"), ("skmtl", "log_loss", "skmtl.plugins.losses:LogLoss"))
    with pytest.raises(ValueError, match="'loss' parameter: .*'hubr'; installed: huber, log_loss$"):
        resolve("losses", "hubr", "loss")


@pytest.mark.parametrize("value", [None, 3, L2()])
def test_neither_name_nor_instance(value):
    with pytest.raises(
        TypeError, match="'loss' parameter .* skmtl.plugins.base.Loss.*Got"
    ) as error:
        resolve("losses", value, "loss")
    assert "not the class" not in str(error.value)


def test_a_class_gets_a_hint():
    with pytest.raises(TypeError, match="Pass an instance, not the class"):
        resolve("losses", LogLoss, "loss")


def test_a_name_of_two_distributions_is_refused(installed):
    installed(
        ("alpha", "log_loss", "alpha.losses:LogLoss"),
        ("skmtl", "log_loss", "skmtl.plugins.losses:LogLoss"),
        ("skmtl", "log_loss", "skmtl.plugins.losses:LogLoss"),  # found twice on sys.path
    )
    assert available("losses") == ["log_loss"]
    owners = r"alpha \(alpha.losses:LogLoss\), skmtl \(skmtl.plugins.losses:LogLoss\)"
    with pytest.raises(ValueError, match=owners):
        resolve("losses", "log_loss", "loss")
    assert resolve("losses", LogLoss(), "loss").hyper() == [0.0]


def test_one_distribution_found_twice_is_one(installed):
    point = "skmtl", "log_loss", "skmtl.plugins.losses:LogLoss"
    installed(point, point)
    assert isinstance(resolve("losses", "log_loss", "loss"), LogLoss)


def test_an_entry_point_of_the_wrong_kind_names_its_distribution(installed):
    installed(("alpha", "mine", "skmtl.plugins.penalties:L2"))
    with pytest.raises(TypeError, match="'mine' of alpha .* is no skmtl.plugins.base.Loss"):
        resolve("losses", "mine", "loss")
