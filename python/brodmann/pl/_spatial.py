"""The tissue and its embeddings."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from .. import _brodmann
from .. import _elements as el
from . import _figure as fig

if TYPE_CHECKING:
    from anndata import AnnData
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap
    from mudata import MuData

__all__ = ["attention", "embedding", "entropy", "spatial"]

#: Opacity of spots over a picture where nobody says otherwise, as the command has it.
OVER_IMAGE = 0.8
#: Diameters of the points of an embedding, in points.
POINT = (0.7, 4.5)


def spatial(
    data: AnnData | MuData,
    *,
    color: str | Sequence[str],
    spatial_key: str = "spatial",
    library_key: str | None = None,
    layer: str | None = None,
    palette: Mapping[str, str] | Sequence[str] | None = None,
    match_colors: bool = True,
    cmap: str | Colormap = "viridis",
    vmin: float | str | None = None,
    vmax: float | str | None = None,
    shape: Literal["auto", "circle", "square", "hexagon"] = "auto",
    size: float | None = None,
    alpha: float | None = None,
    outline: Literal["spots", "domains"] | None = None,
    image: bool = True,
    ncols: int = 4,
    titles: Sequence[str] | None = None,
    legend: bool = True,
    ax: Axes | Sequence[Axes] | None = None,
    axes: Axes | Sequence[Axes] | None = None,
    save: str | os.PathLike[str] | None = None,
    show: bool = False,
) -> list[Axes]:
    """Draw domains, other columns of ``obs`` or genes at the coordinates of the observations.

    Colours, limits, titles and shapes are those of ``brodmann plot``.

    Parameters
    ----------
    data
        AnnData or MuData.
    color
        Columns of ``obs`` or names of variables, one panel each.
    spatial_key
        Key of the coordinates in ``obsm``. Of an embedding :func:`embedding` makes a plot with axes.
    library_key
        Column of ``obs`` with the slice: one panel for each slice.
    layer
        Layer instead of ``X`` for variables.
    palette
        Colours of categories, by name or in order. By default ``uns[f"{color}_colors"]`` where it has one for each,
        else those of ``brodmann plot``.
    match_colors
        Labels that overlap with ``"ground_truth"`` (or the first labels drawn) take its colours, category by category.
    cmap
        Colour map of numbers.
    vmin, vmax
        Ends of the colours of numbers: a number, or a percentile (``"p95"``); by default the 1st and 99th percentile.
    shape
        Of the spots; by default hexagons or squares that touch where they form such a lattice.
    size
        Diameter of a spot in the unit of the coordinates; by default that of the file, or spots touch.
    alpha
        Opacity of the spots; by default 1, over a picture 0.8, within outlines of domains 0.
    outline
        ``"spots"``: a line around each spot; ``"domains"``: lines around domains, in place of the spots.
    image
        Draw the picture of ``uns["spatial"]`` below the spots where there is one.
    ncols
        Panels in a row.
    titles
        One per panel.
    legend
        Name the categories, at the last slice, and show the colours of numbers.
    ax, axes
        Draw into these instead of a new figure.
    save
        File to write the figure to, of any kind matplotlib writes.
    show
        Show the figure, as a script needs it; notebooks do so by themselves.

    Returns
    -------
    The axes of the panels.
    """
    el.require_container(data)
    keys = [color] if isinstance(color, str) else list(color)
    coordinates = el.coordinates(data, spatial_key)[:, :2].astype(float)
    if not np.isfinite(coordinates).all():
        raise ValueError(
            f"obsm[{spatial_key!r}] holds NaN or infinity, finite numbers were expected; correct or drop them"
        )
    columns = {key: fig.column(data, key, layer, palette, vmin, vmax) for key in keys}
    if match_colors and palette is None:
        fig.match(columns)
    parts: list[tuple[str | None, np.ndarray]] = [(None, np.arange(len(coordinates)))]
    if library_key is not None:
        codes, names = el.codes_of(el.column(data, library_key))
        parts = [(str(name), np.flatnonzero(codes == i)) for i, name in enumerate(names)]
    wanted = [(key, name, rows) for key in keys for name, rows in parts]
    slides = {name: _slide(data, name, spatial_key) for name, _ in parts}
    views = {name: _View(coordinates[rows], slides[name] if image else None, shape, size) for name, rows in parts}
    last = parts[-1][0]
    sizes = [views[name].inches for _, name, _ in wanted]
    rooms = [
        _room(columns[key], height) if legend and name == last else 0.0
        for (key, name, _), (_, height) in zip(wanted, sizes)
    ]
    given = ax if ax is not None else axes
    grid = fig.panels(sizes, rooms, ncols, given)
    for i, (axis, (key, name, rows)) in enumerate(zip(grid.axes, wanted)):
        views[name].prepare(axis)
        _draw(axis, columns[key], rows, views[name], cmap, alpha, outline)
        if legend and name == last:
            _explain(axis, columns[key], grid, i, given is None)
        own = fig.title_of(data, key)
        title = own if name is None else f"{name} · {own}"
        axis.set_title(titles[i] if titles is not None and i < len(titles) else title, fontsize=10, loc="left")
    fig.finish(grid.axes, save, show)
    return grid.axes


def embedding(
    data: AnnData | MuData,
    *,
    basis: str,
    color: str | Sequence[str] | None = None,
    components: tuple[int, int] = (1, 2),
    layer: str | None = None,
    palette: Mapping[str, str] | Sequence[str] | None = None,
    match_colors: bool = True,
    cmap: str | Colormap = "viridis",
    vmin: float | str | None = None,
    vmax: float | str | None = None,
    size: float | None = None,
    ncols: int = 4,
    titles: Sequence[str] | None = None,
    legend: bool = True,
    ax: Axes | Sequence[Axes] | None = None,
    save: str | os.PathLike[str] | None = None,
    show: bool = False,
) -> list[Axes]:
    """Draw a UMAP, principal components or another embedding, with axes of its own.

    Parameters
    ----------
    data
        AnnData or MuData.
    basis
        Key in ``obsm``, with or without ``X_``: ``"umap"`` is ``"X_umap"``, or the only key that ends so.
    color
        Columns of ``obs`` or names of variables, one panel each.
    components
        Columns along the axes, the first being 1.
    layer, palette, match_colors, cmap, vmin, vmax, ncols, titles, legend, ax, save, show
        As for :func:`spatial`.
    size
        Diameter of a point, in points (1/72 inch); by default by their number.

    Returns
    -------
    The axes of the panels.
    """
    el.require_container(data)
    key = _basis(data, basis)
    table = np.asarray(el.obsm(data, key, advice="name one of these with basis="), dtype=float)
    a, b = (el.whole(c, "components") - 1 for c in components)
    if not (0 <= a < table.shape[1] and 0 <= b < table.shape[1]):
        raise ValueError(
            f"components is {tuple(components)}, two of the {table.shape[1]} columns of obsm[{key!r}] were expected, "
            "the first being 1"
        )
    plane = table[:, [a, b]]
    keys = [None] if color is None else [color] if isinstance(color, str) else list(color)
    columns = {k: fig.column(data, k, layer, palette, vmin, vmax) for k in keys if k is not None}
    if match_colors and palette is None:
        fig.match(columns)
    side = fig.PANEL
    rooms = [_room(columns[k], side) if legend and k is not None else 0.0 for k in keys]
    # Names of axes stand within the gap.
    grid = fig.panels([(side, side)] * len(keys), [room + 0.25 for room in rooms], ncols, ax)
    names, with_numbers = _brodmann.axes_of(key, (a, b))
    placed = np.isfinite(plane).all(axis=1)
    diameter = size if size is not None else float(np.clip(72 * 0.8 * side / math.sqrt(max(placed.sum(), 1)), *POINT))
    for i, (axis, k) in enumerate(zip(grid.axes, keys)):
        rows = np.flatnonzero(placed)
        if k is None:
            style: dict[str, Any] = {"color": _brodmann.category_colors(5)[4]}
        else:
            # Categories mixed, so that none hides the others.
            rows = rows[np.argsort((rows * 2654435769) % 2**32, kind="stable")]
            rows, style = _style(columns[k], rows, cmap)
        points = axis.scatter(*plane[rows].T, s=diameter**2, linewidths=0, rasterized=len(rows) > 20_000, **style)
        axis.set(xlabel=names[0], ylabel=names[1])
        if not with_numbers:
            axis.set(xticks=[], yticks=[])
        axis.tick_params(labelsize=fig.FONT)
        for spine in axis.spines.values():
            spine.set_color("#c8c8c8")
        if k is not None:
            columns_k = columns[k]
            if legend and isinstance(columns_k, fig.Labels):
                _explain(axis, columns_k, grid, i, ax is None)
            elif legend:
                fig.colour_bar(axis, points, columns_k.unit, columns_k.note, ax is None, grid.rooms[i])
            own = fig.title_of(data, k)
            axis.set_title(titles[i] if titles is not None and i < len(titles) else own, fontsize=10, loc="left")
    fig.finish(grid.axes, save, show)
    return grid.axes


def entropy(
    data: AnnData | MuData,
    *,
    key: str = "domains",
    spatial_key: str = "spatial",
    library_key: str | None = None,
    cmap: str | Colormap = "viridis",
    size: float | None = None,
    ncols: int = 4,
    ax: Axes | Sequence[Axes] | None = None,
    save: str | os.PathLike[str] | None = None,
    show: bool = False,
) -> list[Axes]:
    """Draw how unsure the members of :func:`brodmann.tl.domains` are of each spot, from 0 to 1.

    Parameters
    ----------
    data
        With ``obs[f"{key}_entropy"]``.
    key
        Name of the result.
    spatial_key, library_key, cmap, size, ncols, ax, save, show
        As for :func:`spatial`.

    Returns
    -------
    The axes of the panels.
    """
    el.require_container(data)
    el.column(data, f"{key}_entropy", advice="run bm.tl.domains first, or name its result with key=")
    return spatial(
        data, color=f"{key}_entropy", spatial_key=spatial_key, library_key=library_key, cmap=cmap, size=size,
        vmin=0.0, vmax=1.0, image=False, ncols=ncols, ax=ax, save=save, show=show,
    )  # fmt: skip


def attention(
    data: AnnData | MuData,
    *,
    key: str = "spami_attention",
    names: Sequence[str] | None = None,
    spatial_key: str = "spatial",
    cmap: str | Colormap = "viridis",
    size: float | None = None,
    ncols: int = 4,
    ax: Axes | Sequence[Axes] | None = None,
    axes: Axes | Sequence[Axes] | None = None,
    save: str | os.PathLike[str] | None = None,
    show: bool = False,
) -> list[Axes]:
    """Draw how much each modality counts at each spot.

    Parameters
    ----------
    data
        With ``obsm[key]``, ``(n_obs, n_modalities)``, as ``bm.tl.spami`` writes it.
    key
        Key of ``obsm``.
    names
        Names of the modalities; by default those of the columns, else of a MuData.
    spatial_key, cmap, size, ncols, ax, axes, save, show
        As for :func:`spatial`.

    Returns
    -------
    The axes of the panels. All share one colour scale.
    """
    el.require_container(data)
    weights = el.obsm(data, key, advice="run bm.tl.spami first, or name one of these with key=")
    if names is None:
        columns = getattr(data.obsm[key], "columns", None)
        modalities = list(data.mod) if el.is_mudata(data) else []
        names = list(columns) if columns is not None else modalities
    if len(names) != weights.shape[1]:
        names = [f"modality {i + 1}" for i in range(weights.shape[1])]
    coordinates = el.coordinates(data, spatial_key)[:, :2].astype(float)
    low, high = float(np.nanmin(weights)), float(np.nanmax(weights))
    view = _View(coordinates, None, "auto", size)
    given = ax if ax is not None else axes
    n = weights.shape[1]
    grid = fig.panels([view.inches] * n, [fig.BAR if i == n - 1 else 0.0 for i in range(n)], ncols, given)
    rows = np.arange(len(coordinates))
    for i, (axis, name, shares) in enumerate(zip(grid.axes, names, weights.T)):
        view.prepare(axis)
        numbers = fig.Numbers(np.asarray(shares, dtype=float), "share", low, high, "")
        _draw(axis, numbers, rows, view, cmap, None, None)
        if i == n - 1:
            _explain(axis, numbers, grid, i, given is None)
        axis.set_title(str(name), fontsize=10, loc="left")
    fig.finish(grid.axes, save, show)
    return grid.axes


class _View:
    """The spots of one slice: extent, shape and the picture below them."""

    def __init__(self, xy: np.ndarray, slide: tuple[np.ndarray, float, float | None] | None, shape: str, size: Any):
        self.xy, self.slide = xy, slide
        detected, pitch, self.angle = _brodmann.spot_shape(np.ascontiguousarray(xy))
        diameter = size if size is not None else slide[2] if slide is not None else None
        if shape != "auto":
            self.shape, self.length = shape, diameter if diameter is not None else pitch
            self.angle = self.angle if shape == detected else 0.0
        elif slide is not None and diameter is not None and detected != "square":
            # Between discs of their true size the picture can be seen.
            self.shape, self.length = "circle", diameter
        else:
            tiles = detected != "circle" and size is None
            self.shape, self.length = detected, pitch if tiles else diameter if diameter is not None else pitch
        low, high = (xy.min(axis=0), xy.max(axis=0)) if len(xy) else (np.zeros(2), np.ones(2))
        margin = 0.62 * self.length + (0.02 * float((high - low).max()) if slide is not None else 0.0)
        self.low, self.high = low - margin, high + margin
        extent = np.maximum(self.high - self.low, 1e-9)
        self.inches = tuple(float(v) for v in np.maximum(fig.PANEL * extent / extent.max(), 0.3))

    def prepare(self, ax: Any) -> None:
        ax.set_xlim(self.low[0], self.high[0])
        ax.set_ylim(self.high[1], self.low[1])
        ax.set_aspect("equal", anchor="NW")
        ax.set_axis_off()
        if self.slide is not None:
            picture, scale, _ = self.slide
            height, width = picture.shape[:2]
            grey = {"cmap": "gray"} if picture.ndim == 2 else {}
            ax.imshow(picture, extent=(0, width / scale, height / scale, 0), zorder=0, aspect="equal", **grey)
            ax.set_xlim(self.low[0], self.high[0])
            ax.set_ylim(self.high[1], self.low[1])

    def outline(self) -> Any:
        """A spot around 0, in the unit of the coordinates."""
        from matplotlib.path import Path

        if self.shape == "circle":
            circle = Path.unit_circle()
            return Path(circle.vertices * self.length / 2, circle.codes)
        sides, apothem = (6, 0.505 * self.length) if self.shape == "hexagon" else (4, 0.5 * self.length)
        angles = self.angle + 2 * np.pi * (np.arange(sides + 1) + 0.5) / sides
        reach = apothem / math.cos(math.pi / sides)
        corners = reach * np.column_stack([np.cos(angles), np.sin(angles)])
        return Path(corners, closed=True)


def _draw(
    ax: Any, column: Any, rows: np.ndarray, view: _View, cmap: Any, alpha: float | None, outline: str | None
) -> None:
    from matplotlib.collections import PathCollection
    from matplotlib.colors import to_rgba_array
    from matplotlib.transforms import AffineDeltaTransform

    lines = outline == "domains" and isinstance(column, fig.Labels)
    opacity = alpha if alpha is not None else 0.0 if lines else OVER_IMAGE if view.slide is not None else 1.0
    place = np.arange(len(rows))
    order, style = _style(column, rows, cmap, place)
    spots = PathCollection(
        [view.outline()], offsets=view.xy[order], offset_transform=ax.transData,
        transform=AffineDeltaTransform(ax.transData), linewidths=0, rasterized=len(rows) > 20_000,
    )  # fmt: skip
    if "color" in style:
        spots.set_facecolor(style["color"])
    else:
        spots.set_array(style["c"])
        spots.set(cmap=style["cmap"], clim=(column.low, column.high))
        # Values that are missing have no place on the scale.
        spots.get_cmap().set_bad(_brodmann.MISSING_COLOR)
    if opacity < 1:
        spots.set_alpha(opacity)
    if outline == "spots":
        spots.update_scalarmappable()
        faces = to_rgba_array(spots.get_facecolors())
        faces[:, 3] = 1.0
        spots.set(edgecolor=faces, linewidth=0.6)
        if opacity < 1:
            # One opacity holds for faces and edges alike.
            spots.set_alpha(None)
            if "color" not in style:
                spots.set_array(None)
            spots.set_facecolor(np.column_stack([faces[:, :3], np.full(len(faces), opacity)]))
    ax.add_collection(spots, autolim=False)
    if lines:
        _borders(ax, column, rows, view)


def _borders(ax: Any, column: Any, rows: np.ndarray, view: _View) -> None:
    """Lines around domains; white below, so that they are told from tissue of any colour."""
    codes = np.ascontiguousarray(column.codes[rows])
    found = _brodmann.domain_outlines(np.ascontiguousarray(view.xy), codes, len(column.names))
    for width, white in ((2.6, True), (1.4, False)):
        for code, rings in found:
            for ring in rings:
                x, y = np.asarray([*ring, ring[0]]).T
                colour = "white" if white else column.colours[code]
                ax.plot(x, y, color=colour, linewidth=width, solid_joinstyle="round")


def _style(
    column: Any, rows: np.ndarray, cmap: Any, place: np.ndarray | None = None
) -> tuple[np.ndarray, dict[str, Any]]:
    """The order of drawing, of ``rows`` or of their places, and what colours them."""
    place = rows if place is None else place
    if isinstance(column, fig.Numbers):
        values = column.values[rows]
        # Low before high, and missing ones first, so that the rare high value is on top.
        order = np.argsort(np.where(np.isfinite(values), values, -np.inf), kind="stable")
        values = np.ma.masked_invalid(values[order])
        return place[order], {"c": values, "cmap": fig.colour_map(cmap), "vmin": column.low, "vmax": column.high}
    codes = column.codes[rows]
    # Missing ones first, so that they never hide a category.
    order = np.argsort(codes >= 0, kind="stable")
    missing = _brodmann.MISSING_COLOR
    return place[order], {"color": [column.colours[c] if c >= 0 else missing for c in codes[order]]}


def _named(column: Any) -> tuple[list[str], list[str]]:
    """What a legend names: categories, and what is missing."""
    names, colours = list(column.names), list(column.colours)
    if (column.codes < 0).any():
        return [*names, "missing"], [*colours, _brodmann.MISSING_COLOR]
    return names, colours


def _room(column: Any, height: float) -> float:
    if isinstance(column, fig.Numbers):
        return max(fig.BAR, 0.2 + 0.062 * len(column.note))
    return fig.legend_room(_named(column)[0], height)


def _explain(ax: Any, column: Any, grid: fig.Panels, i: int, own: bool) -> None:
    """Legend or bar of colours beside a panel."""
    if isinstance(column, fig.Labels):
        names, colours = _named(column)
        fig.legend(ax, names, colours, grid.sizes[i][1], grid.rooms[i])
    else:
        drawn = next((c for c in ax.collections if c.get_array() is not None), None)
        if drawn is not None:
            fig.colour_bar(ax, drawn, column.unit, column.note, own, grid.rooms[i])


def _slide(data: Any, name: str | None, spatial_key: str) -> tuple[np.ndarray, float, float | None] | None:
    """The picture of a slice, its pixels per unit of the coordinates, and the diameter of a spot."""
    libraries = data.uns.get("spatial") if spatial_key == "spatial" else None
    if not isinstance(libraries, Mapping) or not libraries:
        return None
    library = libraries.get(name)
    if library is None:
        if len(libraries) > 1:
            return None
        library = next(iter(libraries.values()))
    factors = library.get("scalefactors", {})
    diameter = factors.get("spot_diameter_fullres")
    for resolution in ("hires", "lowres"):
        picture = library.get("images", {}).get(resolution)
        scale = factors.get(f"tissue_{resolution}_scalef")
        if picture is None or not scale:
            continue
        picture = np.asarray(picture)
        if picture.dtype.kind == "f" and picture.size and np.nanmax(picture) > 1.0:
            picture = np.clip(picture, 0, 255).astype(np.uint8)
        return picture, float(scale), None if diameter is None else float(diameter)
    return None


def _basis(data: Any, basis: str) -> str:
    """The key of an embedding by its short name."""
    keys = list(data.obsm)
    for key in (basis, f"X_{basis}"):
        if key in keys:
            return key
    ends = [key for key in keys if key.endswith(f"_{basis}")]
    if len(ends) == 1:
        return ends[0]
    raise el.missing("obsm", basis, keys, "name one of these, or make one with umap=True of a method")
