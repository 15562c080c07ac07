"""What reports have in common: rows of builtins, a table of text, a data frame."""

from importlib import import_module


class Report:
    """Base of the reports; a subclass gives ``rows``, ``to_dict`` and ``__str__``."""

    def __repr__(self):
        return str(self)

    def to_frame(self):
        """Give ``rows`` as a table of pandas.

        Returns
        -------
        pandas.DataFrame
            A line for each of ``rows``, without the scores of single splits.

        Raises
        ------
        ImportError
            If pandas is not installed.
        """
        pandas = import_extra("pandas", "to_frame")
        return pandas.DataFrame(
            [{k: v for k, v in row.items() if k != "scores"} for row in self.rows]
        )


def import_extra(module, what):
    """Import a module of the extra "report"; the error says who wants it and how to get it."""
    try:
        return import_module(module)
    except ImportError as error:
        package = module.partition(".")[0]
        raise ImportError(
            f"{what} needs the package {package}: pip install skmtl[report]"
        ) from error


def text_table(cells):
    """Lines of a table, its first column to the left and the others to the right."""
    widths = [max(map(len, column)) for column in zip(*cells)]
    return [
        "  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]).rstrip()
        for row in cells
    ]


def in_words(names):
    """The names as a list in a sentence: "a, b and c"."""
    names = [str(name) for name in names]
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def score_name(scoring):
    """What a table or an axis calls a score."""
    return "accuracy" if scoring is None else getattr(scoring, "__name__", str(scoring))
