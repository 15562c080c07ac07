"""The compiler's policy: what imports numba, what is cached, what is refused, what is the same."""

import json
import os
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path
from textwrap import dedent

import numpy as np
import pytest
from engine_cases import MIXED, Case, run_epoch

from skmtl.engine import compile as compiler
from skmtl.engine.problem import Problem
from skmtl.plugins.feature_maps import Affine
from skmtl.plugins.losses import LogLoss
from skmtl.plugins.penalties import L2

ROOT = Path(__file__).parents[1]
CASES = {
    "one": Case(kind="one", batch_size=4, activation="relu"),
    "many": Case(kind="many", batch_size=4, hidden=(4, 3), activation="gelu", sparse=True),
    "transfer": Case(kind="transfer", batch_size=4, map=Affine(), widths=(7, 2, 4)),
    "experts": Case(kind="many", batch_size=4, gate="linear", gate_mask=MIXED, dropout=0.2),
}


def run(script, *folders, **environment):
    """Run a script in a new process; gives what it prints, from JSON."""
    path = os.pathsep.join(map(str, (*folders, ROOT, ROOT / "tests")))
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", dedent(script)],
        env={**os.environ, "PYTHONPATH": path, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


def train(case, n_epochs=2):
    """The parts of a fit that say whether two fits are the same."""
    problem, _ = case.build()
    values = [run_epoch(problem, 0.01)[0] for _ in range(n_epochs)]
    value, grad, _ = problem.objective()
    return [*values, value], problem.theta, grad


# --- imports and the cache -----------------------------------------------------------------------


def test_description_and_prediction_import_no_compiler():
    loaded = run("""
        import json, sys
        import skmtl.plugins
        import skmtl.plugins.feature_maps, skmtl.plugins.losses, skmtl.plugins.optimizers
        import skmtl.plugins.penalties, skmtl.plugins.weightings
        from skmtl.engine import data, forward, layers, layout, network, tables, train
        skmtl.plugins.available()
        print(json.dumps([name for name in sys.modules if name.partition(".")[0] == "numba"]))
    """)
    assert loaded == []


FIT = """
    import json
    from dataclasses import replace
    from numba.core.event import install_recorder
    from engine_cases import Case
    from skmtl.plugins.feature_maps import Affine
    small = Case(kind="transfer", map=Affine(), batch_size=4)
    with install_recorder("numba:compile") as recorder:
        for dtype in {dtypes}:
            problem, _ = replace(small, dtype=dtype, {changes}).build()
            problem.epochs([0.01])
            problem.objective()
    print(json.dumps(len(recorder.buffer)))
"""


def test_a_second_process_compiles_nothing():
    """Whatever the depth, the number of tasks and the sizes, once a fit has used the same parts."""
    parts = """
        gate="constant", gate_mask=((True, True),) * 3, head_hidden=(2,), activation="gelu",
        dropout=0.1
    """
    for changes in ("", parts.replace("\n", "")):
        run(FIT.format(dtypes=["float64"], changes=changes))
    changes = """
        hidden=(5, 4, 3), head_hidden=(3, 3), activation="gelu", gate="linear", lam=3.0,
        gate_mask=((True, True),) * 3, widths=(9, 2, 5), n_rows=(40, 10, 20), dropout=0.1
    """
    assert run(FIT.format(dtypes=["float64"], changes=changes.replace("\n", ""))) == 0


def test_many_networks_compile_nothing_more():
    for case in CASES.values():
        train(case)
    kernels = [compiler.compiled(compiler.train.gradient, "gradient", "float64")]
    kernels += [compiler.compiled(LogLoss.value_grad, "loss", "float64")]
    for kernel in kernels:
        assert len(kernel.signatures) == 1


def test_without_a_writable_folder_it_warns_once_and_works(tmp_path):
    """As root every folder is writable, so numba is left with one that cannot be made."""
    script = """
        import json, warnings
        from numba.core.caching import CompileResultCacheImpl as Cache
        Cache._locator_classes = Cache._locator_classes[:1]
        import numpy as np
        from skmtl.engine import compile as compiler
        from skmtl.plugins.losses import LogLoss
        from skmtl.plugins.penalties import L1, L2
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            loss = compiler.compiled(LogLoss.value_grad, "loss", "float64")
            compiler.compiled(L1.value_grad, "penalty", "float64")
            compiler.compiled(L2.value_grad, "penalty", "float32")
        grad = np.empty((1, 1))
        value = loss(np.zeros((1, 1)), np.ones((1, 1)), np.ones(1), np.zeros(1), grad)
        print(json.dumps([value, [str(w.message) for w in caught]]))
    """
    (tmp_path / "file").touch()
    value, messages = run(script, NUMBA_CACHE_DIR=str(tmp_path / "file" / "cache"))
    assert value == pytest.approx(np.log(2))
    assert len(messages) == 1
    assert "NUMBA_CACHE_DIR" in messages[0]


# --- stale code ----------------------------------------------------------------------------------

PLUGINS = """
    import numba
    import figures
    from figures import IMPORTED, TABLE
    from helpers import double, with_default, by_its_author

    def calls_a_helper(theta, layout, strength, hp, constants, work, grad):
        return double(1.0)

    def calls_a_default(theta, layout, strength, hp, constants, work, grad):
        return with_default(1.0)

    def calls_a_compiled_helper(theta, layout, strength, hp, constants, work, grad):
        return by_its_author(1.0)

    def reads_an_imported_constant(theta, layout, strength, hp, constants, work, grad):
        return IMPORTED

    def reads_a_module(theta, layout, strength, hp, constants, work, grad):
        return figures.OF_MODULE

    def reads_an_array(theta, layout, strength, hp, constants, work, grad):
        return TABLE[1500]
"""
HELPERS = """
    import numba
    from figures import DEFAULT

    def double(x):
        return deeper(x)

    def deeper(x):
        return {number} * x

    def with_default(x, factor=DEFAULT):
        return factor * x

    @numba.njit
    def by_its_author(x):
        return {number} * x
"""
FIGURES = """
    import numpy as np
    IMPORTED = {number}
    OF_MODULE = {number}
    DEFAULT = {number}
    TABLE = np.zeros(2000)
    TABLE[1500] = {number}
"""
CALL = """
    import json
    from types import FunctionType
    import numpy as np
    from numba.core.event import install_recorder
    import plugins
    from skmtl.engine import compile as compiler
    {edit}
    values, layout, none = {{}}, np.empty((0, 6), int), np.zeros(0)
    with install_recorder("numba:compile") as recorder:
        for name, function in vars(plugins).copy().items():
            if isinstance(function, FunctionType) and function.__module__ == "plugins":
                compiled = compiler.compiled(function, "penalty", "float64")
                values[name] = compiled(np.ones(1), layout, 1.0, none, none, none, np.zeros(1))
    print(json.dumps([values, len(recorder.buffer)]))
"""


def write_plugins(folder, number):
    for name, text in (("plugins", PLUGINS), ("helpers", HELPERS), ("figures", FIGURES)):
        (folder / f"{name}.py").write_text(dedent(text.format(number=number)))


def test_edits_of_other_files_are_noticed(tmp_path):
    cache = {"NUMBA_CACHE_DIR": str(tmp_path / "cache")}
    write_plugins(tmp_path, 2.0)
    values, _ = run(CALL.format(edit=""), tmp_path, **cache)
    assert len(values) == 6
    assert set(values.values()) == {2.0}
    values, n_compiled = run(CALL.format(edit=""), tmp_path, **cache)
    assert n_compiled == 0
    write_plugins(tmp_path, 300.0)  # of another length, for Python's own cache
    values, _ = run(CALL.format(edit=""), tmp_path, **cache)
    assert set(values.values()) == {300.0}


def test_what_is_cached_is_what_was_loaded(tmp_path):
    """A file that is edited between its import and the compilation does not lend its name."""
    cache = {"NUMBA_CACHE_DIR": str(tmp_path / "cache")}
    write_plugins(tmp_path, 2.0)
    edit = f"""
    import sys; sys.path.insert(0, {str(ROOT / "tests")!r})
    import test_compile, pathlib; test_compile.write_plugins(pathlib.Path({str(tmp_path)!r}), 300.0)
    """.strip()
    values, _ = run(CALL.format(edit=edit), tmp_path, **cache)
    assert set(values.values()) == {2.0}
    values, _ = run(CALL.format(edit=""), tmp_path, **cache)
    assert set(values.values()) == {300.0}


def test_a_process_that_compiles_computes_as_one_that_loads(tmp_path):
    """To the last bit, in double precision, in which roundings show."""
    script = """
    import json, warnings
    import numpy as np
    from sklearn.datasets import load_digits
    from skmtl import MultiTaskClassifier
    X, y = load_digits(return_X_y=True)
    warnings.simplefilter("ignore")
    clf = MultiTaskClassifier((32,), max_iter=3, random_state=0).fit(X / 16, y)
    print(json.dumps([clf._theta.tolist(), clf.loss_curve_]))
    """
    cache = {"NUMBA_CACHE_DIR": str(tmp_path)}
    assert run(script, **cache) == run(script, **cache)


# --- what is refused -----------------------------------------------------------------------------


def with_closure(number):
    def value_grad(theta, layout, strength, hp, constants, work, grad):
        return number

    return value_grad


closed = with_closure(1.0)


def calls_a_closure(theta, layout, strength, hp, constants, work, grad):
    return closed(theta, layout, strength, hp, constants, work, grad)


@pytest.mark.nojit
@pytest.mark.parametrize("function", [closed, np.dot, L2])
def test_only_plain_functions_are_compiled(function):
    with pytest.raises(TypeError, match="plain function without closure"):
        compiler.compiled(function, "penalty", "float64")


def test_what_a_function_calls_is_plain_too():
    with pytest.raises(TypeError, match="value_grad must be a plain function without closure"):
        compiler.compiled(calls_a_closure, "penalty", "float64")


@pytest.mark.nojit
def test_a_plugin_with_a_closure_is_refused():
    class Closed(L2):
        value_grad = staticmethod(closed)

    problem, _ = Case().build()
    term = replace_penalty(problem, Closed())
    with pytest.raises(TypeError, match="put the numbers that it needs into its hyperparameters"):
        Problem(
            problem.layout, problem.theta, problem.domains, problem.tasks, [term], problem.training
        )


def replace_penalty(problem, penalty):
    from skmtl.engine.problem import PenaltyTerm

    return PenaltyTerm(penalty, 1.0, problem.layout.blocks)


def test_an_error_in_a_plugin_reaches_the_caller():
    problem, _ = Case().build()
    problem = Problem(
        problem.layout,
        problem.theta,
        problem.domains,
        problem.tasks,
        [replace_penalty(problem, Failing())],
        problem.training,
    )
    with pytest.raises(ZeroDivisionError, match="on purpose"):
        problem.objective()
    with pytest.raises(ZeroDivisionError, match="on purpose"):
        problem.epochs([0.01])


class Failing(L2):
    @staticmethod
    def value_grad(theta, layout, strength, hp, constants, work, grad):
        if strength > 0:
            raise ZeroDivisionError("on purpose")
        return 0.0


# --- small numbers ---


def test_what_only_decays_ends_at_zero():
    """Denormal numbers would take a hundred times as long."""
    problem, _ = replace(CASES["one"], dtype="float32", alpha=1.0).build()
    problem.domains[0].X[:, 0] = 0
    weights = problem.theta[: 5 * 4].reshape(4, 5)
    weights[0] = 1e-38
    for _ in range(3000):
        problem.epochs([1e-3])
    tiny = np.finfo(np.float32).tiny
    for array in (problem.theta, problem.state):
        assert not ((array != 0) & (np.abs(array) < tiny)).any()
    assert (problem.state[1].reshape(-1)[:5] == 0).all()  # of a gradient around 1e-38


# --- the same numbers ----------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("case", CASES)
def test_same_seed_same_bits(case, dtype):
    case = replace(CASES[case], dtype=dtype)
    values, theta, grad = train(case)
    others, other_theta, other_grad = train(case)
    assert values == others
    assert np.array_equal(theta, other_theta)
    assert np.array_equal(grad, other_grad)
    assert not np.array_equal(theta, train(replace(case, seed=1))[1])


def test_threads_give_the_bits_of_one_after_the_other():
    expected = {name: train(case, n_epochs=60) for name, case in CASES.items()}
    results, start = {}, threading.Barrier(2 * len(CASES))

    def work(name, k):
        start.wait()
        results[name, k] = train(CASES[name], n_epochs=60)

    threads = [threading.Thread(target=work, args=(name, k)) for name in CASES for k in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for (name, _), (values, theta, grad) in results.items():
        assert values == expected[name][0]
        assert np.array_equal(theta, expected[name][1])
        assert np.array_equal(grad, expected[name][2])
    assert len(results) == 2 * len(CASES)


def test_plain_python_gives_the_same_numbers():
    plain = run(
        """
        import json
        from test_compile import CASES, train
        numbers = {}
        for name, case in CASES.items():
            values, theta, grad = train(case)
            numbers[name] = [values, theta.tolist(), grad.tolist()]
        print(json.dumps(numbers))
        """,
        NUMBA_DISABLE_JIT="1",
    )
    for name, case in CASES.items():
        for part, expected in zip(train(case), plain[name], strict=True):
            np.testing.assert_allclose(part, expected, rtol=1e-10, atol=1e-12)


def test_nothing_of_the_callers_is_copied_or_changed():
    problem, _ = Case(kind="one", n_rows=(50,)).build()
    X = problem.domains[0].X
    before = X.copy()
    X.flags.writeable = False
    problem = Problem(
        problem.layout, problem.theta, problem.domains, problem.tasks, [], problem.training
    )
    assert problem._builder.table[0]["values"] == X.ctypes.data
    run_epoch(problem, 0.01)
    problem.objective()
    assert np.array_equal(X, before)
