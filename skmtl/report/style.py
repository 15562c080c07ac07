"""How the displays look: colours that the colour-blind can tell apart, axes, legends."""

import numpy as np

from skmtl.report.base import import_extra

# Okabe and Ito (2008), Color universal design, in an order in which neighbours differ most.
OKABE_ITO = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#F0E442"]
INK, GREY, PALE = "#222222", "#888888", "#dddddd"


def axes_of(ax, display, figsize, layout="constrained"):
    """The axes to draw on: those given, or those of a new figure."""
    pyplot = import_extra("matplotlib.pyplot", f"{type(display).__name__}.plot")
    if ax is None:
        _, ax = pyplot.subplots(figsize=figsize, layout=layout)
    return ax


def tidy(ax):
    """A light grid behind the data, and no frame above and to the right."""
    ax.grid(color=PALE, linewidth=0.7)
    ax.set_axisbelow(True)
    ax.spines[["top", "right"]].set_visible(False)


def legend_above(ax, handles):
    """A legend above the axes, where no data are, in lines that fit them."""
    ax.figure.draw_without_rendering()  # labels and colours have taken their room now
    room = 14.5 * ax.get_window_extent().width / ax.figure.dpi  # characters
    lengths = [len(handle.get_label()) + 7 for handle in handles]
    for ncols in range(len(handles), 0, -1):
        if sum(map(max, np.array_split(lengths, ncols))) <= room:  # the columns of the legend
            break
    ax.legend(
        handles=handles,
        loc="lower left",
        bbox_to_anchor=(0, 1.01),
        borderaxespad=0,
        ncols=ncols,
        frameon=False,
        handlelength=1.8,
        columnspacing=1.4,
    )


def write_on(ax, colored, x, y, value, text, size):
    """Write on a cell of a picture, dark on light and light on dark."""
    red, green, blue, _ = colored.cmap(colored.norm(value))
    color = "black" if 0.299 * red + 0.587 * green + 0.114 * blue > 0.5 else "white"
    ax.text(x, y, text, ha="center", va="center", color=color, fontsize=size)


def without_value(x=0, y=0, width=1, height=1, label=None):
    """The look of a cell that has no value: grey, and hatched."""
    patches = import_extra("matplotlib.patches", "a picture")
    return patches.Rectangle(
        (x, y),
        width,
        height,
        facecolor=PALE,
        edgecolor="#999999",
        hatch="///",
        linewidth=0,
        label=label,
    )
