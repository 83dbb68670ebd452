"""Figures and colours that all pictures share: sizes in inches, one palette, one set of limits (those of the command)."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Union

import numpy as np
import scipy.sparse as sp

from .. import _brodmann
from .. import _elements as el

if TYPE_CHECKING:
    from anndata import AnnData
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap
    from mudata import MuData

    Data = Union[AnnData, MuData]

#: Longest side of a panel, in inches.
PANEL = 3.4
#: Height of a row of a legend, width of a letter and of the swatch before it, in inches.
ROW, LETTER, SWATCH = 0.185, 0.078, 0.34
#: Width of a colour bar with its numbers.
BAR = 0.95
#: Longest name in a legend, in letters.
NAME = 28
FONT = 8.5


def pyplot() -> Any:
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise ImportError(
            "pictures need the package matplotlib, which is not installed; pip install 'brodmann[plot]'"
        ) from error
    return plt


def finish(axes: Sequence[Any], save: str | os.PathLike[str] | None, show: bool) -> None:
    """Writes the figure and shows it, where that is asked for."""
    figure = axes[0].figure
    if save is not None:
        figure.savefig(save, dpi=200, bbox_inches="tight", facecolor="white")
    if show:
        pyplot().show()


def given_axes(n: int, given: Any) -> list[Any] | None:
    """The axes that were given, as many as there are panels; ``None`` where none were."""
    if given is None:
        return None
    axes = list(np.atleast_1d(np.asarray(given, dtype=object)).ravel())
    if len(axes) < n:
        raise ValueError(f"{len(axes)} axes were given for {n} panels, as many were expected; pass more")
    return axes[:n]


def one(ax: Any, width: float, height: float) -> Any:
    """The axes that were given, or those of a new figure of this size in inches."""
    if ax is not None:
        return ax
    _, ax = pyplot().subplots(figsize=(width, height), layout="constrained")
    return ax


@dataclass
class Panels:
    """Axes in a grid, each with room for a legend at its right."""

    axes: list[Any]
    #: Width of the room for the legend beside each, in inches; 0 in axes that were given.
    rooms: list[float]
    #: Width and height of each in inches.
    sizes: list[tuple[float, float]]


def panels(
    sizes: Sequence[tuple[float, float]], rooms: Sequence[float], ncols: int, given: Any, heading: float = 0.0
) -> Panels:
    """A grid of panels of these sizes; legends stand below each other, right of the widest panel of their column."""
    n = len(sizes)
    found = given_axes(n, given)
    if found is not None:
        return Panels(found, [0.0] * n, list(sizes))
    columns = min(n, el.whole(ncols, "ncols"))
    rows = math.ceil(n / columns)
    widths = [max(sizes[k][0] for k in range(c, n, columns)) for c in range(columns)]
    beside = [max(rooms[k] for k in range(c, n, columns)) for c in range(columns)]
    heights = [max(sizes[k][1] for k in range(r * columns, min((r + 1) * columns, n))) for r in range(rows)]
    left, top, gap, title = 0.15, 0.1 + heading, 0.3, 0.32
    lefts = [left + sum(widths[:c]) + sum(beside[:c]) + gap * c for c in range(columns)]
    tops = [top + sum(heights[:r]) + (gap + title) * r + title for r in range(rows)]
    width = lefts[-1] + widths[-1] + beside[-1] + left
    height = tops[-1] + heights[-1] + 0.3
    figure = pyplot().figure(figsize=(width, height))
    axes = []
    for k, (w, h) in enumerate(sizes):
        x, y = lefts[k % columns], height - tops[k // columns] - h
        axes.append(figure.add_axes((x / width, y / height, w / width, h / height)))
    return Panels(axes, [widths[k % columns] - sizes[k][0] for k in range(n)], list(sizes))


def legend_room(names: Sequence[str], height: float) -> float:
    """Width of a legend of these names beside a panel of this height, in inches."""
    if not names:
        return 0.0
    columns = legend_columns(len(names), height)
    rows = math.ceil(len(names) / columns)
    longest = [max(len(shortened(name)) for name in names[c * rows : (c + 1) * rows] or [""]) for c in range(columns)]
    return 0.15 + sum(SWATCH + LETTER * n for n in longest)


def legend_columns(n: int, height: float) -> int:
    return max(1, math.ceil(n / max(4, int(height / ROW))))


def shortened(name: str) -> str:
    return name if len(name) <= NAME else name[: NAME - 1] + "…"


def legend(ax: Any, names: Sequence[str], colours: Sequence[str], height: float, offset: float) -> None:
    """Names beside swatches, right of the panel; as many columns as keep them within its height."""
    from matplotlib.lines import Line2D

    handles = [
        Line2D([], [], marker="s", linestyle="", markersize=7, color=colour, label=shortened(name))
        for name, colour in zip(names, colours)
    ]
    width = ax.get_position().width * ax.figure.get_size_inches()[0]
    ax.legend(
        handles=handles,
        loc="upper left",
        bbox_to_anchor=(1.0 + (offset + 0.08) / max(width, 0.1), 1.0),
        borderaxespad=0.0,
        frameon=False,
        fontsize=FONT,
        ncols=legend_columns(len(names), height),
        handletextpad=0.1,
        columnspacing=0.8,
        labelspacing=0.35,
    )


def colour_bar(ax: Any, drawn: Any, unit: str, note: str, own: bool, offset: float) -> None:
    """A bar of colours with its unit above and what its ends are below."""
    if own:
        box = ax.get_position()
        width, height = ax.figure.get_size_inches()
        tall = min(box.height, 1.9 / height)
        left = box.x1 + (offset + 0.12) / width
        # Room above for the unit.
        tall = min(tall, box.height - 0.2 / height) if unit else tall
        top = box.y1 - (0.2 / height if unit else 0.0)
        bar = ax.figure.add_axes((left, top - tall, 0.13 / width, tall))
        ax.figure.colorbar(drawn, cax=bar)
    else:
        bar = ax.figure.colorbar(drawn, ax=ax, shrink=0.7).ax
    bar.tick_params(labelsize=FONT)
    drawn.colorbar.outline.set_visible(False)
    if unit:
        bar.set_title(unit, fontsize=FONT, loc="left", pad=4)
    if note:
        bar.text(0.0, -0.06, note, fontsize=FONT - 2, color="#6e6e6e", ha="left", va="top", transform=bar.transAxes)


def colour_map(cmap: str | Colormap) -> Any:
    """A map of the command by its name, of the same colours; any other of matplotlib's."""
    from matplotlib import colormaps
    from matplotlib.colors import ListedColormap

    if not isinstance(cmap, str):
        return cmap
    try:
        return ListedColormap(_brodmann.color_map(cmap), name=cmap)
    except ValueError:
        return colormaps[cmap]


