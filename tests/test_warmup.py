"""``python -m skmtl.warmup``: it leaves nothing to compile, and says so where it cannot."""

import json
import os
import subprocess
import sys
from textwrap import dedent

import pytest

from skmtl import plugins, warmup
from skmtl.plugins.losses import LogLoss

# What the fits below use: to compile all plugins takes a minute.
USED = {
    "losses": ["log_loss"],
    "penalties": ["ewc", "l1", "l2"],
    "feature_maps": ["affine"],
    "alignments": ["dann"],
    "weightings": ["mgda", "uniform"],
    "optimizers": ["adam", "sgd"],
}
WARM_UP = f"""
    from skmtl import warmup
    used = {USED}
    warmup.available = lambda kind=None: used[kind] if kind else used
    raise SystemExit(warmup.main(["--dtype", "float32"]))
"""
FITS = """
    import json
    from numba.core.event import install_recorder
    from scipy.sparse import csr_array
    from tables import QUICK, blobs, source_of, wide
    from skmtl import MultiTaskClassifier, TransferClassifier
    from skmtl.engine import compile as compiler
    from skmtl.plugins.losses import LogLoss
    X, Y = wide(dtype="float32")
    X_t, y = blobs(dtype="float32")
    source, mapped = source_of(dtype="float32"), {"feature_map": "affine", "map_penalty": "dann"}
    with install_recorder("numba:compile") as recorder:
        MultiTaskClassifier(**QUICK).fit(X, Y)
        MultiTaskClassifier(**QUICK, penalty="l1").fit(csr_array(X), Y)
        MultiTaskClassifier(**QUICK, weighting="mgda", sharing="none").fit(X, Y)
        MultiTaskClassifier(**QUICK, sharing="cgc").fit(X, Y)
        MultiTaskClassifier(**QUICK, solver="lbfgs").fit(X, Y)
        TransferClassifier(**QUICK, **mapped).fit(X_t, y, **source)
        TransferClassifier(**QUICK, strategy="finetune", penalty="ewc").fit(X_t, y, **source)
    with install_recorder("numba:compile") as of_another:  # was not asked for
        compiler.compiled(LogLoss.value_grad, "loss", "float64")
    names = [event.data["dispatcher"].py_func.__qualname__ for _, event in recorder.buffer]
    print(json.dumps([names, len(of_another.buffer) > 0]))
"""


def run(code, **variables):
    """Run code in a new process."""
    return subprocess.run(
        [sys.executable, "-W", "ignore", "-c", dedent(code)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **variables},
        capture_output=True,
        text=True,
        check=False,
    )


def test_fits_after_it_compile_nothing(tmp_path):
    result = run(WARM_UP, NUMBA_CACHE_DIR=str(tmp_path))
    assert result.returncode == 0, result.stderr
    lines = result.stdout.splitlines()
    assert [line.split()[0] for line in lines] == ["engine", *USED]
    assert all(str(tmp_path) in line for line in lines)
    result = run(FITS, NUMBA_CACHE_DIR=str(tmp_path))
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout) == [[], True]


def test_all_plugins_are_compiled(monkeypatch, capsys):
    warmed = []
    monkeypatch.setattr(warmup, "_engine_functions", lambda dtype: ())
    monkeypatch.setattr(warmup, "_cache_folder", lambda function: "here")
    monkeypatch.setattr(
        warmup, "compiled", lambda plugin, function, dtype: warmed.append((plugin, function, dtype))
    )
    assert warmup.main([]) == 0
    everything = plugins.available()
    found = {(type(plugin), function, dtype) for plugin, function, dtype in warmed}
    for kind, names in everything.items():
        for name in names:
            of_plugin = type(plugins.resolve(kind, name, "name"))
            assert {(of_plugin, f, d) for c, f, d in found if c is of_plugin} == {
                (of_plugin, function, dtype)
                for function in warmup.contracts_of(plugins.resolve(kind, name, "name"))
                for dtype in ("float32", "float64")
            }
    lines = capsys.readouterr().out.splitlines()
    nothing_to_compile = "sharings", "source_weightings"
    kinds = [kind for kind in everything if kind not in nothing_to_compile]
    assert [line.split()[0] for line in lines] == ["engine", *kinds]


@pytest.mark.parametrize("trouble", ["no folder", "no compiler"])
def test_without_a_place_to_keep_it(trouble, tmp_path):
    """As root every folder is writable, so numba is left with one that cannot be made."""
    (tmp_path / "file").touch()
    variables = {"NUMBA_CACHE_DIR": str(tmp_path / "file" / "cache")}
    if trouble == "no compiler":
        variables = {"NUMBA_DISABLE_JIT": "1"}
    code = """
        from numba.core.caching import CompileResultCacheImpl as Cache
        Cache._locator_classes = Cache._locator_classes[:1]
    """
    result = run(dedent(code) + dedent(WARM_UP), **variables)
    assert result.returncode == 1
    assert "set NUMBA_CACHE_DIR to a writable folder" in result.stderr
    assert [line.split()[0] for line in result.stdout.splitlines()] == ["engine"]


def test_a_broken_plugin_does_not_leave_the_others_cold(monkeypatch, capsys):
    class Broken(LogLoss):
        @staticmethod
        def value_grad(out, y, weight, hp, grad):
            return [].append("list")

    def resolve(kind, name, parameter):
        return Broken() if name == "hinge" else plugins.resolve(kind, name, parameter)

    names = {"losses": ["hinge", "log_loss"], "optimizers": ["sgd"]}
    monkeypatch.setattr(warmup, "_engine_functions", lambda dtype: ())
    monkeypatch.setattr(warmup, "available", lambda kind=None: names[kind] if kind else names)
    monkeypatch.setattr(warmup, "resolve", resolve)
    assert warmup.main(["--dtype", "float64"]) == 1
    out, err = capsys.readouterr()
    assert [line.split()[0] for line in out.splitlines()] == ["engine", "losses", "optimizers"]
    assert "losses, hinge: value_grad does not compile for float64" in err
    assert len(err.splitlines()) == 1
