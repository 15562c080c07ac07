"""Small fits, end to end."""

import numpy as np

from skmtl.testing.report import require

QUICK = {
    "hidden_layer_sizes": (6,),
    "max_iter": 20,
    "tol": 0.0,
    "batch_size": 12,
    "learning_rate_init": 0.01,
    "random_state": 0,
}


def blobs(n_rows, n_features=4, seed=0, shift=0.0):
    """Rows around one centre for each of three classes."""
    centres = 2 * np.random.default_rng(99).standard_normal((3, 8))[:, :n_features]
    rng = np.random.default_rng(seed)
    y = rng.permutation(np.arange(n_rows) % 3)
    return centres[y] + shift + 0.7 * rng.standard_normal((n_rows, n_features)), y


def fit_tasks(alike=False, **parameters):
    """A classifier of three tasks with missing labels, of 2 classes each where they are alike."""
    from skmtl import MultiTaskClassifier

    X, y = blobs(48)
    Y = np.column_stack([y == 1 if alike else y, y == 0, y > 1]).astype(float)
    Y[12::3, 0] = Y[13::4, 1] = np.nan
    return MultiTaskClassifier(**{**QUICK, **parameters}).fit(X, Y)


def fit_transfer(n_source_features=4, n_features=4, **parameters):
    """A classifier with a source of other size and place than the target."""
    from skmtl import TransferClassifier, as_source

    X_source, y_source = blobs(48, n_source_features, seed=5, shift=1.0)
    X, y = blobs(24, n_features)
    return TransferClassifier(**{**QUICK, **parameters}).fit(X, y, **as_source(X_source, y_source))


def fit_regression(loss, y, n_epochs=30):
    """The objective by epoch of one task on numbers."""
    from skmtl.engine.data import Domain, Task
    from skmtl.engine.layout import Architecture, Layout
    from skmtl.engine.problem import Problem, Training
    from skmtl.plugins.optimizers import Adam
    from skmtl.plugins.weightings import Uniform

    rng = np.random.default_rng(0)
    X = 0.3 * rng.standard_normal((y.size, 4))
    X[:, 0] += y
    layout = Layout(
        Architecture(
            n_inputs=4,
            hidden=(5,),
            activation="tanh",
            head_hidden=(),
            n_outputs=(1,),
            task_heads=(0,),
            gate_mask=((True,),),
        )
    )
    task = Task(0, 0, loss, np.arange(y.size), y, np.ones(y.size))
    training = Training(Adam(), Uniform(), rng, batch_size=10)
    theta = layout.initial(rng, "float64")
    problem = Problem(layout, theta, [Domain(X)], [task], [], training)
    return problem.epochs([0.01] * n_epochs).losses


def require_falling(losses):
    """Raise Broken unless a curve of losses is finite and ends below its start."""
    require(
        np.isfinite(losses).all() and losses[-1] < losses[0],
        f"A small fit does not learn: its objective goes from {losses[0]:.4g} to {losses[-1]:.4g} "
        f"in {len(losses)} epochs.",
        "Check the sign and the scale of what it gives; the checks above say which part is wrong.",
    )
