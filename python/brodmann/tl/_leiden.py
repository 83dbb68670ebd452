"""Leiden on one graph, SpatialLeiden on an expression and a spatial graph, and on any number of modalities."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from .._elements import is_mudata, require_anndata, seed_of
from . import _multiplex as multiplex
from ._graphs import modality_graphs, stored_graph
from ._multiplex import LATENT, SPATIAL, Layers
from ._record import check_target, run_record, write

if TYPE_CHECKING:
    from anndata import AnnData
    from mudata import MuData

#: ``"rb"``: Reichardt & Bornholdt with configuration null model; ``"modularity"``: the same, normalised, without a
#: resolution; ``"cpm"``: constant Potts model; ``"rber"``: Reichardt & Bornholdt with Erdős–Rényi null model.
QualityName = Literal["rb", "modularity", "cpm", "rber"]

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
    key_added: str = "spatialleiden",
    copy: bool = False,
) -> AnnData | None:
    """Spatial domains: clusters that hold together in expression and in space (SpatialLeiden).

    Leiden on two layers at once, the ``"latent"`` graph of similar observations and the ``"spatial"`` graph of
    neighbouring ones.

    Parameters
    ----------
    adata
        Annotated data with both graphs in ``adata.obsp``.
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
        Keys of the graphs in ``adata.obsp``.
    key_added
        Name of the result.
    copy
        Return a copy with the result instead of adding it to ``adata``.

    Returns
    -------
    None, or the copy. Written are

    ``obs[key_added]`` : categorical, shape ``(n_obs,)``
        Categories are the strings ``"0"``, ``"1"``, …; ``"0"`` is the largest domain.
    ``uns[key_added]`` : dict
        As in :func:`leiden`.

    Raises
    ------
    KeyError
        Without a graph, or where a mapping lacks a layer.
    ValueError
        As in :func:`leiden`, and where a mapping names another layer.

    References
    ----------
    Müller-Bötticher et al. (2025), SpatialLeiden.

    Examples
    --------
    >>> bm.pp.neighbors(adata)
    >>> bm.gr.spatial_neighbors(adata)
    >>> bm.tl.spatialleiden(adata, n_clusters=7, layer_ratio=1.8)
    """
    check_target(adata, key_added, copy)
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
