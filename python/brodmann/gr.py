"""Which observations are neighbours in space, and what varies over them: squidpy's parameters and keys."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Union

import numpy as np
import scipy.sparse as sp

from . import _brodmann
from . import _elements as el

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData
    from mudata import MuData

    Data = Union[AnnData, MuData]

#: Kind of a spatial graph.
SpatialKind = Literal["knn", "radius", "delaunay", "grid"]

__all__ = [
    "Neighborhood",
    "SpatialNeighbors",
    "gearys_c",
    "morans_i",
    "neighborhood_enrichment",
    "spatial_neighbors",
    "spatially_variable",
]


def __dir__() -> list[str]:
    return list(__all__)


class SpatialNeighbors(NamedTuple):
    """A spatial graph: what :func:`spatial_neighbors` returns with ``copy=True``."""

    connectivities: sp.csr_matrix
    distances: sp.csr_matrix


def spatial_neighbors(
    data: Data,
    *,
    spatial_key: str = "spatial",
    library_key: str | None = None,
    coord_type: Literal["grid", "generic", "auto"] | None = None,
    n_neighs: int | None = None,
    radius: float | tuple[float, float] | None = None,
    delaunay: bool = False,
    n_rings: int = 1,
    percentile: float | None = None,
    transform: Literal["spectral", "cosine", "distance"] | None = None,
    set_diag: bool = False,
    symmetrise: bool = False,
    key_added: str = "spatial",
    copy: bool = False,
) -> SpatialNeighbors | None:
    """Build the spatial graph.

    Parameters
    ----------
    data
        AnnData or MuData with coordinates in ``obsm``. In a MuData the graph is written to the MuData itself;
        coordinates may also stand in a modality that holds all observations.
    spatial_key
        Key of the coordinates, ``(n_obs, 2 or 3)``.
    library_key
        Column of ``obs`` with the slice of each observation. No edge crosses a slice.
    coord_type
        ``"grid"``: lattice neighbours; ``"generic"``: the nearest, or those within a radius, or Delaunay neighbours.
        By default ``"grid"`` where ``uns[spatial_key]`` exists (Visium) and no option asks for anything else.
        ``"auto"`` asks the coordinates themselves, which works for any source.
    n_neighs
        Neighbours of each observation; on a grid 4, 6 or 8. 6 by default.
    radius
        All within this distance. A pair prunes the graph to edges of these lengths.
    delaunay
        Delaunay triangulation; of ``radius`` only a pair counts then.
    n_rings
        Rings of lattice neighbours; grid only.
    percentile
        Remove edges longer than this percentile of distances; not on a grid. As in squidpy, each observation's
        distance to itself counts.
    transform
        Of the connectivities: degree-normalised, cosine similarity of rows, or ``1 - d / d_max`` by distance, in float64,
        as SpatialLeiden weighs them; the last is not for a grid, whose edges are of one length.
    set_diag
        Set the diagonal of the connectivities to 1.
    symmetrise
        Of the nearest neighbours: add every edge's reverse.
    key_added
        Names of the results, see below.
    copy
        Return the graph instead of writing it.

    Returns
    -------
    ``None``, or with ``copy=True`` the two matrices. Written:

    ``obsp[f"{key_added}_connectivities"]``
        ``(n_obs, n_obs)`` CSR float32, 1 per edge. k nearest neighbours are directed: row i holds i's own.
    ``obsp[f"{key_added}_distances"]``
        ``(n_obs, n_obs)`` CSR float64, of the same edges; on a grid float32, the number of the ring.
    ``uns[f"{key_added}_neighbors"]``
        ``connectivities_key``, ``distances_key``, ``params``.
    """
    el.require_container(data)
    el.require(coord_type in (None, "grid", "generic", "auto"), f"coord_type is {coord_type!r}", "grid or generic")
    el.require(
        transform in (None, "spectral", "cosine", "distance"),
        f"transform is {transform!r}",
        "spectral, cosine, distance or None",
    )
    if n_neighs is not None:
        n_neighs = el.whole(n_neighs, "n_neighs")
    n_rings = el.whole(n_rings, "n_rings")
    coordinates = el.coordinates(data, spatial_key)
    if len(coordinates) == 0:
        raise ValueError("there are no observations, at least one was expected; check what was filtered out")
    slices, slice_names = el.slices_of(data, library_key)
    if coord_type is None:
        visium = spatial_key in data.uns and n_neighs in (None, 4, 6, 8) and radius is None and not delaunay
        coord_type = "grid" if visium else "generic"
    elif coord_type == "auto":
        generic = radius is not None or delaunay
        on_lattice = None if generic else _brodmann.lattice_neighbors(coordinates, slices, n_neighs)
        coord_type = "grid" if on_lattice else "generic"
        n_neighs = on_lattice or n_neighs
    n_neighs = n_neighs or 6
    interval, within = _lengths(radius)
    if coord_type == "grid":
        if delaunay:
            raise ValueError("delaunay is True on a grid, False was expected; say coord_type='generic'")
        if transform == "distance":
            raise ValueError("transform is 'distance' on a grid, another was expected; say coord_type='generic'")
        kind = "grid"
    else:
        kind = "delaunay" if delaunay else "knn" if within is None else "radius"
    connectivities, distances, notes = _brodmann.spatial_neighbors(
        coordinates,
        slices=slices,
        kind=kind,
        n_neighbors=n_neighs,
        radius=within if kind == "radius" else None,
        n_rings=n_rings,
        symmetrise=bool(symmetrise),
        lengths=interval,
        percentile=None if percentile is None else float(percentile),
    )
    # The compiled part knows slices by their codes.
    el.warn_notes(
        text if code is None else f"{library_key} {slice_names[code]}: {text}" for code, text in notes
    )
    grid = kind == "grid"
    connectivities = el.csr(connectivities, dtype=np.float32)
    distances = el.csr(distances, dtype=np.float32 if grid else None)
    if transform == "distance":
        connectivities = el.csr(_brodmann.distance2connectivity(distances, "distances"))
        if set_diag:
            connectivities = connectivities.tolil()
            connectivities.setdiag(1.0)
            connectivities = connectivities.tocsr()
    elif set_diag or transform is not None:
        made = _brodmann.transform_graph(connectivities, set_diag=bool(set_diag), transform=transform)
        connectivities = el.csr(made)
    if copy:
        return SpatialNeighbors(connectivities, distances)
    el.writable(data)
    keys = {"connectivities_key": f"{key_added}_connectivities", "distances_key": f"{key_added}_distances"}
    data.obsp[keys["connectivities_key"]] = connectivities
    data.obsp[keys["distances_key"]] = distances
    params: dict[str, Any] = {"coord_type": coord_type, "transform": transform}
    if grid:
        params |= {"n_neighbors": n_neighs, "n_rings": n_rings, "delaunay": False}
    elif kind == "knn":
        params |= {"n_neighbors": n_neighs}
    else:
        # A list, because AnnData cannot write a tuple.
        params |= {"radius": within if interval is None else list(interval), "delaunay": delaunay}
    params |= el.recorded({"library_key": library_key, "percentile": percentile})
    params |= {"spatial_key": spatial_key, "set_diag": bool(set_diag), "symmetrise": bool(symmetrise)}
    data.uns[f"{key_added}_neighbors"] = {**keys, "params": params}
    return None


def _lengths(radius: float | tuple[float, float] | None) -> tuple[tuple[float, float] | None, float | None]:
    """The lengths of edges to keep, if a pair was given, and the radius."""
    if radius is None:
        return None, None
    ends = [float(r) for r in np.atleast_1d(np.asarray(radius, dtype=float))]
    if len(ends) not in (1, 2) or not np.isfinite(ends).all() or min(ends) < 0 or max(ends) == 0:
        raise ValueError(f"radius is {radius!r}, a number above 0 or a pair of them was expected; choose another")
    return (min(ends), max(ends)) if len(ends) == 2 else None, max(ends)


def morans_i(
    adata: AnnData,
    *,
    connectivity_key: str = "spatial_connectivities",
    genes: str | Sequence[str] | Sequence[int] | None = None,
    attr: Literal["X", "obs", "obsm"] = "X",
    layer: str | None = None,
    transformation: bool = True,
    n_perms: int | None = None,
    two_tailed: bool = False,
    null_model: Literal["normality", "randomization"] = "normality",
    corr_method: Literal["fdr_bh"] | None = "fdr_bh",
    random_state: int = 0,
    key_added: str = "moranI",
    copy: bool = False,
) -> pd.DataFrame | None:
    """Moran's I of genes, columns of ``obs`` or of ``obsm``: are neighbours alike?

    Parameters
    ----------
    adata
        Usually log-normalised, with a spatial graph.
    connectivity_key
        Key of the graph in ``obsp``; made by :func:`spatial_neighbors`.
    genes
        Names of variables (``attr="X"``) or columns of ``obs`` or ``obsm``. By default ``var["highly_variable"]`` where it is
        there, else all; numeric columns of ``obs``.
    attr
        Where the values stand.
    layer
        Layer instead of ``X``; with ``attr="obsm"`` the key of ``obsm``.
    transformation
        Divide each row of the graph by its sum first.
    n_perms
        Random rearrangements for ``pval_sim``.
    two_tailed
        Two-sided p-values. Otherwise those of the tail the statistic lies in.
    null_model
        Values drawn from a normal distribution, or the observed values placed at random.
    corr_method
        Benjamini–Hochberg, or ``None``.
    random_state
        Seed of the rearrangements.
    key_added
        Key of ``uns``.
    copy
        Return the table instead of writing it.

    Returns
    -------
    ``None`` or the table. Written:

    ``uns["moranI"]``
        DataFrame, one row per variable, by falling ``I``. Columns (float64): ``I``, ``pval_norm``, ``var_norm``,
        with permutations ``pval_sim``, and each p-value adjusted, e.g. ``pval_norm_fdr_bh``. Constant variables are
        NaN and come last.
    """
    return _autocorrelation(
        adata, "moran", connectivity_key, genes, attr, layer, transformation, n_perms, two_tailed, null_model,
        corr_method, random_state, key_added, copy,
    )  # fmt: skip


def gearys_c(
    adata: AnnData,
    *,
    connectivity_key: str = "spatial_connectivities",
    genes: str | Sequence[str] | Sequence[int] | None = None,
    attr: Literal["X", "obs", "obsm"] = "X",
    layer: str | None = None,
    transformation: bool = True,
    n_perms: int | None = None,
    two_tailed: bool = False,
    null_model: Literal["normality", "randomization"] = "normality",
    corr_method: Literal["fdr_bh"] | None = "fdr_bh",
    random_state: int = 0,
    key_added: str = "gearyC",
    copy: bool = False,
) -> pd.DataFrame | None:
    """Geary's C of genes, columns of ``obs`` or of ``obsm``: how much do neighbours differ?

    1 without autocorrelation, below where neighbours are alike.

    Parameters
    ----------
    adata, connectivity_key, genes, attr, layer, transformation, n_perms, two_tailed, null_model, corr_method, \