def limits(values: np.ndarray, vmin: float | str | None, vmax: float | str | None) -> tuple[float, float, str]:
    """The ends of the colours and what they are, as the command has them."""
    text = [None if v is None else str(v) for v in (vmin, vmax)]
    found = _brodmann.color_limits(np.ascontiguousarray(values, dtype=np.float64).ravel(), *text)
    if found is None:
        return 0.0, 1.0, ""
    low, high, note = found
    if low > high:
        raise ValueError(f"vmin is {low:g}, a number not above vmax ({high:g}) was expected; exchange them")
    return low, high, note


@dataclass
class Labels:
    """A column of categories."""

    codes: np.ndarray
    names: list[str]
    colours: list[str]


@dataclass
class Numbers:
    """A column of numbers, or a variable."""

    values: np.ndarray
    unit: str
    low: float
    high: float
    note: str


def labels_of(data: Data, key: str, values: Any, palette: Any = None) -> Labels:
    """Categories with their colours: those asked for, those of ``uns``, or the command's."""
    import pandas as pd

    if not el.is_categorical(values):
        # Sorted, as in a file.
        values = pd.Categorical(values)
    codes, names = el.codes_of(values)
    names = list(names)
    missing = _brodmann.MISSING_COLOR
    if isinstance(palette, Mapping):
        colours = [palette.get(name, palette.get(str(name), missing)) for name in names]
    elif palette is not None:
        chosen = list(palette)
        colours = [chosen[i % len(chosen)] for i in range(len(names))]
    else:
        colours = _brodmann.category_colors(len(names), hexed(data.uns.get(f"{key}_colors")))
    return Labels(np.asarray(codes, dtype=np.int64), [str(name) for name in names], list(colours))


def hexed(colours: Any) -> list[str] | None:
    """Colours as ``#rrggbb``, those that matplotlib knows by name too; ``None`` where one is no colour."""
    from matplotlib.colors import to_hex

    if colours is None:
        return None
    try:
        return [to_hex(colour) for colour in colours]
    except ValueError:
        return None


def match(columns: Mapping[str, Labels | Numbers], own: Iterable[str] = ()) -> None:
    """Labels that overlap with the truth, or with the first labels, take its colours; ``own`` and chosen ones stay."""
    found = {key: column for key, column in columns.items() if isinstance(column, Labels)}
    reference = "ground_truth" if "ground_truth" in found else next(iter(found), None)
    if reference is None:
        return
    truth = found[reference]
    ours = set(_brodmann.category_colors(64))
    colours = hexed(truth.colours) or _brodmann.category_colors(len(truth.names))
    for key, column in found.items():
        if key != reference and key not in own and set(hexed(column.colours) or [""]) <= ours:
            column.colours = _brodmann.match_colors(truth.codes, column.codes, colours, len(column.names))


def variable(data: Data, key: str, layer: str | None) -> tuple[np.ndarray, str] | None:
    """A variable and the unit of its values, where it is known."""
    for adata in data.mod.values() if el.is_mudata(data) else [data]:
        if key not in adata.var_names or len(adata) != data.n_obs:
            continue
        chosen = layer if layer is not None else "log_normalized" if "log_normalized" in adata.layers else None
        x = el.matrix(adata, chosen)[:, adata.var_names.get_loc(key)]
        values = (x.toarray() if sp.issparse(x) else np.asarray(x)).ravel().astype(float)
        finite = values[np.isfinite(values)]
        if chosen == "log_normalized":
            unit = "log-normalised"
        elif chosen is not None:
            unit = chosen
        elif len(finite) and (finite >= 0).all() and (finite == np.round(finite)).all():
            unit = "counts"
        else:
            unit = "log-normalised" if "log1p" in adata.uns else ""
        return values, unit
    return None


def column(
    data: Data,
    key: str,
    layer: str | None,
    palette: Any = None,
    vmin: float | str | None = None,
    vmax: float | str | None = None,
) -> Labels | Numbers:
    """What a key stands for: a column of ``obs`` or a variable."""
    if key in data.obs:
        values = data.obs[key]
        numeric = not hasattr(values, "cat") and np.asarray(values).dtype.kind in "fiu"
        if not numeric:
            return labels_of(data, key, values, palette)
        numbers, unit = np.asarray(values, dtype=float), _brodmann.unit_of(key)
    else:
        found = variable(data, key, layer)
        if found is None:
            raise el.missing("obs", key, data.obs.columns, "name one of these or a variable")
        numbers, unit = found
    return Numbers(numbers, unit, *limits(numbers, vmin, vmax))


def title_of(data: Data, key: str) -> str:
    """A column of ``obs`` in words; a variable as it is called."""
    return _brodmann.title_of(key) if key in data.obs else key
