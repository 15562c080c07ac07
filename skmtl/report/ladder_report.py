"""TransferReport: the ladder's scores, differences, and what they come to."""

from skmtl.report.base import Report, in_words, text_table
from skmtl.report.paired import corrected_se, is_clear, mean, sd

BASELINE = "target_only"


class TransferReport(Report):
    """Does the source help: every way to use it against the target alone, on the same draws.

    Made by :func:`transfer_report`. As text it is a table with a verdict for each number of labels.

    Parameters
    ----------
    scores : dict of str to ndarray of shape (n_sizes, n_splits)
        For each rung its score on each split's test rows, by number of labels.
    n_labels : list of (int or "all")
        The numbers of target labels per class.
    n_train : ndarray of shape (n_sizes,)
        The target labels in training, mean over splits.
    n_classes : int
        Classes of the target.
    test_to_train : float
        Test rows per training row of a split, before labels are hidden.
    score_name : str
        What the scores are.
    transferability : dict of str to float
        Scores of the source's features and predictions on the target.
    notes : list of str, default=()
        What was left out, and why.

    Attributes
    ----------
    rungs : list of str
        In the order of the table.
    rows : list of dict
        For each number of labels and rung: "n_labels", "rung", "n_train" (labels), "score", "sd",
        "se", "difference" (to target_only), "difference_se", "clear" (0 is outside the 95 %
        interval of the difference), "scores" (of each split).
    best_rungs : dict
        For each number of labels the rung with the highest score.
    verdicts : dict
        For each number of labels a sentence.
    """

    def __init__(
        self,
        scores,
        *,
        n_labels,
        n_train,
        n_classes,
        test_to_train,
        score_name,
        transferability,
        notes=(),
    ):
        self.scores = scores
        self.n_labels = n_labels
        self.n_train = n_train
        self.n_classes = n_classes
        self.test_to_train = test_to_train
        self.score_name = score_name
        self.transferability = transferability
        self.notes = list(notes)
        self.rungs = list(scores)
        self.n_splits = scores[BASELINE].shape[1]
        self.rows = [self._row(s, k, rung) for s, k in enumerate(n_labels) for rung in self.rungs]
        by_size = {k: [row for row in self.rows if row["n_labels"] == k] for k in n_labels}
        self.best_rungs = {
            k: max(rows, key=lambda row: row["score"])["rung"] for k, rows in by_size.items()
        }
        self.verdicts = {k: _verdict(rows) for k, rows in by_size.items()}

    def _row(self, s, k, rung):
        """The summary of one rung at the number of labels with index s."""
        scores = self.scores[rung][s]
        difference = scores - self.scores[BASELINE][s]
        se = corrected_se(difference, self.test_to_train)
        return {
            "n_labels": k,
            "rung": rung,
            "n_train": float(self.n_train[s]),
            "score": float(mean(scores)),
            "sd": float(sd(scores)),
            "se": float(corrected_se(scores, self.test_to_train)),
            "difference": float(mean(difference)),
            "difference_se": float(se),
            "clear": bool(is_clear(mean(difference), se, self.n_splits)),
            "scores": scores.tolist(),
        }

    def to_dict(self):
        """Give all of it as builtins, ready for JSON.

        Returns
        -------
        dict
            "score_name", "n_splits", "n_classes", "rows", "transferability", "verdicts" (a list in
            the order of the numbers of labels) and "notes".
        """
        return {
            "score_name": self.score_name,
            "n_splits": self.n_splits,
            "n_classes": self.n_classes,
            "rows": [dict(row) for row in self.rows],
            "transferability": dict(self.transferability),
            "verdicts": [self.verdicts[k] for k in self.n_labels],
            "notes": list(self.notes),
        }

    def __str__(self):
        row_of = {(row["n_labels"], row["rung"]): row for row in self.rows}
        header = ["labels a class", *(str(k) for k in self.n_labels)]
        scores, differences = [header], [header]
        for rung in self.rungs:
            rows = [row_of[k, rung] for k in self.n_labels]
            scores.append([rung, *(f"{row['score']:.3f} ± {row['sd']:.3f}" for row in rows)])
            if rung != BASELINE:
                differences.append([rung, *(_difference(row) for row in rows)])
        names = [str(k) for k in self.n_labels]
        width = max(map(len, names))
        return "\n".join(
            [
                f"{self.score_name} on the target, mean ± sd over {self.n_splits} splits",
                *text_table(scores),
                "",
                f"above {BASELINE}, mean ± standard error on the same splits (*: clear at 95 %)",
                *text_table(differences),
                "",
                *(f"{name:>{width}}: {self.verdicts[k]}." for name, k in zip(names, self.n_labels)),
                "",
                "of the source: "
                + ", ".join(f"{name} {value:.3f}" for name, value in self.transferability.items()),
                *self.notes,
            ]
        )


def _difference(row):
    mark = "*" if row["clear"] else " "
    return f"{row['difference']:+.3f} ± {row['difference_se']:.3f}{mark}"


def _verdict(rows):
    """A sentence about the best rung besides the baseline, and about those that hurt."""
    others = sorted(
        (row for row in rows if row["rung"] != BASELINE), key=lambda row: -row["difference"]
    )
    top = others[0]
    by = f"by {abs(top['difference']):.3f} ± {top['difference_se']:.3f}"
    if not top["clear"]:
        ahead = "above" if top["difference"] >= 0 else "below"
        said = f"nothing is clearly above {BASELINE}; {top['rung']} is {ahead} it {by}"
    elif top["difference"] > 0:
        said = f"{top['rung']} is above {BASELINE} {by}"
    else:
        said = f"{BASELINE} is best; {top['rung']}, the next, is below it {by}"
    hurt = [row["rung"] for row in others[1:] if row["clear"] and row["difference"] < 0]
    if hurt:
        said += f"; {in_words(hurt)} {'are' if len(hurt) > 1 else 'is'} clearly below it"
    return said
