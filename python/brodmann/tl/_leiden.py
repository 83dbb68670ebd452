"""Leiden on one graph, SpatialLeiden on an expression and a spatial graph, and on any number of modalities."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from .._elements import is_mudata, require_anndata, seed_of
from . import _multiplex as multiplex
from . import _tissue as tissue
from ._graphs import modality_graphs, stored_graph
from ._multiplex import LATENT, SPATIAL, Layers
from ._options import Options, with_options
from ._record import check_target, run_record, write
from ._said import Select, said

if TYPE_CHECKING:
    from anndata import AnnData
    from mudata import MuData

#: ``"rb"``: Reichardt & Bornholdt with configuration null model; ``"modularity"``: the same, normalised, without a
#: resolution; ``"cpm"``: constant Potts model; ``"rber"``: Reichardt & Bornholdt with Erdős–Rényi null model.
QualityName = Literal["rb", "modularity", "cpm", "rber"]

Flavor = Literal["seurat_v3", "seurat", "cell_ranger"]

#: Keys of the graphs that are usually there.
LATENT_KEY, SPATIAL_KEY = "connectivities", "spatial_connectivities"

_LATENT_BUILDER = "bm.pp.neighbors"
_SPATIAL_BUILDER = "bm.gr.spatial_neighbors"


def leiden(
    adata: AnnData,
    *,
    resolution: float = 1.0,
    n_clusters: int | None = None,
    directed: bool = False,
    use_weights: bool = True,
    quality: QualityName = "rb",
    n_iterations: int = -1,
    random_state: int = 42,
    neighbors_key: str = "connectivities",
    key_added: str = "leiden",
    copy: bool = False,
) -> AnnData | None:
    """Clusters of one neighbour graph (Leiden algorithm).

    Parameters
    ----------
    adata
        Annotated data with a graph in ``adata.obsp[neighbors_key]``, as :func:`brodmann.pp.neighbors` or
        ``scanpy.pp.neighbors`` writes it.
    resolution
        Above 0; more gives more clusters.
    n_clusters
        Search the resolution that gives this number. Where no resolution does, the nearest number is taken and a
        warning says why.
    directed
        Read entry ``(i, j)`` as an edge from ``i`` to ``j``. Otherwise the graph is undirected; one that is not
        symmetric is then read as directed all the same, and the log (``logging.getLogger("brodmann")``) says so.
    use_weights
        Use the weights of the graph; otherwise each edge counts 1.
    quality
        What to optimise: ``"rb"``, ``"modularity"``, ``"cpm"`` or ``"rber"``.
    n_iterations
        Passes over the graph; -1 goes on until nothing changes any more.
    random_state
        Seed, 0 or more. The same seed gives the same result on any number of threads.
    neighbors_key
        Key of the graph in ``adata.obsp``.
    key_added
        Name of the result.
    copy
        Return a copy with the result instead of adding it to ``adata``.

    Returns
    -------
    None, or the copy. Written are

    ``obs[key_added]`` : categorical, shape ``(n_obs,)``
        Categories are the strings ``"0"``, ``"1"``, …; ``"0"`` is the largest cluster.
    ``uns[key_added]`` : dict
        ``params`` (all that repeats the run: resolution, seed, …), ``quality``, ``layer_quality``, ``n_clusters``,
        ``n_clusters_reached``, ``converged``, ``seconds``, ``version``.

    Raises
    ------
    KeyError
        Without the graph.
    ValueError
        For options out of range and graphs that are not square, of other observations, or that hold NaN or negative
        weights. ``adata`` is left as it was, also by Ctrl-C.

    References
    ----------
    Traag, Waltman & van Eck (2019), Scientific Reports 9:5233.

    Examples
    --------
    >>> bm.pp.neighbors(adata)
    >>> bm.tl.leiden(adata, resolution=0.8)
    >>> adata.obs["leiden"]
    """
    require_anndata(adata)
    check_target(adata, key_added, copy)
    graph = stored_graph(adata, neighbors_key, option="neighbors_key", run=_LATENT_BUILDER)
    layers = multiplex.layers(
        {LATENT: graph},
        resolution=resolution,
        weights=1.0,
        directed=directed,
        use_weights=use_weights,
        quality=quality,
    )
    return _run(
        adata, "leiden", layers, n_clusters, n_iterations, random_state, key_added, copy, neighbors_key=neighbors_key
    )


@with_options
def spatialleiden(
    adata: AnnData,
    *,
    resolution: float | Mapping[str, float] = 1.0,
    n_clusters: int | None = None,
    layer_ratio: float = 1.0,
    layer_weights: Mapping[str, float] | None = None,
    directed: bool | Mapping[str, bool] = False,
    use_weights: bool = True,
    quality: QualityName = "rb",
    n_iterations: int = -1,
    random_state: int = 42,
    neighbors_key: str = "connectivities",
    spatial_neighbors_key: str = "spatial_connectivities",
    layer: str | None = None,
    n_top_genes: int | None = None,
    select: Select | None = None,
    flavor: Flavor | None = None,
    n_comps: int | None = None,
    target_sum: float | None = None,
    min_cells: int | None = None,
    normalized: bool = False,
    modality_kinds: Literal["rna", "adt", "atac"] | None = None,
    use_rep: str | None = None,
    integrate: Literal["harmony"] | None = None,
    n_neighbors: int | None = None,
    spatial: Literal["knn", "radius", "delaunay", "grid"] | None = None,
    n_spatial: int | None = None,
    radius: float | None = None,
    spatial_key: str = "spatial",
    library_key: str | None = None,
    key_added: str = "spatialleiden",
    copy: bool = False,
    options: Options | None = None,
) -> AnnData | None:
    """Spatial domains: clusters that hold together in expression and in space (SpatialLeiden).

    Leiden on two layers at once, the ``"latent"`` graph of similar observations and the ``"spatial"`` graph of
    neighbouring ones. Graphs that are in ``adata.obsp`` are used as they are. Where one is missing, or an option below
    asks for another, this does what ``brodmann spatialleiden`` does, with the same bits: components of the counts,
    their 15 nearest neighbours, and in space the 6 neighbours on a hexagonal lattice (Visium), elsewhere the 10 nearest
    weighted by their distance; all of it is written.

    Parameters
    ----------
    adata
        Annotated data with both graphs in ``adata.obsp``, or with raw counts in ``X`` and coordinates in
        ``obsm[spatial_key]``.
    resolution
        Of both layers, or ``{"latent": …, "spatial": …}``; above 0, more gives more domains.
    n_clusters
        Search the resolutions that give this number of domains: first the latent one without space, then the spatial
        one. Where none does, the nearest number is taken and a warning says why.
    layer_ratio
        Weight of the spatial layer, that of the latent one being 1. More gives smoother domains.
    layer_weights
        ``{"latent": …, "spatial": …}`` instead of ``layer_ratio``.
    directed
        As in :func:`leiden`, for both layers or for each.
    use_weights, quality, n_iterations, random_state
        As in :func:`leiden`.
    neighbors_key, spatial_neighbors_key
        Keys of the graphs in ``adata.obsp``; a key of your own must be there.
    layer
        Layer of the counts instead of ``X``.
    n_top_genes, select, flavor, n_comps, target_sum, min_cells, normalized, modality_kinds
        From counts to components; ``n_top_genes``: genes to select (3000), 0 keeps all; ``select``: the most variable genes by ``flavor`` (``"hvg"``, the default) or by
        binned dispersion (``"mvp"``), those of the largest Moran's I on the spatial graph (``"svg"``), hubs of co-expression
        modules (``"modules"``), or of variable genes that vary alike only one (``"nonredundant"``). ``normalized``: the values
        are log-normalised already; ``modality_kinds``: what was measured, guessed from names by default.
    use_rep
        Key of an embedding in ``obsm`` to use instead of the counts.
    integrate
        Of several slices: ``"harmony"`` takes their differences out of the embedding before neighbours are sought in it
        (:func:`brodmann.pp.harmony`); it is then in ``obsm["X_pca_harmony"]``, too.
    n_neighbors
        Neighbours in latent space (15), the spot itself counted.
    spatial, n_spatial, radius
        Kind of the spatial graph (``"grid"`` on a hexagonal lattice, else ``"knn"``), its neighbours (6 there, another
        number takes the nearest; else 10), and the largest distance of an edge.
    spatial_key
        Key of the coordinates.
    library_key
        Column of ``obs`` with the slice: no spatial edge crosses slices, and genes are selected slice by slice.
    key_added
        Name of the result.
    copy
        Return a copy with the result instead of adding it to ``adata``.
    options
        Any of the above by name, or several such groups, to be shared by calls; a keyword takes precedence.

    Returns
    -------
    None, or the copy. Written are

    ``obs[key_added]`` : categorical, shape ``(n_obs,)``
        Categories are the strings ``"0"``, ``"1"``, …; ``"0"`` is the largest domain.
    ``uns[key_added]`` : dict
        As in :func:`leiden`.

    Made from counts, also what :func:`brodmann.pp.pca`, :func:`brodmann.pp.neighbors` and
    :func:`brodmann.gr.spatial_neighbors` write.

    Raises
    ------
    KeyError
        Without a graph that was named, without coordinates, or where a mapping lacks a layer.
    ValueError
        As in :func:`leiden`, and where a mapping names another layer.

    References
    ----------
    Müller-Bötticher et al. (2025), SpatialLeiden.

    Examples
    --------
    >>> bm.tl.spatialleiden(adata, n_clusters=7)

    On graphs of your own:

    >>> bm.pp.neighbors(adata)
    >>> bm.gr.spatial_neighbors(adata)
    >>> bm.tl.spatialleiden(adata, n_clusters=7, layer_ratio=1.8)
    """
    given = said(spatialleiden, locals(), leave=["neighbors_key", "spatial_neighbors_key"])
    require_anndata(adata, advice="use bm.tl.spatialleiden_multimodal")
    check_target(adata, key_added, copy, reads=[library_key] if library_key else [])
    graphs = {neighbors_key: LATENT_KEY, spatial_neighbors_key: SPATIAL_KEY}
    if modality_kinds is not None:
        given["modality"] = given.pop("modality_kinds")
    if _from_counts(adata, given, graphs):
        given["key_added"] = key_added
        return _of_counts(adata, given, layer, use_rep, spatial_key, library_key, random_state, copy)
    layers = _two_layers(
        adata,
        resolution,
        layer_ratio,
        layer_weights,
        directed,
        use_weights,
        quality,
        neighbors_key,
        spatial_neighbors_key,
    )
    return _run(
        adata,
        "spatialleiden",
        layers,
        n_clusters,
        n_iterations,
        random_state,
        key_added,
        copy,
        neighbors_key=neighbors_key,
        spatial_neighbors_key=spatial_neighbors_key,
    )


@with_options
def spatialleiden_multimodal(
    mdata: MuData,
    *,
    resolution: float | Mapping[str, float] = 1.0,
    n_clusters: int | None = None,
    layer_weights: float | Mapping[str, float] = 1.0,
    directed: bool | Mapping[str, bool] = False,
    use_weights: bool = True,
    quality: QualityName = "rb",
    n_iterations: int = -1,
    random_state: int = 42,
    neighbors_key: str | Mapping[str, str] = "connectivities",
    spatial_neighbors_key: str = "spatial_connectivities",
    key_added: str = "spatialleiden",
    copy: bool = False,
    options: Options | None = None,
) -> MuData | None:
    """Spatial domains of several modalities measured on the same spots.

    Leiden on one layer for each modality, named as the modality, and on the layer ``"spatial"``.

    Parameters
    ----------
    mdata
        All modalities on the same observations in the same order, each with its graph in
        ``mdata[name].obsp[neighbors_key]``; the spatial graph in ``mdata.obsp[spatial_neighbors_key]``.
    resolution
        Of all layers, or a mapping with one for each, such as ``{"rna": 0.5, "adt": 0.5, "spatial": 1}``.
    n_clusters
        Search the resolutions that give this number of domains, as in :func:`spatialleiden`; the modalities share one.
    layer_weights
        How much each layer counts: one number for all, or a mapping with one for each. 0 takes a layer out.
    directed
        As in :func:`leiden`, for all layers or a mapping with one for each.
    use_weights, quality, n_iterations, random_state
        As in :func:`leiden`.
    neighbors_key
        Key of the modalities' graphs, or a mapping with one for each modality.
    spatial_neighbors_key
        Key of the spatial graph.
    key_added
        Name of the result.
    copy
        Return a copy with the result instead of adding it to ``mdata``.
    options
        Any of the above by name, or several such groups, to be shared by calls; a keyword takes precedence.

    Returns
    -------
    None, or the copy. Written are

    ``obs[key_added]`` : categorical, shape ``(n_obs,)``
        In ``mdata.obs``; categories are the strings ``"0"``, ``"1"``, …; ``"0"`` is the largest domain.
    ``uns[key_added]`` : dict
        In ``mdata.uns``, as in :func:`leiden`.

    Raises
    ------
    KeyError
        Without a graph, or where a mapping lacks a layer.
    ValueError
        As in :func:`spatialleiden`, and for modalities that differ in their observations.

    Examples
    --------
    >>> for modality in mdata.mod.values():
    ...     bm.pp.neighbors(modality)
    >>> bm.gr.spatial_neighbors(mdata)
    >>> weights = {"rna": 1.5, "adt": 1, "spatial": 2.5}
    >>> bm.tl.spatialleiden_multimodal(mdata, resolution=0.5, layer_weights=weights)
    """
    check_target(mdata, key_added, copy)
    layers = _modality_layers(
        mdata, resolution, layer_weights, directed, use_weights, quality, neighbors_key, spatial_neighbors_key
    )
    keys = neighbors_key if isinstance(neighbors_key, str) else dict(neighbors_key)
    return _run(
        mdata,
        "spatialleiden",
        layers,
        n_clusters,
        n_iterations,
        random_state,
        key_added,
        copy,
        neighbors_key=keys,
        spatial_neighbors_key=spatial_neighbors_key,
    )


#: Options that ask for graphs made from the counts.
_OF_COUNTS = frozenset(
    {
        "layer", "n_top_genes", "select", "flavor", "n_pcs", "target_sum", "min_cells", "normalized", "modality",
        "use_rep", "integrate", "n_neighbors", "spatial", "n_spatial", "radius", "spatial_key", "library_key",
    }
)  # fmt: skip


def _from_counts(adata: AnnData, given: Mapping[str, Any], graphs: Mapping[str, str]) -> bool:
    """Whether graphs are to be made: one that is usually there is missing, or an option asks for another."""
    usual = all(key == name for key, name in graphs.items())
    missing = any(key not in adata.obsp for key in graphs)
    return usual and (missing or not _OF_COUNTS.isdisjoint(given))


def _of_counts(
    adata: AnnData,
    given: dict[str, Any],
    layer: str | None,
    use_rep: str | None,
    spatial_key: str,
    library_key: str | None,
    random_state: Any,
    copy: bool,
) -> AnnData | None:
    given.pop("layer", None)
    parts = tissue.parts(
        adata,
        layers=tissue.by_modality(layer, "layer", adata),
        use_rep=tissue.by_modality(use_rep, "use_rep", adata),
        spatial_key=spatial_key,
        library_key=library_key,
        stored=True,
    )
    return tissue.find(adata, "spatialleiden", parts, given, layer=layer, random_state=random_state, copy=copy)


@dataclass(frozen=True)
class ResolutionSearch:
    """What :func:`search_resolution` found."""

    #: Resolution of each layer; the clustering with these and the same seed is ``labels``.
    resolution: dict[str, float]
    #: Clusters found.
    n_clusters: int
    #: Whether that is the number asked for.
    exact: bool
    #: If not, why.
    reason: str | None
    #: ``(n_obs,)``, numbered by falling size.
    labels: npt.NDArray[np.uint32]
    #: Quality of that clustering.
    quality: float
    #: Every resolution tried, in order, and its number of clusters.
    trace: list[tuple[float, int]]


def search_resolution(
    data: AnnData | MuData,
    n_clusters: int,
    *,
    spatial: bool = True,
    resolution: float | Mapping[str, float] = 1.0,
    layer_weights: float | Mapping[str, float] = 1.0,
    directed: bool | Mapping[str, bool] = False,
    use_weights: bool = True,
    quality: QualityName = "rb",
    n_iterations: int = -1,
    random_state: int = 42,
    neighbors_key: str | Mapping[str, str] = "connectivities",
    spatial_neighbors_key: str = "spatial_connectivities",
) -> ResolutionSearch:
    """The resolutions at which the graphs form a given number of clusters; nothing is written.

    To cluster at once pass ``n_clusters`` to :func:`leiden`, :func:`spatialleiden` or
    :func:`spatialleiden_multimodal`; this function is for looking at the search itself.

    Parameters
    ----------
    data
        AnnData (layers ``"latent"`` and ``"spatial"``) or MuData (a layer for each modality, and ``"spatial"``).
    n_clusters
        Clusters wanted.
    spatial
        With the spatial layer (SpatialLeiden) or without (Leiden).
    resolution
        Where to start.
    layer_weights, directed, use_weights, quality, n_iterations, random_state, neighbors_key, spatial_neighbors_key
        As in :func:`spatialleiden_multimodal`.

    Returns
    -------
    ResolutionSearch
        ``resolution`` of each layer, ``n_clusters``, ``exact``, ``reason``, ``labels``, ``quality``, ``trace``.
    """
    if is_mudata(data):
        layers = _modality_layers(
            data,
            resolution,
            layer_weights,
            directed,
            use_weights,
            quality,
            neighbors_key,
            spatial_neighbors_key,
            spatial,
        )
    else:
        if not isinstance(neighbors_key, str):
            raise ValueError(f"neighbors_key is {neighbors_key!r}, one key was expected for an AnnData; pass its name")
        layers = _two_layers(
            data,
            resolution,
            None,
            layer_weights,
            directed,
            use_weights,
            quality,
            neighbors_key,
            spatial_neighbors_key,
            spatial,
        )
    found = multiplex.cluster(
        layers, n_clusters=n_clusters, n_iterations=n_iterations, random_state=seed_of(random_state)
    )
    return ResolutionSearch(
        resolution=layers.named(found.resolution),
        n_clusters=found.partition.n_clusters,
        exact=found.exact,
        reason=found.reason,
        labels=found.partition.membership,
        quality=found.partition.quality,
        trace=found.trace,
    )


def _two_layers(
    adata: AnnData,
    resolution: Any,
    layer_ratio: Any,
    layer_weights: Any,
    directed: Any,
    use_weights: bool,
    quality: str,
    neighbors_key: str,
    spatial_neighbors_key: str,
    spatial: bool = True,
) -> Layers:
    require_anndata(adata, advice="use bm.tl.spatialleiden_multimodal")
    option = "layer_weights" if layer_weights is not None else "layer_ratio"
    if layer_weights is None:
        layer_weights = {LATENT: 1.0, SPATIAL: layer_ratio}
    elif layer_ratio not in (None, 1.0):
        raise ValueError(
            f"layer_ratio is {layer_ratio} and layer_weights is given, one of the two was expected; drop layer_ratio"
        )
    graphs = {LATENT: stored_graph(adata, neighbors_key, option="neighbors_key", run=_LATENT_BUILDER)}
    if spatial:
        graphs[SPATIAL] = _spatial_graph(adata, spatial_neighbors_key)
    return multiplex.layers(
        graphs,
        resolution=resolution,
        weights=layer_weights,
        directed=directed,
        use_weights=use_weights,
        quality=quality,
        weights_option=option,
    )


def _modality_layers(
    mdata: MuData,
    resolution: Any,
    layer_weights: Any,
    directed: Any,
    use_weights: bool,
    quality: str,
    neighbors_key: str | Mapping[str, str],
    spatial_neighbors_key: str,
    spatial: bool = True,
) -> Layers:
    graphs = modality_graphs(mdata, neighbors_key, run=_LATENT_BUILDER)
    if spatial:
        graphs[SPATIAL] = _spatial_graph(mdata, spatial_neighbors_key)
    return multiplex.layers(
        graphs,
        resolution=resolution,
        weights=layer_weights,
        directed=directed,
        use_weights=use_weights,
        quality=quality,
    )


def _spatial_graph(data: AnnData | MuData, key: str) -> Any:
    return stored_graph(data, key, option="spatial_neighbors_key", run=_SPATIAL_BUILDER)


def _run(
    data: Any,
    method: str,
    layers: Layers,
    n_clusters: int | None,
    n_iterations: int,
    random_state: int,
    key_added: str,
    copy: bool,
    **keys: Any,
) -> Any:
    random_state = seed_of(random_state)
    found = multiplex.cluster(layers, n_clusters=n_clusters, n_iterations=n_iterations, random_state=random_state)
    record = run_record(
        method, layers, found, n_clusters=n_clusters, n_iterations=n_iterations, random_state=random_state, **keys
    )
    return write(data, key_added, found.partition, record, copy=copy)
