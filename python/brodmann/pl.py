"""Pictures on matplotlib: domains in space, attention of modalities, loss curves.

Thin on purpose: scanpy and squidpy draw everything else from the same keys (``sc.pl.embedding``,
``sq.pl.spatial_scatter`` over a picture of the tissue).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Union

import numpy as np
import scipy.sparse as sp

from . import _brodmann
from . import _elements as el

if TYPE_CHECKING:
    from anndata import AnnData
    from matplotlib.axes import Axes
    from mudata import MuData

    Data = Union[AnnData, MuData]

__all__ = ["attention", "loss", "spatial"]


def spatial(
    data: Data,
    *,
    color: str | Sequence[str],
    spatial_key: str = "spatial",
    library_key: str | None = None,
    layer: str | None = None,
    palette: Mapping[str, str] | Sequence[str] | None = None,
    cmap: str = "viridis",
    size: float | None = None,
    ncols: int = 4,
    titles: Sequence[str] | None = None,
    legend: bool = True,
    axes: Axes | Sequence[Axes] | None = None,
) -> list[Axes]:
    """Draw domains, other columns of ``obs`` or genes at the coordinates of the observations.

    Parameters
    ----------
    data
        AnnData or MuData.
    color
        Columns of ``obs`` or names of variables, one panel each.
    spatial_key
        Key of the coordinates in ``obsm``; ``"X_staig_umap"`` draws the embedding in the plane.
    library_key
        Column of ``obs`` with the slice: one panel for each slice.
    layer
        Layer instead of ``X`` for variables.
    palette
        Colours of categories, by name or in order. By default ``uns[f"{color}_colors"]`` where it has one for each,
        else those of ``brodmann plot``.
    cmap
        Colour map of numbers.
    size
        Diameter of a spot in the unit of the coordinates; by default spots touch.
    ncols
        Panels in a row.
    titles
        One per panel.
    legend
        Name the categories, at the last slice.
    axes
        Draw into these instead of a new figure.

    Returns
    -------
    The axes of the panels.
    """
    el.require_container(data)
    colors = [color] if isinstance(color, str) else list(color)
    coordinates = el.coordinates(data, spatial_key)[:, :2].astype(float)
    if not np.isfinite(coordinates).all():
        raise ValueError(
            f"obsm[{spatial_key!r}] holds NaN or infinity, finite numbers were expected; correct or drop them"
        )
    parts: list[tuple[str | None, np.ndarray]] = [(None, np.arange(len(coordinates)))]
    if library_key is not None:
        codes, names = el.codes_of(el.column(data, library_key))
        parts = [(str(name), np.flatnonzero(codes == i)) for i, name in enumerate(names)]
    panels = [(key, name, rows) for key in colors for name, rows in parts]
    axes = _axes(len(panels), ncols, axes)
    values = {key: _values(data, key, layer) for key in colors}
    for i, (ax, (key, name, rows)) in enumerate(zip(axes, panels)):
        last = name is None or name == parts[-1][0]
        _draw(ax, data, key, coordinates[rows], values[key], rows, palette, cmap, size, legend and last)
        given = titles[i] if titles is not None and i < len(titles) else None
        ax.set_title(given if given is not None else key if name is None else f"{key}, {name}")
    return axes


def attention(
    data: Data,
    *,
    key: str = "spami_attention",
    names: Sequence[str] | None = None,
    spatial_key: str = "spatial",
    cmap: str = "viridis",
    size: float | None = None,
    ncols: int = 4,
    axes: Axes | Sequence[Axes] | None = None,
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
    spatial_key, cmap, size, ncols, axes
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
    axes = _axes(weights.shape[1], ncols, axes)
    low, high = float(np.nanmin(weights)), float(np.nanmax(weights))
    for ax, name, column in zip(axes, names, weights.T):
        points = _spots(ax, coordinates, size, c=column, cmap=cmap, vmin=low, vmax=high)
        ax.figure.colorbar(points, ax=ax, shrink=0.7)
        ax.set_title(str(name))
    return axes


def loss(data: Data, *, key: str = "spami", log: bool = False, ax: Axes | None = None) -> Axes:
    """Draw the loss of a training against its epochs.

    Parameters
    ----------
    data
        With ``uns[key]["loss"]``: an array, or a dictionary or DataFrame of arrays by name.
    key
        Key of ``uns``.
    log
        Logarithmic scale.
    ax
        Draw into this instead of a new figure.

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
    (ax,) = _axes(1, 1, ax)
    if hasattr(curves, "items"):
        for name, curve in curves.items():
            ax.plot(np.asarray(curve, dtype=float), label=str(name))
        ax.legend(frameon=False)
    else:
        ax.plot(np.asarray(curves, dtype=float))
    ax.set(xlabel="epoch", ylabel="loss", title=key)
    if log:
        ax.set_yscale("log")
    return ax


