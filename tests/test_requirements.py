"""The oldest versions we test with are the minimums we declare; the plugins we declare exist."""

import tomllib
from importlib.metadata import distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def minimums(requirements):
    """Map each distribution's name to its declared minimum; every one must declare just that."""
    declared = {}
    for requirement in map(Requirement, requirements):
        (bound,) = requirement.specifier
        assert bound.operator == ">=", requirement
        declared[requirement.name] = Version(bound.version)
    return declared


def test_oldest_versions_are_the_declared_minimums():
    lines = (ROOT / ".ci" / "oldest.txt").read_text().splitlines()
    pins = [Requirement(line) for line in lines if line and not line.startswith("#")]
    oldest = {pin.name: Version(str(pin.specifier).removeprefix("==")) for pin in pins}
    tested = PROJECT["dependencies"] + PROJECT["optional-dependencies"]["test"]
    assert oldest == minimums(tested)


def test_readme_and_licence_files_exist():
    for name in [PROJECT["readme"], *PROJECT["license-files"]]:
        assert (ROOT / name).is_file()


@pytest.mark.parametrize(
    "entry_point",
    [entry for entry in distribution("skmtl").entry_points if entry.group.startswith("skmtl.")],
    ids=lambda entry: f"{entry.group}:{entry.name}",
)
def test_declared_plugins_load(entry_point):
    plugin = entry_point.load()
    assert isinstance(plugin, type)
    plugin()  # by name means with the defaults


def test_installed_entry_points_are_the_declared_ones():
    installed = {
        (entry.group, entry.name, entry.value)
        for entry in distribution("skmtl").entry_points
        if entry.group.startswith("skmtl.")
    }
    declared = {
        (group, name, value)
        for group, plugins in PROJECT["entry-points"].items()
        for name, value in plugins.items()
    }
    assert installed == declared, "reinstall: pip install -e ."
