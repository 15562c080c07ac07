"""MultiTaskReport: each task's scores, gains by sharing, and what they come to."""

import numpy as np

from skmtl.report.base import Report, in_words, text_table
from skmtl.report.paired import corrected_se, is_clear, mean, sd

BASELINE = "none"
MAX_LINES = 30  # of a table of tasks; longer ones show the tasks at both ends


class MultiTaskReport(Report):
    """Does sharing help: each task's score by kind of sharing, on the same splits.

    Made by :func:`multitask_report`.

    Parameters
    ----------
    scores : dict of str to ndarray of shape (n_tasks, n_splits)
        For each kind of sharing the score of each task on each split's test rows, NaN where it has
        none.
    task_names : list of (str or int)
        Names of the tasks.
    n_labels : ndarray of shape (n_tasks,)
        Labels of each task.
    test_to_train : float
        Test rows per training row of a split.
    score_name : str
        What the scores are.
    task_affinity : ndarray of shape (n_tasks, n_tasks) or None
        Mean cosine between the tasks' gradients.
    notes : list of str, default=()
        What was left out, and why.

    Attributes
    ----------
    sharings : list of str
        In the order of the table, "none" first.
    rows : list of dict
        For each task, and the mean over tasks as ``"task": None``, and kind of sharing: "task",
        "n_labels", "sharing", "score", "sd", "gain" (over "none"), "gain_se", "clear" (0 is outside
        the 95 % interval of the gain), "n_splits" (with a score), "scores" (of each split).
    verdicts : dict
        For each kind of sharing but "none" a sentence.
    """

    def __init__(
        self, scores, *, task_names, n_labels, test_to_train, score_name, task_affinity, notes=()
    ):
        self.scores = scores
        self.task_names = task_names
        self.n_labels = n_labels
        self.test_to_train = test_to_train
        self.score_name = score_name
        self.task_affinity = task_affinity
        self.notes = list(notes)
        self.sharings = list(scores)
        self.n_splits = scores[BASELINE].shape[1]
        of_tasks = [
            self._row(name, n, sharing, lambda of, t=t: of[t])
            for t, (name, n) in enumerate(zip(task_names, n_labels))
            for sharing in self.sharings
        ]
        of_all = [
            self._row(None, np.sum(n_labels), sharing, self._mean_of_tasks)
            for sharing in self.sharings
        ]
        self.rows = of_tasks + of_all
        self.verdicts = {
            sharing: _verdict([row for row in self.rows if row["sharing"] == sharing])
            for sharing in self.sharings[1:]
        }

    def _mean_of_tasks(self, scores):
        """Mean over the tasks with a score by every kind of sharing, shape (n_splits,)."""
        everywhere = ~np.isnan(list(self.scores.values())).any(axis=0)
        return mean(np.where(everywhere, scores, np.nan).T)

    def _row(self, name, n_labels, sharing, of):
        """The summary of a task, or of all."""
        scores, base = of(self.scores[sharing]), of(self.scores[BASELINE])
        gain = scores - base
        n = int(np.sum(~np.isnan(gain)))
        se = corrected_se(gain, self.test_to_train)
        return {
            "task": name,
            "n_labels": int(n_labels),
            "sharing": sharing,
            "score": float(mean(scores)),
            "sd": float(sd(scores)),
            "gain": float(mean(gain)),
            "gain_se": float(se),
            "clear": bool(is_clear(mean(gain), se, n)),
            "n_splits": n,
            "scores": scores.tolist(),
        }

    def to_dict(self):
        """Give all of it as builtins, ready for JSON.

        Returns
        -------
        dict
            "score_name", "n_splits", "rows", "task_names", "task_affinity" (nested lists or None),
            "verdicts" and "notes".
        """
        return {
            "score_name": self.score_name,
            "n_splits": self.n_splits,
            "rows": [dict(row) for row in self.rows],
            "task_names": list(self.task_names),
            "task_affinity": None if self.task_affinity is None else self.task_affinity.tolist(),
            "verdicts": dict(self.verdicts),
            "notes": list(self.notes),
        }

    def __str__(self):
        shared = self.sharings[1:]
        header = ["task", "labels", *self.sharings, *(f"{s} - {BASELINE}" for s in shared)]
        lines = []
        for start in range(0, len(self.rows), len(self.sharings)):
            rows = self.rows[start : start + len(self.sharings)]
            name = "mean of tasks" if rows[0]["task"] is None else str(rows[0]["task"])
            lines.append(
                [
                    name,
                    str(rows[0]["n_labels"]),
                    *(f"{row['score']:.3f}" for row in rows),
                    *(_gain(row) for row in rows[1:]),
                ]
            )
        left_out = max(0, len(lines) - MAX_LINES)
        if left_out:  # the tasks that gain least and most by the last kind of sharing tell most
            *of_tasks, of_all = lines
            gains = [row["gain"] for row in self.rows[len(self.sharings) - 1 :: len(self.sharings)]]
            order = np.argsort(gains[:-1])[::-1]
            keep = [*order[: MAX_LINES // 2], *order[-(MAX_LINES // 2) :]]
            lines = [*(of_tasks[t] for t in keep), of_all]
            left_out = len(of_tasks) - len(keep)
        return "\n".join(
            [
                f"{self.score_name}, mean over {self.n_splits} splits; "
                "differences ± standard error on the same splits (*: clear at 95 %)",
                *text_table([header, *lines]),
                *([f"({left_out} tasks between these are left out)"] if left_out else []),
                "",
                *(f"{said}." for said in self.verdicts.values()),
                *self.notes,
            ]
        )


def _gain(row):
    return f"{row['gain']:+.3f} ± {row['gain_se']:.3f}{'*' if row['clear'] else ' '}"


def _verdict(rows):
    """A sentence about one kind of sharing, from its rows: the tasks', then the mean."""
    *of_tasks, of_all = rows
    by = f"by {abs(of_all['gain']):.3f} ± {of_all['gain_se']:.3f} on average"
    where = "above" if of_all["gain"] >= 0 else "below"
    if of_all["clear"]:
        said = f"{of_all['sharing']} is {where} {BASELINE} {by}"
    else:
        said = f"{of_all['sharing']} does not clearly differ from {BASELINE}: {where} it {by}"
    for word, sign in [("gains", 1), ("loses", -1)]:
        clear = [
            f"task {row['task']}" if isinstance(row["task"], int) else row["task"]
            for row in of_tasks
            if row["clear"] and sign * row["gain"] > 0
        ]
        if clear:
            shown = in_words(clear) if len(clear) <= 5 else f"{len(clear)} of {len(of_tasks)} tasks"
            word = word if len(clear) == 1 else word.removesuffix("s")
            said += f"; {shown} clearly {word}"
    return said