def _axes(n: int, ncols: int, given: Any) -> list[Any]:
    """``n`` axes: those given, or a new figure's."""
    if given is not None:
        axes = list(np.atleast_1d(np.asarray(given, dtype=object)).ravel())
        if len(axes) < n:
            raise ValueError(f"{len(axes)} axes were given for {n} panels, as many were expected; pass more")
        return axes[:n]
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise ImportError(
            "pictures need the package matplotlib, which is not installed; pip install 'brodmann[plot]'"
        ) from error
    columns = min(n, el.whole(ncols, "ncols"))
    rows = math.ceil(n / columns)
    figure, grid = plt.subplots(rows, columns, figsize=(4.2 * columns, 3.6 * rows), squeeze=False, layout="constrained")
    flat = list(grid.ravel())
    for ax in flat[n:]:
        ax.set_axis_off()
    return flat[:n]


def _values(data: Data, key: str, layer: str | None) -> Any:
    """A column of ``obs``, or a variable as an array."""
    if key in data.obs:
        return data.obs[key]
    for adata in data.mod.values() if el.is_mudata(data) else [data]:
        if key in adata.var_names and len(adata) == data.n_obs:
            x = el.matrix(adata, layer)[:, adata.var_names.get_loc(key)]
            return (x.toarray() if sp.issparse(x) else np.asarray(x)).ravel()
    raise el.missing("obs", key, data.obs.columns, "name one of these or a variable")


def _draw(
    ax: Any,
    data: Data,
    key: str,
    coordinates: np.ndarray,
    values: Any,
    rows: np.ndarray,
    palette: Any,
    cmap: str,
    size: float | None,
    legend: bool,
) -> None:
    numeric = not hasattr(values, "cat") and np.asarray(values).dtype.kind in "fiu"
    if numeric:
        numbers = np.asarray(values, dtype=float)
        span = {"vmin": np.nanmin(numbers), "vmax": np.nanmax(numbers)} if np.isfinite(numbers).any() else {}
        points = _spots(ax, coordinates, size, c=numbers[rows], cmap=cmap, plotnonfinite=False, **span)
        ax.figure.colorbar(points, ax=ax, shrink=0.7)
        return
    codes, names = _categories(values)
    missing = _brodmann.MISSING_COLOR
    if isinstance(palette, Mapping):
        colours = [palette.get(name, palette.get(str(name), missing)) for name in names]
    elif palette is not None:
        chosen = list(palette)
        colours = [chosen[i % len(chosen)] for i in range(len(names))]
    else:
        colours = _brodmann.category_colors(len(names), _hex(data.uns.get(f"{key}_colors")))
    # Missing ones first, so that they never hide a category.
    order = np.argsort(codes[rows] >= 0, kind="stable")
    shown = codes[rows][order]
    _spots(ax, coordinates[order], size, c=[colours[c] if c >= 0 else missing for c in shown])
    if legend:
        for name, colour in zip(names, colours):
            ax.scatter([], [], c=[colour], label=str(name))
        if (codes < 0).any():
            ax.scatter([], [], c=[missing], label="missing")
        ax.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False, fontsize="small")


def _categories(values: Any) -> tuple[np.ndarray, Any]:
    """Codes and names; sorted, as in a file, where the column has no order of its own."""
    import pandas as pd

    if not el.is_categorical(values):
        values = pd.Categorical(values)
    return el.codes_of(values)


def _hex(colours: Any) -> list[str] | None:
    """Colours as ``#rrggbb``, those that matplotlib knows by name too; ``None`` where one is no colour."""
    from matplotlib.colors import to_hex

    if colours is None:
        return None
    try:
        return [to_hex(colour) for colour in colours]
    except ValueError:
        return None


def _spots(ax: Any, coordinates: np.ndarray, size: float | None, **style: Any) -> Any:
    """Spots of a diameter in data units, y downwards as in pictures."""
    low, high = coordinates.min(axis=0), coordinates.max(axis=0)
    extent = np.maximum(high - low, 1e-9)
    if size is None:
        # Touching, if they were spread evenly over the area.
        size = (
            math.sqrt(float(extent.prod()) / max(len(coordinates), 1))
            if extent.min() > 1e-9
            else float(extent.max()) / 20
        )
    margin = max(size, 1e-9)
    ax.set_xlim(low[0] - margin, high[0] + margin)
    ax.set_ylim(high[1] + margin, low[1] - margin)
    ax.set_aspect("equal")
    ax.set_axis_off()
    box = ax.get_position()
    width, height = ax.figure.get_size_inches()
    # Points per data unit, from the panel's share of the figure.
    scale = 72 * min(box.width * width / (extent[0] + 2 * margin), box.height * height / (extent[1] + 2 * margin))
    return ax.scatter(
        *coordinates.T, s=max((size * scale) ** 2, 0.2), linewidths=0, rasterized=len(coordinates) > 20_000, **style
    )
