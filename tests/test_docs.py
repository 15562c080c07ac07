"""The snippets of the documentation run, page by page, as a reader would run them."""

import importlib
import re
import sys
import tomllib
from pathlib import Path

import pytest
import sklearn

from skmtl.plugins import registry
from skmtl.testing import check_plugin, plugin_checks

PAGES = sorted((Path(__file__).parents[1] / "docs").glob("*.md"))
FENCE = re.compile(r"```(\w+)\n(.*?)```", flags=re.DOTALL)
FILE = re.compile(r"# file: (\S+)\n")
DATA = Path(__file__).parents[2] / "shared" / "data"
#: What a page reads from the folder that it runs in.
READS = {"books_movies.md": ("books.csv.gz", "movies.csv.gz")}


@pytest.fixture
def site(tmp_path, monkeypatch):
    """A folder that Python imports from, for the files of a page."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    for name, module in list(sys.modules.items()):
        if str(getattr(module, "__file__", None)).startswith(str(tmp_path)):
            del sys.modules[name]
    registry._installed.cache_clear()


def install(project, site):
    """What ``pip install`` leaves of a pyproject.toml: a description of the distribution."""
    info = site / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
    )
    (info / "entry_points.txt").write_text(
        "\n".join(
            f"[{group}]\n" + "\n".join(f"{name} = {value}" for name, value in points.items())
            for group, points in project.get("entry-points", {}).items()
        )
    )
    importlib.invalidate_caches()
    registry._installed.cache_clear()


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_snippets_run(page, site):
    for name in READS.get(page.name, ()):
        if not (DATA / name).exists():
            pytest.skip(f"{page.name} reads {name}, which is not in {DATA}")
        (site / name).symlink_to(DATA / name)
    names = {"__name__": f"docs.{page.stem}"}
    with sklearn.config_context():
        for language, snippet in FENCE.findall(page.read_text()):
            if language == "toml":
                install(tomllib.loads(snippet)["project"], site)
            if language != "python":
                continue
            file = FILE.match(snippet)
            if file:
                (site / file[1]).write_text(snippet)
                importlib.invalidate_caches()
            if not file or file[1].startswith("test_"):
                exec(compile(snippet, page.name, "exec"), names)


def test_the_page_on_plugins_is_complete(site):
    """Every kind has its section, and the tests that it shows pass."""
    text = next(page for page in PAGES if page.name == "plugins.md").read_text()
    for kind in registry.KINDS:
        assert f"\n## {kind.capitalize().replace('_', ' ')}\n" in text
    files = {FILE.match(s)[1]: s for _, s in FENCE.findall(text) if FILE.match(s)}
    assert sorted(files) == ["doubtful.py", "leader.py", "squared.py", "test_squared.py"]
    for name, snippet in files.items():
        (site / name).write_text(snippet)
    importlib.invalidate_caches()
    (mark,) = importlib.import_module("test_squared").test_contract.pytestmark
    cases = [case.values for case in mark.args[1]]
    assert len(cases) == 2 * len(list(plugin_checks(cases[0][0])))
    for plugin, check in cases:
        check(plugin)
    check_plugin(importlib.import_module("leader").Leader())
    check_plugin(importlib.import_module("doubtful").Doubtful())


def test_the_catalogue_is_complete():
    """Every plugin that comes with skmtl has its line, and no other name has one."""
    text = next(page for page in PAGES if page.name == "catalogue.md").read_text()
    lines = re.findall(r"^\| `(\w+)` \| (.*?) \|", text, flags=re.MULTILINE)
    assert all(when for _, when in lines)
    assert sorted(name for name, _ in lines) == sorted(
        name for names in registry.available().values() for name in names
    )
