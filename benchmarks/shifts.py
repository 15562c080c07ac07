"""Four simulated shifts, a target without labels: skmtl's ways to adapt against skada's.

``python -m benchmarks.shifts``. The shifts are those of SKADA-Bench [1], by
``skada.datasets.make_shifted_datasets``: 400 rows of the source, 400 of the target to adapt to, and
400 more of it to test on. "conditional_shift" was called concept drift there. Columns are scaled by
the rows that are there to fit on.

Every candidate is fitted once, on the source with its labels and the target without. The net is the
same for all: skada has its adapters before it, and trains it on what they make of the source. Of
each family of candidates, and of all of one package with no adaptation among them, one is chosen

- by the log loss of 20 labels of the target, on which no candidate is fitted;
- by "circular", which looks at no label of the target: that of ``skmtl.unsupervised`` here,
  ``skada.metrics.CircularValidation`` there;
- by "information", the score of that name in ``skmtl.unsupervised``, for both;
- by "information, if not covered": the same where ``skmtl.unsupervised.coverage`` of the target is
  below 3/4, and elsewhere no adaptation.

Both packages have 18 candidates besides the 4 without adaptation. "labels in the fit" is what the
labels chose, fitted anew with ``strategy="joint"`` on the source and these 20 labels.

[1] Lalou, Gnassounou, Collas et al. (2025). SKADA-Bench: benchmarking unsupervised domain
adaptation methods with realistic validation on diverse modalities. TMLR.
"""

import argparse
import time
import warnings
from importlib.metadata import version
from typing import NamedTuple

import numpy as np
import scipy.linalg  # loads the BLAS that is limited below  # noqa: F401
from skada import (
    CORALAdapter,
    EntropicOTMappingAdapter,
    LinearOTMappingAdapter,
    OTMappingAdapter,
    SubspaceAlignmentAdapter,
    TransferComponentAnalysisAdapter,
    make_da_pipeline,
)
from skada.datasets import make_shifted_datasets
from skada.metrics import CircularValidation
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import accuracy_score, log_loss
from sklearn.preprocessing import StandardScaler
from sklearn.utils.parallel import Parallel, delayed  # with skada's setting of routing
from threadpoolctl import threadpool_limits

from benchmarks import report
from skmtl import TransferClassifier, as_source
from skmtl.plugins.alignments import CORAL, DANN, MMD, SlicedWasserstein
from skmtl.unsupervised import coverage, information_score, make_unsupervised_scorer

N_LABELS = 20
FIRST_SEED = 100  # maps and scores were worked on with those below
ENOUGH, CAUTIOUS = 0.75, "information, if not covered"
# Noise, and rows of a cluster, of which there are eight or four: as in SKADA-Bench.
SHIFTS = {
    "covariate_shift": (0.6, 50),
    "target_shift": (0.8, 50),
    "conditional_shift": (0.8, 50),
    "subspace": (0.4, 100),
}
NET = {
    "hidden_layer_sizes": (32,),
    "learning_rate_init": 1e-2,
    "batch_size": 100,
    "max_iter": 50,
    "tol": 0,
}


def grid(name, values, **settings):
    """A candidate for each value of a parameter."""
    return [{**settings, name: value} for value in values]


NONE = grid("alpha", [1e-4, 1e-3, 1e-2, 1e-1])
SKMTL = {
    "kliep": [{"source_sample_weighting": "kliep"}],
    "kmm": [{"source_sample_weighting": "kmm"}],
    "discriminator_ratio": [{"source_sample_weighting": "discriminator_ratio"}],
    "mmd": grid("mu", [1, 10, 100, 300], map_penalty=MMD()),
    "coral": grid("mu", [10, 1000], map_penalty=CORAL()),
    "sliced_wasserstein": grid("mu", [0.1, 1, 10], map_penalty=SlicedWasserstein(10)),
    "dann": grid("mu", [0.3, 3], map_penalty=DANN()),
    "affine + mmd": grid("mu", [1, 10], map_penalty=MMD(where="input"), feature_map="affine"),
    "orthogonal + mmd": grid(
        "mu", [1, 10], map_penalty=MMD(where="input"), feature_map="orthogonal"
    ),
}
SKADA = {
    "CORAL": [CORALAdapter(reg=reg) for reg in ("auto", 0.1, 0.5)],
    "OT": [OTMappingAdapter(norm=norm) for norm in (None, "median")],
    "entropic OT": [EntropicOTMappingAdapter(reg_e=r, max_iter=200) for r in (0.1, 0.3, 1, 3)],
    "linear OT": [LinearOTMappingAdapter(reg=reg) for reg in (1e-8, 0.1)],
    "TCA": [
        TransferComponentAnalysisAdapter(n_components=n, mu=mu)
        for n, mu in [(1, 0.1), (2, 0.1), (5, 0.1), (1, 10), (2, 10)]
    ],
    "subspace alignment": [SubspaceAlignmentAdapter(n_components=n) for n in (1, 2)],
}


