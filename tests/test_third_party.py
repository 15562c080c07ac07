"""A package of somebody else: installed, found, used by name, compiled on its own, removed."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest

TESTS = Path(__file__).parent
NAMES = {
    "losses": "smoothed_log_loss",
    "penalties": "power",
    "feature_maps": "shift",
    "alignments": "mean_gap",
    "weightings": "inverse_loss",
    "source_weightings": "nearest",
    "sharings": "neighbours",
    "optimizers": "sign_descent",
}


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A folder with the package as setuptools builds and describes it; needs no network."""
    folder = tmp_path_factory.mktemp("third_party")
    project = shutil.copytree(TESTS / "third_party", folder / "project")
    site = folder / "site"
    site.mkdir()
    subprocess.run(
        [sys.executable, "-W", "ignore", "-c", "from setuptools import setup; setup()", "--quiet"]
        + ["build_py", "--build-lib", str(site), "egg_info", "--egg-base", str(site)],
        cwd=project,
        check=True,
        capture_output=True,
    )
    return site


def run(script, site):
    """Run a script in a new process that sees the package; gives what it prints, from JSON."""
    result = subprocess.run(
        [sys.executable, "-c", dedent(script)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, (site, TESTS, TESTS.parent)))},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout.splitlines()[-1])


def test_it_is_found_by_name_and_imports_no_numba(site):
    installed, modules = run(
        f"""
        import json, sys
        from skmtl.plugins import available, resolve
        for kind, name in {NAMES}.items():
            assert type(resolve(kind, name, "p")).__module__.startswith("skmtl_example.")
        print(json.dumps([available(), sorted(set(sys.modules) & {{"numba", "pytest"}})]))
        """,
        site,
    )
    for kind, name in NAMES.items():
        assert name in installed[kind]
    assert modules == []


def test_it_is_searched_over_like_the_built_ins(site):
    best, tried, error = run(
        """
        import json, warnings
        from sklearn.model_selection import GridSearchCV
        from skmtl import MultiTaskClassifier
        from skmtl_example.penalty import Power
        from tables import QUICK, blobs
        warnings.simplefilter("ignore")
        X, y = blobs()
        clf = MultiTaskClassifier(**QUICK, penalty=Power(), learning_rate_init=0.01)
        grid = {"loss": ["log_loss", "smoothed_log_loss"], "penalty__power": [1.2, 2.0]}
        grid |= {"weighting": ["uniform", "inverse_loss"], "solver": ["adam", "sign_descent"]}
        search = GridSearchCV(clf, grid, cv=2, error_score="raise").fit(X, y)
        try:
            clf.set_params(penalty__power=0.5).fit(X, y)
        except ValueError as e:
            error = str(e)
        print(json.dumps([search.best_score_, len(search.cv_results_["params"]), error]))
        """,
        site,
    )
    assert best > 0.8
    assert tried == 16
    assert error == "The 'power' parameter of Power must be a number in (1, inf). Got 0.5 instead."


def test_transfers_use_it(site):
    accuracy = run(
        """
        import json, warnings
        from skmtl import TransferClassifier
        from tables import QUICK, blobs, source_of
        warnings.simplefilter("ignore")
        X, y = blobs(20)
        clf = TransferClassifier(
            **{**QUICK, "max_iter": 60},
            learning_rate_init=0.02,
            feature_map="shift",
            map_penalty="mean_gap",
            source_sample_weighting="nearest",
        )
        print(json.dumps(clf.fit(X, y, **source_of(shift=3.0)).score(*blobs(90, seed=7))))
        """,
        site,
    )
    assert accuracy > 0.8


COMPILED = """
    import json, warnings
    from numba.core.event import install_recorder
    from skmtl import MultiTaskClassifier
    from tables import QUICK, blobs
    warnings.simplefilter("ignore")
    X, y = blobs()
    MultiTaskClassifier(**QUICK).fit(X, y)
    with install_recorder("numba:compile") as recorder:
        MultiTaskClassifier(**QUICK, loss="smoothed_log_loss").fit(X, y)
    functions = {event.data["dispatcher"].py_func for _, event in recorder.buffer}
    print(json.dumps(sorted(f"{f.__module__}.{f.__qualname__}" for f in functions)))
"""


def own(functions):
    """What is not a part of numba that a function is made of, such as max()."""
    return [name for name in functions if not name.startswith("numba.")]


def test_tasks_share_as_it_says(site):
    groups, shapes = run(
        """
        import json, warnings
        from skmtl import MultiTaskClassifier
        from tables import QUICK, wide
        warnings.simplefilter("ignore")
        clf = MultiTaskClassifier(**QUICK, sharing="neighbours").fit(*wide())
        print(json.dumps([clf.task_groups_.tolist(), [w.shape for w in clf.coefs_]]))
        """,
        site,
    )
    assert groups == [0, 0, 1]
    assert shapes == [[2, 4, 8]]


def test_only_its_own_functions_are_compiled_and_once(site, tmp_path):
    """In a place of its own, of which no cache knows."""
    site = shutil.copytree(site, tmp_path / "site", ignore=shutil.ignore_patterns("__pycache__"))
    assert own(run(COMPILED, site)) == ["skmtl_example.loss.SmoothedLogLoss.value_grad"]
    assert run(COMPILED, site) == []


@pytest.mark.parametrize("kind", NAMES)
def test_it_keeps_its_contracts(site, kind):
    checked = run(
        f"""
        import json
        from skmtl.plugins import resolve
        from skmtl.testing import check_plugin
        check_plugin(resolve({kind!r}, {NAMES[kind]!r}, "p"))
        print(json.dumps("checked"))
        """,
        site,
    )
    assert checked == "checked"


def test_a_second_package_with_the_same_name_is_refused(site, tmp_path):
    """The error names both distributions."""
    other = tmp_path / "other-2.0.dist-info"
    other.mkdir()
    (other / "METADATA").write_text("Metadata-Version: 2.1\nName: other\nVersion: 2.0\n")
    (other / "entry_points.txt").write_text("[skmtl.losses]\nsmoothed_log_loss = other:Loss\n")
    message = run(
        f"""
        import json, sys
        sys.path.append({str(tmp_path)!r})
        from skmtl.plugins import resolve
        try:
            resolve("losses", "smoothed_log_loss", "loss")
        except ValueError as error:
            print(json.dumps(str(error)))
        """,
        site,
    )
    assert "'smoothed_log_loss' is given by several distributions: other (other:Loss)" in message
    assert "skmtl-example (skmtl_example.loss:SmoothedLogLoss)" in message
    assert "Uninstall one, or pass an instance" in message


def test_after_its_removal_it_is_gone(site, tmp_path):
    copy = shutil.copytree(site, tmp_path / "site")
    for part in copy.iterdir():
        shutil.rmtree(part)
    names, message = run(
        """
        import json
        from skmtl.plugins import available, resolve
        try:
            resolve("losses", "smoothed_log_loss", "loss")
        except ValueError as error:
            print(json.dumps([available(), str(error)]))
        """,
        copy,
    )
    for kind, name in NAMES.items():
        assert name not in names[kind]
    assert "unknown name 'smoothed_log_loss'; installed: " in message