random_state, key_added, copy
        As for :func:`morans_i`.

    Returns
    -------
    ``None`` or the table. Written:

    ``uns["gearyC"]``
        As ``uns["moranI"]``, with ``C`` for ``I``, by rising ``C``.
    """
    return _autocorrelation(
        adata, "geary", connectivity_key, genes, attr, layer, transformation, n_perms, two_tailed, null_model,
        corr_method, random_state, key_added, copy,
    )  # fmt: skip


def _autocorrelation(
    adata: AnnData,
    statistic: str,
    connectivity_key: str,
    genes: str | Sequence[str] | None,
    attr: str,
    layer: str | None,
    transformation: bool,
    n_perms: int | None,
    two_tailed: bool,
    null_model: str,
    corr_method: str | None,
    random_state: int,
    key_added: str,
    copy: bool,
) -> pd.DataFrame | None:
    import pandas as pd

    el.require_anndata(adata)
    el.require(null_model in ("normality", "randomization"), f"null_model is {null_model!r}", "one of the two")
    el.require(corr_method in (None, "fdr_bh"), f"corr_method is {corr_method!r}", "fdr_bh or None")
    n_perms = 0 if n_perms is None else el.whole(n_perms, "n_perms", least=0)
    graph = el.graph(adata, connectivity_key, advice="run bm.gr.spatial_neighbors first")
    values, names = _variables(adata, genes, attr, layer)
    found = _brodmann.autocorrelation(
        values,
        graph,
        statistic=statistic,
        row_normalize=bool(transformation),
        two_tailed=bool(two_tailed),
        randomization=null_model == "randomization",
        n_perms=n_perms,
        random_state=el.seed_of(random_state),
    )
    name = "I" if statistic == "moran" else "C"
    columns = {name: found["statistic"], "pval_norm": found["p_value"], "var_norm": found["variance"]}
    if n_perms:
        columns["pval_sim"] = found["p_permutation"]
    if corr_method is not None:
        columns["pval_norm_fdr_bh"] = found["p_adjusted"]
        if n_perms:
            columns["pval_sim_fdr_bh"] = found["p_permutation_adjusted"]
    table = pd.DataFrame(columns, index=names)
    table = table.sort_values(name, ascending=statistic == "geary", kind="stable")
    if table[name].isna().any():
        warnings.warn(
            f"{int(table[name].isna().sum())} variables are constant or hold NaN: their {name} is NaN",
            UserWarning,
            stacklevel=3,
        )
    if copy:
        return table
    el.writable(adata)
    adata.uns[key_added] = table
    return None


def _variables(adata: AnnData, genes: Any, attr: str, layer: str | None) -> tuple[Any, Any]:
    """The values, sparse or dense, and the names of their columns."""
    import pandas as pd

    names = None if genes is None else [genes] if isinstance(genes, str) else list(genes)
    if attr == "obs":
        table = adata.obs
        names = list(table.select_dtypes("number")) if names is None else names
        for name in names:
            if name not in table:
                raise el.missing("obs", name, table.columns, "name one of these")
        return _floats(table[names].to_numpy(), "obs"), names
    if attr == "obsm":
        if layer is None:
            raise ValueError("layer is None, a key of obsm was expected with attr='obsm'; say layer='X_pca', e.g.")
        values = el.obsm(adata, layer, advice="name one of these with layer=")
        element = adata.obsm[layer]
        columns = list(getattr(element, "columns", range(values.shape[1])))
        if names is not None:
            for name in names:
                if name not in columns:
                    raise el.missing(f"obsm[{layer!r}]", name, columns, "name one of these columns")
            places = [columns.index(name) for name in names]
            values, columns = values[:, places], [columns[i] for i in places]
        return _floats(values, "obsm"), columns
    if attr != "X":
        raise ValueError(f"attr is {attr!r}, 'X', 'obs' or 'obsm' was expected; choose one")
    x = el.matrix(adata, layer)
    if names is None:
        selected = np.ones(adata.n_vars, dtype=bool)
        if "highly_variable" in adata.var:
            selected = adata.var["highly_variable"].to_numpy(dtype=bool)
        chosen = np.flatnonzero(selected)
    else:
        chosen = adata.var_names.get_indexer(names)
        if (chosen < 0).any():
            absent = [n for n, i in zip(names, chosen) if i < 0]
            raise KeyError(
                el._Message(f"{el.listed(absent)} not among the variables, names of var were expected; check genes=")
            )
    index = pd.Index(adata.var_names[chosen])
    if len(chosen) < adata.n_vars:
        x = x[:, chosen]
    return (el.to_csr(x) if sp.issparse(x) else _floats(x, "X")), index


def _floats(values: np.ndarray, name: str) -> np.ndarray:
    if values.dtype.kind not in "fiub":
        raise ValueError(f"{name} has dtype {values.dtype}, real numbers were expected; name numeric columns")
    return values if values.dtype == np.float32 else values.astype(np.float64, copy=False)


class Neighborhood(NamedTuple):
    """What :func:`neighborhood_enrichment` returns."""

    #: One row per ordered pair of groups: ``group``, ``neighbor``, ``contacts``, ``expected``, ``z``, ``p_value``,
    #: ``p_adjusted``, ``boundary_share`` (of the first's border).
    pairs: pd.DataFrame
    #: One row per group (and slice): ``n_spots``, ``area``, ``boundary_length``, ``outer_length``, ``compactness``,
    #: ``elongation``, ``n_components``, ``largest_component``, ``centroid_x``, ``centroid_y``, in units of the
    #: coordinates; ``None`` where these are not of a plane.
    shapes: pd.DataFrame | None
    #: One row per group and radius: ``radius``, ``l``, ``expected`` (without a pattern and without edges), ``low`` and ``high``
    #: (of dealt labels); ``None`` where Ripley's L was not asked for.
    ripley: pd.DataFrame | None


def neighborhood_enrichment(
    data: Data,
    *,
    groupby: str | None = None,
    composition: str | Sequence[str] = (),
    co_occurrence: int = 0,
    ripley: int = 0,
    ripley_simulations: int = 19,
    max_distance: float | None = None,
    spatial: SpatialKind | None = None,
    n_spatial: int | None = None,
    radius: float | None = None,
    spatial_key: str = "spatial",
    library_key: str | None = None,
    random_state: int = 42,
) -> Neighborhood:
    """Says which groups lie beside which, what they are made of, and what shape they have. As ``brodmann neighborhood``.

    Contacts are compared with their exact mean and variance over all arrangements of the labels (within each slice),
    which squidpy estimates by permutations.

    Parameters
    ----------
    data
        AnnData or MuData with coordinates in ``obsm``.
    groupby
        Column of ``obs`` with the groups; by default ``"domains"``, or what another method left.
    composition
        Columns of ``obs`` that the groups are made up of: cell types, the slice, a truth.
    co_occurrence
        At how many distances to look how likely groups are near each other; 0: at none.
    ripley, ripley_simulations
        In how many steps of the radius to look whether the spots of a group are clustered or spread out (Ripley's L; 0: in
        none), and how often labels are dealt anew to see what it would be by chance.
    max_distance
        The largest of these; by default half the diagonal of the tissue, or less on large ones; of Ripley's L a quarter of its
        shortest side, or less.
    spatial, n_spatial, radius
        The graph, if not that of ``obsp["spatial_connectivities"]``; by default the neighbours on the lattice of the
        spots, or the 6 nearest.
    spatial_key, library_key
        Coordinates in ``obsm``, and the column of ``obs`` that names the slice.
    random_state
        Seed of the labels that are dealt anew.

    Returns
    -------
    Tables of pairs, of shapes and of Ripley's L. Written are ``uns["{groupby}_nhood_enrichment"]`` (``zscore``, ``count``, as squidpy;
    ``expected``, ``pvals_adj``), ``uns["{groupby}_co_occurrence"]`` (``occ``, ``interval``, as squidpy),
    ``uns["{groupby}_ripley_L"]`` (``L_stat``, ``bins``, under squidpy's names: pairs are divided by the group's own, and
    ``sq.pl.ripley`` draws it with ``plot_sims=False``),
    ``uns["{groupby}_composition_{column}"]`` and ``uns["{groupby}_shape"]``.

    Raises
    ------
    KeyError
        Without the columns or coordinates that were named.
    ValueError
        Without an edge between labelled spots, and for options out of range.
    """
    from ._explain import explain, labels_of
    from .tl._said import said

    groupby = labels_of(data, groupby)
    parts = [composition] if isinstance(composition, str) else list(composition)
    given = {
        **said(neighborhood_enrichment, locals(), leave=["composition", "spatial_key", "library_key"]),
        "groupby": groupby,
        "spatial_key": spatial_key,
        "library_key": library_key,
    }
    if parts:
        given["composition"] = parts
    tables, _ = explain(
        data,
        "neighborhood",
        given,
        columns=[groupby, *parts],
        spatial_key=spatial_key,
        library_key=library_key,
        values=False,
        random_state=random_state,
    )
    return Neighborhood(tables["pairs"], tables.get("shapes"), tables.get("ripley"))


def spatially_variable(
    data: Data,
    *,
    statistic: Literal["moran", "geary"] = "moran",
    min_cells: int = 3,
    layer: Mapping[str, str] | str | None = None,
    normalized: bool = False,
    target_sum: float | None = None,
    spatial: SpatialKind | None = None,
    n_spatial: int | None = None,
    radius: float | None = None,
    spatial_key: str = "spatial",
    library_key: str | None = None,
) -> pd.DataFrame:
    """Finds the genes, proteins or peaks that vary in space. As ``brodmann svg``.

    Parameters
    ----------
    data
        AnnData or MuData with coordinates in ``obsm``. Of a MuData every modality is looked at.
    statistic
        Moran's I or Geary's C, with the p-value of its normal approximation (the nearer tail, as squidpy).
    min_cells
        Features seen in fewer spots are left out.
    layer, normalized, target_sum
        The values, as for :func:`brodmann.tl.markers`.
    spatial, n_spatial, radius
        The graph, as for :func:`neighborhood_enrichment`.
    spatial_key, library_key
        Coordinates in ``obsm``, and the column of ``obs`` that names the slice. Of several slices each is measured about
        its own mean; squidpy takes a difference between slices for variation in space.

    Returns
    -------
    One row per tested feature, the most spatial first: ``feature``, ``name`` (where the index has identifiers), ``I`` or
    ``C``, ``z``, ``p_value``, ``p_adjusted``, and the statistic of each of several slices. Written are ``uns["moranI"]``
    or ``uns["gearyC"]`` as squidpy keeps them, and ``var`` columns of that name.

    Raises
    ------
    KeyError
        Without the layer or coordinates that were named.
    ValueError
        Without an edge, and for values that are not finite.
    """
    from ._explain import explain
    from .tl._said import said

    given = {
        **said(spatially_variable, locals(), leave=["layer", "spatial_key", "library_key"]),
        "spatial_key": spatial_key,
        "library_key": library_key,
    }
    tables, _ = explain(
        data, "svg", given, layer=layer, spatial_key=spatial_key, library_key=library_key
    )
    return tables["features"]
