"""What is in a domain: markers, values, gene sets, neighbours, and how a result came about."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import _brodmann
from .. import _elements as el
from . import _figure as fig

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap
    from mudata import MuData

__all__ = [
    "agreement", "composition", "dotplot", "enrichment", "heatmap", "loss", "neighborhood", "stacked_expression",
    "violin", "volcano",
]  # fmt: skip

UP, DOWN, REST = "#d55e00", "#0072b2", "#b4b4b4"
#: Adjusted p-values below are drawn there.
LEAST_P = 1e-300
#: Values of a violin at most: its shape does not change beyond.
MOST_VALUES = 20_000


def volcano(
    data: AnnData | MuData,
    *,
    group: str | Sequence[str] | None = None,
    key: str = "rank_genes_groups",
    log2_fold_change: float = 0.25,
    p_value: float = 0.05,
    n_names: int = 8,
    ncols: int = 3,
    ax: Axes | Sequence[Axes] | None = None,
    save: str | os.PathLike[str] | None = None,
    show: bool = False,
) -> list[Axes]:
    """Draw fold changes against p-values, one panel per group.

    Parameters
    ----------
    data
        With ``uns[key]``, as :func:`brodmann.tl.markers` and scanpy write it.
    group
        Groups to draw; by default all.
    key
        Key of ``uns``.
    log2_fold_change, p_value
        What counts as a marker: a change beyond this either way, an adjusted p-value below this.
    n_names
        Names of features on either side, by score.
    ncols, ax, save, show
        As for :func:`spatial`.

    Returns
    -------
    The axes of the panels.
    """
    el.require_container(data)
    result = _ranked(data, key)
    groups = _groups_of(result, group, key)
    size = (2.9, 2.7)
    # Numbers and names of axes stand within the gap.
    axes = fig.panels([size] * len(groups), [0.45] * len(groups), ncols, ax).axes
    for axis, name in zip(axes, groups):
        names = np.asarray(result["names"][name]).astype(str)
        change = np.asarray(result["logfoldchanges"][name], dtype=float)
        height = -np.log10(np.maximum(np.asarray(result["pvals_adj"][name], dtype=float), LEAST_P))
        sure = height > -np.log10(p_value)
        up, down = sure & (change > log2_fold_change), sure & (change < -log2_fold_change)
        for chosen, colour in ((~(up | down), REST), (up, UP), (down, DOWN)):
            axis.scatter(change[chosen], height[chosen], s=5, color=colour, linewidths=0, rasterized=chosen.sum() > 5000)
        axis.axhline(-np.log10(p_value), color="#c8c8c8", linewidth=0.7, linestyle=":", zorder=0)
        for x in (-log2_fold_change, log2_fold_change):
            axis.axvline(x, color="#c8c8c8", linewidth=0.7, linestyle=":", zorder=0)
        # Room for names on either side.
        axis.margins(x=0.3)
        axis.autoscale_view()
        for chosen, side in ((np.flatnonzero(up), 1), (np.flatnonzero(down)[::-1], -1)):
            _name_points(axis, names, change, height, chosen[:n_names], side)
        axis.set_title(f"{name}: {up.sum()} up, {down.sum()} down", fontsize=10, loc="left")
        axis.set_xlabel("log2 fold change", fontsize=fig.FONT)
        axis.set_ylabel("−log10 adjusted p", fontsize=fig.FONT)
        _plain(axis)
    fig.finish(axes, save, show)
    return axes


def dotplot(
    data: AnnData | MuData,
    *,
    genes: Sequence[str] | None = None,
    groupby: str | None = None,
    n_genes: int = 3,
    key: str = "rank_genes_groups",
    layer: str | None = None,
    dendrogram: bool = False,
    cmap: str | Colormap = "Reds",
    ax: Axes | None = None,
    save: str | os.PathLike[str] | None = None,
    show: bool = False,
) -> Axes:
    """Draw the mean of features by group as colours, and the share of spots that have any as sizes.

    Parameters
    ----------
    data
        AnnData or MuData.
    genes
        Names of variables; by default the first markers of each group in ``uns[key]``.
    groupby
        Column of ``obs`` with the groups; by default that of the markers, or what a method left.
    n_genes
        Markers of each group.
    key
        Key of ``uns`` with the markers.
    layer
        Layer of the values; by default ``"log_normalized"`` where it is there, else ``X``.
    dendrogram
        Order the groups by how alike their means are (average linkage of correlations), and draw the tree.
    cmap, ax, save, show
        As for :func:`spatial`.

    Returns
    -------
    The axes.
    """
    groups, names = _asked(data, genes, groupby, n_genes, key)
    means, shares, unit = _by_group(data, names, groups, layer)
    order, merges = _alike(means, dendrogram)
    means, shares, rows = means[order], shares[order], [groups.names[k] for k in order]
    n_groups, n_names = means.shape
    ax = fig.one(ax, 1.9 + 0.27 * n_names, 1.5 + 0.27 * n_groups)
    x, y = np.meshgrid(np.arange(n_names), np.arange(n_groups))
    top = max(float(shares.max(initial=0.0)), 0.01)
    area = 130 * shares.ravel() / top
    dots = ax.scatter(x.ravel(), y.ravel(), s=area, c=means.ravel(), cmap=fig.colour_map(cmap), vmin=0,
                      edgecolors="#6e6e6e", linewidths=0.4)  # fmt: skip
    _table(ax, names, rows)
    _tree(ax, order, merges)
    bar = ax.figure.colorbar(dots, ax=ax, shrink=0.6, aspect=14, pad=0.02)
    bar.set_label(f"mean, {unit}" if unit else "mean", fontsize=fig.FONT)
    bar.ax.tick_params(labelsize=fig.FONT)
    steps = [top * part for part in (0.25, 0.5, 1.0)]
    handles = [ax.scatter([], [], s=130 * step / top, color="#8c8c8c", label=f"{100 * step:.0f} %") for step in steps]
    ax.legend(handles=handles, title="of spots", loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=3, frameon=False,
              fontsize=fig.FONT, title_fontsize=fig.FONT)  # fmt: skip
    fig.finish([ax], save, show)
    return ax


def heatmap(
    data: AnnData | MuData,
    *,
    genes: Sequence[str] | None = None,
    groupby: str | None = None,
    n_genes: int = 5,
    key: str = "rank_genes_groups",
    layer: str | None = None,
    standardized: bool = True,
    dendrogram: bool = False,
    cmap: str | Colormap | None = None,
    ax: Axes | None = None,
    save: str | os.PathLike[str] | None = None,
    show: bool = False,
) -> Axes:
    """Draw the mean of features by group as a table of colours.

    Parameters
    ----------
    data, genes, groupby, n_genes, key, layer
        As for :func:`dotplot`.
    standardized
        Means of each feature in standard deviations from their own mean, so that rare features are seen too.
    dendrogram
        Order the groups by how alike their means are (average linkage of correlations), and draw the tree.
    cmap
        Colour map; by default a diverging one for standardized values, else viridis.
    ax, save, show
        As for :func:`spatial`.

    Returns
    -------
    The axes.
    """
    groups, names = _asked(data, genes, groupby, n_genes, key)
    means, _, unit = _by_group(data, names, groups, layer)
    if standardized:
        spread = means.std(axis=0)
        means = (means - means.mean(axis=0)) / np.where(spread > 0, spread, 1.0)
        most = max(float(np.abs(means).max(initial=0.0)), 1e-9)
        low, high, unit, cmap = -most, most, "z-score of means", cmap if cmap is not None else "RdBu_r"
    else:
        low, high, cmap = float(means.min(initial=0.0)), float(means.max(initial=1e-9)), cmap if cmap else "viridis"
        unit = f"mean, {unit}" if unit else "mean"
    order, merges = _alike(means, dendrogram)
    means, rows = means[order], [groups.names[k] for k in order]
    ax = fig.one(ax, 1.9 + 0.22 * len(names), 1.2 + 0.25 * len(rows))
    drawn = ax.pcolormesh(means, cmap=fig.colour_map(cmap), vmin=low, vmax=high, edgecolors="white", linewidth=0.4)
    _table(ax, names, rows, shift=0.5)
    _tree(ax, order, merges, shift=0.5)
    bar = ax.figure.colorbar(drawn, ax=ax, shrink=0.7, aspect=14, pad=0.02)
    bar.set_label(unit, fontsize=fig.FONT)
    bar.ax.tick_params(labelsize=fig.FONT)
    fig.finish([ax], save, show)
    return ax


def violin(
    data: AnnData | MuData,
    *,
    keys: str | Sequence[str],
    groupby: str | None = None,
    layer: str | None = None,
    ncols: int = 3,
    ax: Axes | Sequence[Axes] | None = None,
    save: str | os.PathLike[str] | None = None,
    show: bool = False,
) -> list[Axes]:
    """Draw how values are distributed in each group, one panel per variable or column of numbers.

    Parameters
    ----------
    data
        AnnData or MuData.
    keys
        Names of variables or columns of ``obs``.
    groupby
        Column of ``obs`` with the groups; by default what a method left.
    layer
        Layer of variables; by default ``"log_normalized"`` where it is there, else ``X``.
    ncols, ax, save, show
        As for :func:`spatial`.

    Returns
    -------
    The axes of the panels.
    """
    groups = _labels(data, groupby)
    wanted = [keys] if isinstance(keys, str) else list(keys)
    size = (max(1.6, 0.42 * len(groups.names)), 2.2)
    axes = fig.panels([size] * len(wanted), [0.45] * len(wanted), ncols, ax).axes
    for axis, key in zip(axes, wanted):
        numbers = _numbers(data, key, layer)
        _violins(axis, numbers.values, groups)
        axis.set_title(fig.title_of(data, key), fontsize=10, loc="left")
        axis.set_ylabel(numbers.unit, fontsize=fig.FONT)
        _plain(axis)
    fig.finish(axes, save, show)
    return axes


def stacked_expression(
    data: AnnData | MuData,
    *,
    genes: Sequence[str] | None = None,
    groupby: str | None = None,
    n_genes: int = 1,
    key: str = "rank_genes_groups",
    layer: str | None = None,
    save: str | os.PathLike[str] | None = None,
    show: bool = False,
) -> list[Axes]:
    """Draw features below each other, each as violins over the same groups.

    Parameters
    ----------
    data, genes, groupby, n_genes, key, layer
        As for :func:`dotplot`.
    save, show
        As for :func:`spatial`.

    Returns
    -------
    The axes of the rows.
    """
    groups, names = _asked(data, genes, groupby, n_genes, key)
    width = 1.6 + max(1.6, 0.42 * len(groups.names))
    _, axes = fig.pyplot().subplots(
        len(names), 1, figsize=(width, 0.6 + 0.55 * len(names)), sharex=True, squeeze=False, layout="constrained"
    )
    rows = list(axes.ravel())
    for axis, name in zip(rows, names):
        _violins(axis, _numbers(data, name, layer).values, groups)
        axis.set_ylabel(name, rotation=0, ha="right", va="center", fontsize=fig.FONT)
        axis.set_yticks([])
        _plain(axis)
        axis.spines["left"].set_visible(False)
    fig.finish(rows, save, show)
    return rows


def enrichment(
    data: AnnData | MuData,
    *,
    key: str = "enrichment",
    groupby: str | None = None,
    n_sets: int = 5,
    p_value: float = 0.05,
    ax: Axes | None = None,
    save: str | os.PathLike[str] | None = None,
    show: bool = False,
) -> Axes:
    """Draw the gene sets behind the markers of each group as bars.

    Parameters
    ----------
    data
        With ``uns[key]``, as :func:`brodmann.tl.enrich` writes it.
    key
        Key of ``uns``.
    groupby
        Column of ``obs`` whose colours the groups have; by default what a method left.
    n_sets
        Sets of each group, by p-value; those that are not significant are left out.
    p_value
        Where a line says that a set is significant.
    ax, save, show
        As for :func:`spatial`.

    Returns
    -------
    The axes.
    """
    el.require_container(data)
    table: pd.DataFrame | None = data.uns.get(key)
    if table is None:
        raise el.missing("uns", key, data.uns, "run bm.tl.enrich first")
    shown = table[table["p_adjusted"] < p_value].groupby("group", sort=False, observed=True).head(n_sets)
    if shown.empty:
        raise ValueError(f"no set of uns[{key!r}] has an adjusted p-value below {p_value:g}, at least one was expected")
    groups = _labels(data, groupby)
    colour_of = dict(zip(groups.names, groups.colours))
    ax = fig.one(ax, 6.2, 0.9 + 0.21 * len(shown))
    heights = -np.log10(np.maximum(shown["p_adjusted"].to_numpy(dtype=float), LEAST_P))
    colours = [colour_of.get(str(group), REST) for group in shown["group"]]
    y = np.arange(len(shown))
    ax.barh(y, heights, color=colours, height=0.8)
    ax.set_yticks(y, [fig.shortened(str(name)) for name in shown["set"]], fontsize=fig.FONT)
    ax.invert_yaxis()
    ax.axvline(-np.log10(p_value), color="#6e6e6e", linewidth=0.7, linestyle=":")
    ax.set_xlabel("−log10 adjusted p", fontsize=fig.FONT)
    names = list(dict.fromkeys(shown["group"].astype(str)))
    from matplotlib.patches import Patch

    handles = [Patch(color=colour_of.get(name, REST), label=fig.shortened(name)) for name in names]
    ax.legend(handles=handles, frameon=False, fontsize=fig.FONT, loc="center left", bbox_to_anchor=(1.0, 0.5))
    _plain(ax)
    fig.finish([ax], save, show)
    return ax


def composition(
    data: AnnData | MuData,
    *,
    column: str,
    groupby: str | None = None,
    ax: Axes | None = None,
    save: str | os.PathLike[str] | None = None,
    show: bool = False,
) -> Axes:
    """Draw what each group consists of, as bars of shares.

    Parameters
    ----------
    data
        AnnData or MuData.
    column
        Column of ``obs`` that the groups are made up of: cell types, the slice, a truth.
    groupby
        Column of ``obs`` with the groups; by default what a method left.
    ax, save, show
        As for :func:`spatial`.

    Returns
    -------
    The axes.
    """
    groups = _labels(data, groupby)
    parts = fig.labels_of(data, column, el.column(data, column))
    both = (groups.codes >= 0) & (parts.codes >= 0)
    counts = np.zeros((len(groups.names), len(parts.names)))
    np.add.at(counts, (groups.codes[both], parts.codes[both]), 1)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    height = 0.8 + 0.27 * len(groups.names)
    ax = fig.one(ax, 4.0 + fig.legend_room(parts.names, height), height)
    left = np.zeros(len(groups.names))
    for share, name, colour in zip(shares.T, parts.names, parts.colours):
        ax.barh(np.arange(len(left)), share, left=left, color=colour, label=fig.shortened(name), height=0.8)
        left += share
    ax.set_yticks(np.arange(len(left)), [fig.shortened(name) for name in groups.names], fontsize=fig.FONT)
    ax.invert_yaxis()
    ax.set_xlim(0, 1)
    ax.set_xlabel("share of spots", fontsize=fig.FONT)
    ax.set_title(fig.title_of(data, column), fontsize=10, loc="left")
    ax.legend(frameon=False, fontsize=fig.FONT, loc="upper left", bbox_to_anchor=(1.0, 1.0),
              ncols=fig.legend_columns(len(parts.names), height))  # fmt: skip
    _plain(ax)
    fig.finish([ax], save, show)
    return ax


def neighborhood(
    data: AnnData | MuData,
    *,
    groupby: str | None = None,
    cmap: str | Colormap = "RdBu_r",
    ax: Axes | None = None,
    save: str | os.PathLike[str] | None = None,
    show: bool = False,
) -> Axes:
    """Draw which groups lie beside which more or less often than by chance.

    Parameters
    ----------
    data
        With ``uns[f"{groupby}_nhood_enrichment"]``, as :func:`brodmann.gr.neighborhood_enrichment` and squidpy write it.
    groupby
        Column of ``obs`` with the groups; by default what a method left.
    cmap, ax, save, show
        As for :func:`spatial`.

    Returns
    -------
    The axes.
    """
    groups = _labels(data, groupby)
    key = f"{groups.key}_nhood_enrichment"
    found = data.uns.get(key)
    if found is None:
        raise el.missing("uns", key, data.uns, "run bm.gr.neighborhood_enrichment first")
    scores = np.asarray(found["zscore"], dtype=float)
    return _matrix(scores, groups.names, "z-score", cmap, ax, save, show, centred=True)


def agreement(
    data: AnnData | MuData,
    *,
    key: str = "domains",
    cmap: str | Colormap = "viridis",
    ax: Axes | None = None,
    save: str | os.PathLike[str] | None = None,
    show: bool = False,
) -> Axes:
    """Draw how much the members of :func:`brodmann.tl.domains` agree: the adjusted Rand index of each pair.

    Parameters
    ----------
    data
        With ``uns[key]["agreement"]``.
    key
        Name of the result.
    cmap, ax, save, show
        As for :func:`spatial`.

    Returns
    -------
    The axes.
    """
    el.require_container(data)
    record = data.uns.get(key)
    if record is None or "agreement" not in record:
        raise el.missing("uns", key, data.uns, "run bm.tl.domains first, or name its result with key=")
    indices = np.asarray(record["agreement"], dtype=float)
    members = [str(member) for member in np.asarray(record["members"]).ravel()]
    return _matrix(indices, members, "adjusted Rand index", cmap, ax, save, show, centred=False)


def loss(
    data: AnnData | MuData,
    *,
    key: str = "spami",
    log: bool = False,
    ax: Axes | None = None,
    save: str | os.PathLike[str] | None = None,
    show: bool = False,
) -> Axes:
    """Draw the loss of a training against its epochs.

    Parameters
    ----------
    data
        With ``uns[key]["loss"]``: an array, or a dictionary or DataFrame of arrays by name.
    key
        Key of ``uns``.
    log
        Logarithmic scale.
    ax, save, show
        As for :func:`spatial`.

    Returns
    -------
    The axes.
    """
    el.require_container(data)
    if key not in data.uns:
        raise el.missing("uns", key, data.uns, "run the method first, e.g. bm.tl.spami")
    curves = data.uns[key].get("loss")
    if curves is None:
        raise el.missing(f"uns[{key!r}]", "loss", data.uns[key], "train the model first")
    ax = fig.one(ax, 4.2, 2.9)
    if hasattr(curves, "items"):
        colours = _brodmann.category_colors(len(curves))
        for (name, curve), colour in zip(curves.items(), colours):
            ax.plot(np.asarray(curve, dtype=float), label=str(name), color=colour)
        ax.legend(frameon=False, fontsize=fig.FONT)
    else:
        ax.plot(np.asarray(curves, dtype=float), color=_brodmann.category_colors(5)[4])
    ax.set(xlabel="epoch", ylabel="loss", title=_brodmann.title_of(key))
    if log:
        ax.set_yscale("log")
    _plain(ax)
    fig.finish([ax], save, show)
    return ax


class _Groups(fig.Labels):
    """Groups, and the column they are from."""

    key: str


def _labels(data: Any, groupby: str | None) -> _Groups:
    from .._explain import labels_of

    key = labels_of(data, groupby)
    found = fig.labels_of(data, key, el.column(data, key, advice="name the column of the groups with groupby="))
    groups = _Groups(found.codes, found.names, found.colours)
    groups.key = key
    return groups


def _ranked(data: Any, key: str) -> Mapping[str, Any]:
    """Markers as scanpy keeps them; of a MuData those of the first modality that has them."""
    for place in [data, *(data.mod.values() if el.is_mudata(data) else [])]:
        if key in place.uns:
            return place.uns[key]
    raise el.missing("uns", key, data.uns, "run bm.tl.markers first, or name its result with key=")


def _groups_of(result: Mapping[str, Any], group: str | Sequence[str] | None, key: str) -> list[str]:
    there = list(result["names"].dtype.names)
    if group is None:
        return there
    asked = [group] if isinstance(group, str) else [str(name) for name in group]
    for name in asked:
        if name not in there:
            raise ValueError(f"group is {name!r}, one of those in uns[{key!r}] was expected ({', '.join(there)})")
    return asked


def _asked(
    data: Any, genes: Sequence[str] | None, groupby: str | None, n_genes: int, key: str
) -> tuple[_Groups, list[str]]:
    """The groups and the features: those named, or the first markers of each group."""
    el.require_container(data)
    if genes is not None:
        return _labels(data, groupby), [genes] if isinstance(genes, str) else list(genes)
    result = _ranked(data, key)
    params = result.get("params", {})
    groups = _labels(data, groupby if groupby is not None else params.get("groupby"))
    names = result["names"]
    first = [str(name) for group in names.dtype.names for name in names[group][: el.whole(n_genes, "n_genes")]]
    return groups, list(dict.fromkeys(first))


def _numbers(data: Any, key: str, layer: str | None) -> fig.Numbers:
    found = fig.column(data, key, layer)
    if isinstance(found, fig.Labels):
        raise ValueError(f"obs[{key!r}] holds categories, numbers were expected; name a variable or another column")
    return found


def _by_group(data: Any, names: Sequence[str], groups: fig.Labels, layer: str | None) -> tuple[Any, Any, str]:
    """Mean and share above 0 of each feature in each group, and the unit of the values."""
    n = len(groups.names)
    sizes = np.maximum(np.bincount(groups.codes[groups.codes >= 0], minlength=n), 1)
    means, shares, unit = np.zeros((n, len(names))), np.zeros((n, len(names))), ""
    placed = groups.codes >= 0
    for j, name in enumerate(names):
        numbers = _numbers(data, name, layer)
        values, unit = numbers.values[placed], numbers.unit
        means[:, j] = np.bincount(groups.codes[placed], weights=values, minlength=n) / sizes
        shares[:, j] = np.bincount(groups.codes[placed], weights=values > 0, minlength=n) / sizes
    return means, shares, unit


def _violins(ax: Any, values: np.ndarray, groups: fig.Labels) -> None:
    """A violin with its median for each group; a line where all values are one."""
    finite = np.isfinite(values)
    for code, colour in enumerate(groups.colours):
        own = np.sort(values[(groups.codes == code) & finite])
        if len(own) == 0:
            continue
        # Evenly spaced quantiles of very many.
        own = own[np.linspace(0, len(own) - 1, MOST_VALUES).astype(int)] if len(own) > MOST_VALUES else own
        if own[0] < own[-1] and len(own) > 2:
            (body,) = ax.violinplot(own, [code], widths=0.85, showextrema=False)["bodies"]
            body.set(facecolor=colour, alpha=0.9, edgecolor="#3c3c3c", linewidth=0.5)
            # A density reaches beyond the values; counts do not.
            path = body.get_paths()[0].vertices
            path[:, 1] = np.clip(path[:, 1], own[0], own[-1])
        ax.plot([code - 0.18, code + 0.18], [np.median(own)] * 2, color="#1a1a1a", linewidth=1.2)
    names = [fig.shortened(name) for name in groups.names]
    long = max((len(name) for name in names), default=0) > 3
    ax.set_xticks(range(len(names)), names, fontsize=fig.FONT, rotation=90 if long else 0)
    ax.set_xlim(-0.6, len(names) - 0.4)


def _matrix(
    values: np.ndarray, names: Sequence[str], unit: str, cmap: Any, ax: Any, save: Any, show: bool, *, centred: bool
) -> Any:
    n = len(names)
    side = 0.5 + max(1.5, 0.34 * n)
    ax = fig.one(ax, side + 1.6, side + 0.7)
    finite = values[np.isfinite(values)]
    most = max(float(np.abs(finite).max(initial=0.0)), 1e-9)
    low, high = (-most, most) if centred else (min(0.0, float(finite.min(initial=0.0))), max(1.0, most))
    drawn = ax.pcolormesh(
        np.ma.masked_invalid(values), cmap=fig.colour_map(cmap), vmin=low, vmax=high, edgecolors="white", linewidth=0.5
    )
    if n <= 14:
        digits = 2 if not centred else 0 if most >= 10 else 1
        for i in range(n):
            for j in range(n):
                if np.isfinite(values[i, j]):
                    red, green, blue, _ = drawn.cmap(drawn.norm(values[i, j]))
                    bright = 0.299 * red + 0.587 * green + 0.114 * blue > 0.55
                    ax.text(j + 0.5, i + 0.5, f"{values[i, j]:.{digits}f}", ha="center", va="center", fontsize=6.5,
                            color="#1a1a1a" if bright else "white")  # fmt: skip
    _table(ax, names, names, shift=0.5)
    ax.set_aspect("equal")
    bar = ax.figure.colorbar(drawn, ax=ax, shrink=0.7, aspect=16, pad=0.03)
    bar.set_label(unit, fontsize=fig.FONT)
    bar.ax.tick_params(labelsize=fig.FONT)
    fig.finish([ax], save, show)
    return ax


def _table(ax: Any, across: Sequence[str], down: Sequence[str], shift: float = 0.0) -> None:
    """Names of columns and rows, the first row on top."""
    ax.set_xticks(np.arange(len(across)) + shift, [fig.shortened(name) for name in across], rotation=90, fontsize=fig.FONT)
    ax.set_yticks(np.arange(len(down)) + shift, [fig.shortened(name) for name in down], fontsize=fig.FONT)
    ax.set_xlim(shift - 0.5, len(across) - 0.5 + shift)
    ax.set_ylim(len(down) - 0.5 + shift, shift - 0.5)
    ax.tick_params(length=0)
    for spine in ax.spines.values():
        spine.set_visible(False)


def _alike(means: np.ndarray, wanted: bool) -> tuple[list[int], list[tuple[int, int, float]]]:
    """The order of the rows and the merges of their tree; as they are, and none, where nobody asked or two are too many."""
    found = _brodmann.dendrogram(np.ascontiguousarray(means, dtype=np.float64)) if wanted else None
    return found if found is not None else (list(range(len(means))), [])


def _tree(ax: Any, order: Sequence[int], merges: Sequence[tuple[int, int, float]], shift: float = 0.0) -> None:
    """The tree of the rows, at their right."""
    if not merges:
        return
    room = min(0.9, 0.25 + 0.1 * len(order)) / ax.get_position().width / ax.figure.get_figwidth()
    beside = ax.inset_axes((1.01, 0.0, room, 1.0), sharey=ax)
    place = {leaf: k + shift for k, leaf in enumerate(order)}
    height = dict.fromkeys(order, 0.0)
    for k, (left, right, own) in enumerate(merges):
        beside.plot([height[left], own, own, height[right]], [place[left], place[left], place[right], place[right]],
                    color="#5a5a5a", linewidth=0.9, solid_capstyle="butt")  # fmt: skip
        place[len(order) + k], height[len(order) + k] = (place[left] + place[right]) / 2, own
    beside.set_xlim(0, max(merges[-1][2], 1e-9) * 1.05)
    beside.axis("off")


def _plain(ax: Any) -> None:
    ax.tick_params(labelsize=fig.FONT)
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)


def _name_points(ax: Any, names: Any, x: Any, y: Any, chosen: Any, side: int) -> None:
    """Names beside points, each further down where the one before would be hidden."""
    last = np.inf
    span = max(float(np.nanmax(y, initial=0.0)), 1e-9)
    for k in sorted(chosen, key=lambda k: -y[k]):
        level = min(y[k], last - 0.05 * span)
        last = level
        ax.annotate(names[k], (x[k], y[k]), xytext=(x[k] + side * 0.04 * np.ptp(ax.get_xlim()), level), fontsize=6.5,
                    ha="left" if side > 0 else "right", va="center",
                    arrowprops={"arrowstyle": "-", "linewidth": 0.4, "color": "#8c8c8c"})  # fmt: skip
