"""The direction of imports, read from the sources."""

import ast
from pathlib import Path

import pytest

import skmtl

ROOT = Path(skmtl.__file__).parent


def module_name(path):
    parts = path.relative_to(ROOT.parent).with_suffix("").parts
    return ".".join(parts).removesuffix(".__init__")


MODULES = {module_name(path): path for path in ROOT.rglob("*.py")}


def imports(path, *, at_top=False):
    """Names of the modules that a file imports, anywhere or when it is imported itself."""
    tree = ast.parse(path.read_text())
    for node in tree.body if at_top else ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def within(name, *packages):
    return any(name == package or name.startswith(f"{package}.") for package in packages)


@pytest.mark.parametrize("module", sorted(MODULES))
def test_numba_is_known_to_few_files(module):
    few = "skmtl.engine.compile", "skmtl.engine.intrinsics", "skmtl.engine.lowering"
    if module not in few:
        assert not [n for n in imports(MODULES[module]) if within(n, "numba", "llvmlite")]


@pytest.mark.parametrize("module", [m for m in sorted(MODULES) if within(m, "skmtl.engine")])
def test_the_engine_knows_neither_sklearn_nor_estimators(module):
    for name in imports(MODULES[module]):
        assert not within(name, "sklearn")
        assert within(name, "skmtl.engine") or not within(name, "skmtl")


@pytest.mark.parametrize("module", [m for m in sorted(MODULES) if within(m, "skmtl.plugins")])
def test_plugins_know_their_contracts_alone(module):
    allowed = "skmtl.plugins", *(f"skmtl.engine.{m}" for m in ("blocks", "elementary", "prefetch"))
    for name in imports(MODULES[module]):
        assert within(name, *allowed) or not within(name, "skmtl")


@pytest.mark.parametrize("module", sorted(MODULES))
def test_what_compiles_is_imported_late(module):
    """Only the engine's own front door, and what it builds with, import the compiler at once."""
    late = "skmtl.engine.problem", "skmtl.engine.net", "skmtl.engine.compile"
    if module not in late:
        assert not [n for n in imports(MODULES[module], at_top=True) if within(n, *late)]


def test_imports_have_no_cycle():
    """A module comes after all that it imports at its top."""
    graph = {
        module: {name for name in imports(path, at_top=True) if name in MODULES}
        for module, path in MODULES.items()
    }
    for package in ("skmtl", "skmtl.plugins", "skmtl.engine"):
        graph.pop(package)
    done = set()
    while graph:
        ready = [m for m, needs in graph.items() if not (needs & graph.keys()) - {m}]
        assert ready, f"a cycle among {sorted(graph)}"
        done.update(ready)
        for module in ready:
            del graph[module]
