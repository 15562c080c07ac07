"""The two jobs of skmtl on real digits: a table on the screen and a picture in demo.png.

Several tasks on one small table with a third of the labels missing: one net with shared layers
against a net per task. Then transfer: 5,000 digits of MNIST help a handful of scikit-learn's, with
a feature map between them, against every simpler way. Every model is tuned, by cross-validation on
its training rows, and scored once on rows that it never saw.

    pip install skmtl[demo]
    python examples/demo.py
"""

import time
import warnings
from collections import Counter

import matplotlib
import numpy as np
from joblib import Parallel, delayed
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from threadpoolctl import threadpool_limits

from skmtl import MultiTaskClassifier, TransferClassifier, as_source
from skmtl.datasets import load_digits_tasks, load_mnist_digits_pair
from skmtl.metrics import make_task_scorer, task_scores
from skmtl.model_selection import MultiTaskKFold

N_SEEDS, N_FOLDS = 4, 3

# Several tasks.
N_ROWS, MISSING = 200, 1 / 3
LAMS_OF_TASKS = [1e-4, 1e-3, 1e-2, 1e-1]
SHARING = {"hard": "one net, shared layers", "none": "one net per task"}

# Transfer.
LABELS_A_CLASS = [1, 2, 3, 5, 10, 20]
TUNED_AT = 5
LAMS, MUS, ALPHAS = [0, 0.1, 1, 10], [0.01, 0.1, 1, 10], [1e-4, 1e-2, 1e-1]
# The target is one batch, so that an epoch of it is one step: alone it needs more epochs.
TARGET_EPOCHS = 400
# The map makes sense where source and target are learned together; a finetuned net saw
# MNIST as it is. Of lam and mu, the search may also choose the ends: source only, target only.
LADDER = {
    "joint": ("joint, with a map", {"feature_map": "linear"}, None),
    "finetune": ("finetuned", {"max_iter": 30}, {"alpha": ALPHAS}),
    "pooled": ("pooled rows", {}, {"alpha": ALPHAS}),
    "target_only": ("target only", {"max_iter": TARGET_EPOCHS}, {"alpha": ALPHAS}),
    "source_only": ("source only", {}, {"alpha": ALPHAS}),
}
SURFACE = [
    {"lam": LAMS, "mu": MUS},
    {"lam": [np.inf], "mu": MUS[:1], "max_iter": [TARGET_EPOCHS]},
]


def several_tasks(seed):
    """Accuracy of each task for each kind of sharing, tuned over lam, and the lam chosen."""
    X, y = load_digits_tasks(return_X_y=True)
    order = np.random.default_rng(seed).permutation(len(X))
    train, test = order[:N_ROWS], order[N_ROWS:]
    y_holes = load_digits_tasks(missing=MISSING, random_state=seed).target
    X = X.astype(np.float32)
    results = {}
    for sharing in SHARING:
        model = MultiTaskClassifier(
            (128, 64), sharing=sharing, batch_size=20, max_iter=60, learning_rate_init=3e-3,
            learning_rate="cosine", random_state=seed,
        )  # fmt: skip
        search = GridSearchCV(
            model,
            {"lam": LAMS_OF_TASKS},
            scoring=make_task_scorer(),
            cv=MultiTaskKFold(N_FOLDS, random_state=seed),
        ).fit(X[train], y_holes[train])
        scores = task_scores(search.best_estimator_, X[test], y[test])
        results[sharing] = scores, search.best_params_
    return results


def transfer(pair, seed):
    """Accuracy of each rung by labels a class, the settings chosen, and the scores of the grid."""
    X, y, source = pair.X, pair.y, as_source(pair.X_source, pair.y_source)
    rng = np.random.default_rng(seed)
    by_class = np.stack([rng.permutation(np.flatnonzero(y == c))[: max(LABELS_A_CLASS)]
                         for c in range(10)])  # fmt: skip
    test = np.setdiff1d(np.arange(len(y)), by_class)  # the same for any number of labels
    rows = by_class[:, :TUNED_AT].ravel()
    folds = StratifiedKFold(N_FOLDS, shuffle=True, random_state=seed)
    accuracy, chosen, surface = {}, {}, None
    for strategy, (_, settings, grid) in LADDER.items():
        model = TransferClassifier(
            (64,), strategy=strategy, random_state=seed,
            **{"max_iter": 15, "learning_rate_init": 4e-3, **settings},
        )  # fmt: skip
        # Training on the source alone sees none of these rows: they all test one fit.
        everything = np.arange(len(rows))
        cv = [(everything, everything)] if strategy == "source_only" else folds
        search = GridSearchCV(model, grid or SURFACE, cv=cv, refit=False)
        search.fit(X[rows], y[rows], **source)
        chosen[strategy] = search.best_params_
        if grid is None:
            surface = search.cv_results_["mean_test_score"]
        model.set_params(**search.best_params_)
        for k in LABELS_A_CLASS:
            few = by_class[:, :k].ravel()
            if strategy != "source_only" or k == LABELS_A_CLASS[0]:  # else nothing changes
                model.fit(X[few], y[few], **source)
            accuracy[strategy, k] = model.score(X[test], y[test])
    return accuracy, chosen, surface