class Draw(NamedTuple):
    """One draw of a shift."""

    X_source: np.ndarray
    y_source: np.ndarray
    X: np.ndarray  # of the target, to adapt to
    few: np.ndarray  # labels of its first rows
    X_test: np.ndarray
    y_test: np.ndarray


class Fitted(NamedTuple):
    """A candidate, its accuracy on the test rows, and what it may be chosen by: more is better."""

    candidate: object
    accuracy: float
    labels: float  # minus the log loss of the few
    circular: float
    information: float


def draw(shift, seed):
    """Source, target, labels to choose by, rows to test on."""
    noise, n = SHIFTS[shift]
    X, y, domain = make_shifted_datasets(
        n, 2 * n, shift=shift, noise=noise, center_cov_shift=(-0.4, 3), random_state=seed
    )
    source, target = np.flatnonzero(domain > 0), np.flatnonzero(domain < 0)
    target = np.random.default_rng(seed).permutation(target)
    adapt, test = np.split(target, 2)
    X = StandardScaler().fit(X[np.append(source, adapt)]).transform(X)
    return Draw(X[source], y[source], X[adapt], y[adapt[:N_LABELS]], X[test], y[test])


def judge(candidate, predict_proba, circular, data):
    """What is known of a candidate that was fitted."""
    proba, tested = predict_proba(data.X), predict_proba(data.X_test)
    return Fitted(
        candidate,
        accuracy_score(data.y_test, tested.argmax(axis=1)),
        -log_loss(data.few, proba[:N_LABELS], labels=[0, 1]),
        circular,
        information_score(proba),
    )


def fit_skmtl(settings, data, seed):
    """A candidate of skmtl, or one without adaptation."""
    model = TransferClassifier(**{**NET, **settings}, strategy="source_only", random_state=seed)
    nothing = np.full(len(data.X), np.nan)
    model.fit(data.X, nothing, **as_source(data.X_source, data.y_source))
    source = {"X_source": data.X_source, "y_source": data.y_source}
    circular = make_unsupervised_scorer("circular", **source)(model, data.X)
    return judge(settings, model.predict_proba, circular, data)


def fit_skada(adapter, data, seed):
    """A candidate of skada; None where it fails: entropic OT does if its plan underflows."""
    # skada marks what has no label by -1, and hands that on to estimators that can transform.
    net = TransferClassifier(**NET, missing_label=-1, random_state=seed)
    n_source, n_target = len(data.X_source), len(data.X)
    X = np.vstack([data.X_source, data.X])
    y = np.append(data.y_source, np.full(n_target, -1))
    domain = np.repeat([1, -2], [n_source, n_target])
    pipeline = make_da_pipeline(clone(adapter), net)
    scorer = CircularValidation(accuracy_score)
    try:
        pipeline.fit(X, y, sample_domain=domain)
        circular = scorer._score(None, pipeline, X, y, sample_domain=domain)
    except ValueError:
        return None

    def predict_proba(X):
        return pipeline.predict_proba(X, sample_domain=np.full(len(X), -2))

    return judge(adapter, predict_proba, circular, data)


def with_labels(settings, data, seed):
    """Test accuracy with the few labels in the fit."""
    model = TransferClassifier(**{**NET, **settings}, random_state=seed)
    y = np.append(data.few, np.full(len(data.X) - N_LABELS, np.nan))
    model.fit(data.X, y, **as_source(data.X_source, data.y_source))
    return model.score(data.X_test, data.y_test)