def each_seed(job, parallel, what):
    """Run a job for all seeds in the threads of ``parallel``, and tell how far it is."""
    start, results = time.perf_counter(), {}
    for seed, result in parallel(delayed(lambda s: (s, job(s)))(s) for s in range(N_SEEDS)):
        results[seed] = result
        seconds = time.perf_counter() - start
        print(f"{what}: {len(results)} of {N_SEEDS} draws, {seconds:.0f} s", flush=True)
    return [results[seed] for seed in sorted(results)]


def row(name, scores, best, tuned, note):
    """A line of the table: mean ± sd, and how much better ours is on the same draws."""
    gap = best - scores
    ahead = f"{gap.mean():+.3f} ± {gap.std(ddof=1) / np.sqrt(N_SEEDS):.3f}" if gap.any() else ""
    spread = f"{scores.mean():.3f} ± {scores.std(ddof=1):.3f}"
    return f"  {name:24}{tuned:10}{spread:17}{ahead:18}{note}"


def common(settings):
    """The setting chosen most often."""
    values = [", ".join(f"{k}={v:g}" for k, v in s.items() if k != "max_iter") for s in settings]
    value, n = Counter(values).most_common(1)[0]
    return f"mostly {value}" if 2 * n > len(values) else f"most often {value}"


def print_table(tasks, transfers, ladder):
    """Both jobs, with spreads over seeds."""
    header = f"  {'':24}{'tuned':10}{'accuracy ± sd':17}{'ours ahead ± se':18}"
    print(f"\nSeveral tasks: {N_ROWS} rows of digits, {MISSING:.0%} of the labels missing")
    print(header + "by task")
    scores = {s: np.array([r[s][0] for r in tasks]) for s in SHARING}
    for sharing, name in SHARING.items():
        per_task = scores[sharing].mean(axis=0)
        note = ", ".join(f"{t} {a:.3f}" for t, a in zip(("digit", "odd", "loop"), per_task))
        print(row(name, scores[sharing].mean(axis=1), scores["hard"].mean(axis=1), "lam", note))
    print(f"\nTransfer: MNIST to digits with {TUNED_AT} labels a class")
    print(header + "chosen")
    ours = ladder["joint"][:, LABELS_A_CLASS.index(TUNED_AT)]
    for strategy, (name, _, grid) in LADDER.items():
        scores = ladder[strategy][:, LABELS_A_CLASS.index(TUNED_AT)]
        note = common([chosen[strategy] for _, chosen, _ in transfers])
        print(row(name, scores, ours, "alpha" if grid else "lam, mu", note))
    print(
        f"\n{N_SEEDS} draws of the training rows. sd: over the draws. ours ahead: the first line "
        "of each\nblock minus this one on the same draws, with its standard error."
    )


def draw_picture(pair, surface, ladder, path):
    """The data, the grid search over lam and mu, and the learning curves."""
    matplotlib.use("agg")
    import matplotlib.pyplot as plt

    plt.rcParams.update({"font.size": 11, "axes.titlesize": 12.5, "axes.titlelocation": "left"})
    figure = plt.figure(figsize=(13, 7.4), layout="constrained")
    strip, panels = figure.subfigures(2, 1, height_ratios=[1, 3.6])
    draw_digits(strip, pair)
    left, right = panels.subplots(1, 2, width_ratios=[1, 1.15])
    draw_surface(left, surface)
    draw_curves(right, ladder)
    figure.savefig(path, dpi=150)
    plt.close(figure)


def draw_digits(figure, pair):
    """Some images of source and target."""
    rng = np.random.default_rng(1)
    axes = figure.subplots(2, 21, gridspec_kw={"wspace": 0.1})
    sets = [("source", pair.X_source, pair.y_source), ("target", pair.X, pair.y)]
    for line, (name, X, y) in zip(axes, sets):
        line[0].text(1, 0.5, name, ha="right", va="center", transform=line[0].transAxes)
        labels = np.arange(20) % 10
        for axis, label in zip(line[1:], labels):
            image = X[rng.choice(np.flatnonzero(y == label))].reshape(8, 8)
            axis.imshow(image, cmap="gray_r", vmin=0, vmax=1)
    for axis in axes.flat:
        axis.axis("off")
    figure.suptitle(
        "5,000 digits of MNIST (source) help a few of scikit-learn's (target)",
        x=0.01, ha="left", fontsize=15, weight="bold",
    )  # fmt: skip