def run(shift, seed):
    """Accuracy by way of choosing and what was chosen from; all candidates; the coverage."""
    data = draw(shift, seed)
    none = {"none": [fit_skmtl(settings, data, seed) for settings in NONE]}
    found = {
        package: {family: [fit(c, data, seed) for c in of] for family, of in families.items()}
        for package, families, fit in (("skmtl", SKMTL, fit_skmtl), ("skada", SKADA, fit_skada))
    }
    pools = dict(none)
    for package, families in found.items():
        families = {f"{package} {f}": [c for c in of if c] for f, of in families.items()}
        pools.update({name: of for name, of in families.items() if of})
        pools[f"{package}, all"] = sum(families.values(), none["none"])
    covered = coverage(data.X_source, data.X)
    chosen = {
        (way, name): max(pool, key=lambda fitted: getattr(fitted, way))
        for way in ("labels", "circular", "information")
        for name, pool in pools.items()
    }
    for name in pools:
        chosen[CAUTIOUS, name] = chosen["information", "none" if covered >= ENOUGH else name]
    accuracy = {key: fitted.accuracy for key, fitted in chosen.items()}
    for name in ("none", "skmtl, all"):
        accuracy["labels in the fit", name] = with_labels(
            chosen["labels", name].candidate, data, seed
        )
    return accuracy, pools, covered


def by_candidate(pools_of_seeds):
    """Accuracies of each candidate, of the seeds at which it could be fitted."""
    found = {}
    for pools in pools_of_seeds:
        for name, pool in pools.items():
            for fitted in pool if not name.endswith(", all") else ():
                found.setdefault((name, str(fitted.candidate)), []).append(fitted.accuracy)
    return [{"family": f, "candidate": c, "accuracy": a} for (f, c), a in found.items()]


def main():
    """Run, print the tables, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="2 seeds")
    parser.add_argument("--jobs", type=int, default=2, help="threads")
    args = parser.parse_args()
    n_seeds = 2 if args.quick else 10
    warnings.simplefilter("ignore", ConvergenceWarning)  # the numbers of epochs are given
    # Where OT does not converge its plan is still one, and is chosen or not by how it does.
    warnings.filterwarnings("ignore", module="ot|skada")

    seeds = range(FIRST_SEED, FIRST_SEED + n_seeds)
    start, runs = time.perf_counter(), {}
    with threadpool_limits(1), Parallel(args.jobs, "threading") as parallel:
        for shift in SHIFTS:
            runs[shift] = parallel(delayed(run)(shift, seed) for seed in seeds)
            covered = report.spread([covered for _, _, covered in runs[shift]])
            print(f"{shift}: {covered} covered  {time.perf_counter() - start:5.0f} s", flush=True)
    seconds = time.perf_counter() - start

    def column(way, name, shift):
        return [accuracy.get((way, name), np.nan) for accuracy, _, _ in runs[shift]]

    def mean_of_shifts(way, name):
        return np.mean([column(way, name, shift) for shift in SHIFTS], axis=0)

    def of(way, name):
        return [*(column(way, name, shift) for shift in SHIFTS), mean_of_shifts(way, name)]

    keys = list(dict.fromkeys(key for of_shift in runs.values() for key in of_shift[0][0]))
    header = [*SHIFTS, "mean"]
    for way in dict.fromkeys(way for way, _ in keys):
        names = [name for of_way, name in keys if of_way == way]
        rows = [[name, *map(report.spread, of(way, name))] for name in names]
        gaps = [
            [f"{ours} - {other}", *map(report.paired, of(way, ours), of(way, other))]
            for ours in names[1:]
            for other in ("none", *(n for n in names if n.startswith("skada")))
            if other != ours and (other == "none" or ours == "skmtl, all")
        ]
        print(f"\nAccuracy, chosen by {way}: mean ± sd over {n_seeds} seeds\n")
        print(report.table([way, *header], rows))
        print("\nPaired, mean ± standard error\n")
        print(report.table(["difference", *header], gaps))
    path = report.write(
        "shifts_quick" if args.quick else "shifts",
        {"net": NET, "shifts": SHIFTS, "n_labels": N_LABELS, "seeds": list(seeds),
         "enough": ENOUGH, "threads": args.jobs, "skada": version("skada")},
        [
            {
                "shift": shift,
                "coverage": [covered for _, _, covered in runs[shift]],
                "chosen": [
                    {"by": way, "from": name, "accuracy": column(way, name, shift)}
                    for way, name in keys
                ],
                "candidates": by_candidate([pools for _, pools, _ in runs[shift]]),
            }
            for shift in SHIFTS
        ],
        seconds,
    )  # fmt: skip
    print(f"\n{seconds:.0f} s; {path}")


if __name__ == "__main__":
    main()