def draw_surface(axis, scores):
    """Heat map of the cross-validation scores over lam and mu; lam=inf has no mu."""
    grid = np.column_stack([scores[:-1].reshape(len(LAMS), len(MUS)).T, [scores[-1]] * len(MUS)])
    low = max(grid.min(), grid.max() - 0.15)  # the source alone may be far below
    mesh = axis.imshow(grid, cmap="cividis", origin="lower", aspect="auto", vmin=low)
    middle = (low + grid.max()) / 2
    for (i, j), score in np.ndenumerate(grid[:, :-1]):
        color = "white" if score < middle else "black"
        axis.text(j, i, f"{score:.3f}", ha="center", va="center", color=color)
    color = "white" if scores[-1] < middle else "black"
    end = len(LAMS)
    axis.text(end, (len(MUS) - 1) / 2, f"{scores[-1]:.3f}", ha="center", va="center", color=color)
    best = np.unravel_index(grid.argmax(), grid.shape)
    height = len(MUS) if best[1] == end else 1
    corner = (best[1] - 0.46, best[0] - 0.46)
    axis.add_patch(
        matplotlib.patches.Rectangle(
            corner, 0.92, height - 0.08, fill=False, edgecolor="#D55E00", linewidth=3
        )
    )
    names = ["0\nsource only", *(f"{lam:g}" for lam in LAMS[1:]), "∞\ntarget only"]
    axis.set_xticks(range(len(names)), names)
    axis.set_yticks(range(len(MUS)), [f"{mu:g}" for mu in MUS])
    axis.tick_params(length=0)
    axis.set_xlabel("λ, weight of the target's loss")
    axis.set_ylabel("μ, strength that holds the map at the identity", labelpad=8)
    axis.set_title(f"Accuracy in cross-validation, {TUNED_AT} labels a class\n(frame: the best)")
    axis.spines[:].set_visible(False)
    bar = axis.figure.colorbar(
        mesh, ax=axis, fraction=0.05, pad=0.02, extend="min" if low > grid.min() else "neither"
    )
    bar.outline.set_visible(False)


def draw_curves(axis, ladder):
    """Accuracy on the test rows by labels a class, with bands of one sd."""
    styles = {
        "joint": ("#D55E00", "o", 3),
        "finetune": ("#0072B2", "s", 1.8),
        "pooled": ("#009E73", "^", 1.8),
        "target_only": ("#222222", "D", 1.8),
        "source_only": ("#888888", "", 1.8),
    }
    for strategy in reversed(LADDER):
        color, marker, width = styles[strategy]
        mean, sd = ladder[strategy].mean(axis=0), ladder[strategy].std(axis=0, ddof=1)
        axis.fill_between(LABELS_A_CLASS, mean - sd, mean + sd, color=color, alpha=0.15, lw=0)
        dashes = "--" if strategy == "source_only" else "-"
        look = {"color": color, "marker": marker, "lw": width, "ms": 6, "ls": dashes}
        axis.plot(LABELS_A_CLASS, mean, label=LADDER[strategy][0], **look)
    axis.set_xscale("log")
    axis.set_xticks(LABELS_A_CLASS, [str(k) for k in LABELS_A_CLASS])
    axis.minorticks_off()
    axis.set_xlim(LABELS_A_CLASS[0] / 1.07, LABELS_A_CLASS[-1] * 1.07)
    axis.grid(color="#dddddd", lw=0.7)
    axis.set_axisbelow(True)
    axis.spines[["top", "right"]].set_visible(False)
    axis.set_xlabel("labels a class in the target")
    axis.set_ylabel("accuracy on the test rows")
    axis.set_title(
        f"What it is worth: mean and sd over {N_SEEDS} draws\n"
        f"(settings chosen at {TUNED_AT} labels a class)"
    )
    handles, names = axis.get_legend_handles_labels()
    axis.legend(handles[::-1], names[::-1], loc="lower right", frameon=False)


def main():
    """Run both jobs."""
    start = time.perf_counter()
    # The numbers of epochs are fixed, to fit a minute; nothing here waits for convergence.
    warnings.simplefilter("ignore", ConvergenceWarning)
    print("reading MNIST, and compiling if this is the first run", flush=True)
    pair = load_mnist_digits_pair()
    # One dtype for everything is one compilation.
    pair.X, pair.X_source = pair.X.astype(np.float32), pair.X_source.astype(np.float32)
    TransferClassifier(feature_map="linear", max_iter=1).fit(
        pair.X[:100], pair.y[:100], **as_source(pair.X_source[:100], pair.y_source[:100])
    )
    print(f"ready after {time.perf_counter() - start:.0f} s", flush=True)
    # The kernels run without the GIL: two threads, each with one of BLAS, fill two cores.
    with (
        threadpool_limits(1),
        Parallel(2, "threading", return_as="generator_unordered") as parallel,
    ):
        tasks = each_seed(several_tasks, parallel, "several tasks")
        transfers = each_seed(lambda seed: transfer(pair, seed), parallel, "transfer")
    ladder = {
        s: np.array([[accuracy[s, k] for k in LABELS_A_CLASS] for accuracy, _, _ in transfers])
        for s in LADDER
    }
    print_table(tasks, transfers, ladder)
    surface = np.mean([scores for _, _, scores in transfers], axis=0)
    draw_picture(pair, surface, ladder, "demo.png")
    print(f"\nThe picture is in demo.png. {time.perf_counter() - start:.0f} s in all.")


if __name__ == "__main__":
    main()
