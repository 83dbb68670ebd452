"""Clustering with the signatures of `spatialleiden`, computed by ours."""

from __future__ import annotations

import operator
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from .. import _brodmann
from .._elements import is_mudata, require_anndata, writable
from ..tl._graphs import as_csr, check_names, modality_graphs, stored_graph
from ._partition_types import RBConfigurationVertexPartition, quality_name

if TYPE_CHECKING:
    from anndata import AnnData
    from mudata import MuData

_LATENT_BUILDER = "bm.pp.neighbors"
_SPATIAL_BUILDER = "bm.gr.spatial_neighbors"
#: The smallest resolution: at 0 only the edges count, and so they do here.
_NO_RESOLUTION = 1e-12


def multiplex_leiden(
    *neighbors: Any,
    directed: bool | Collection[bool] = True,
    use_weights: bool | Collection[bool] = True,
    n_iterations: int = -1,
    partition_type: Any = RBConfigurationVertexPartition,
    layer_weights: float | Collection[float] = 1,
    partition_kwargs: dict[str, Any] | None | Collection[dict[str, Any] | None] = None,
    random_state: int = 42,
) -> npt.NDArray[np.integer]:
    """One partition of the nodes that is good in every graph at once.

    Parameters
    ----------
    neighbors
        Square sparse or dense matrices over the same nodes; ``(i, j)`` is the weight of the edge from ``i`` to ``j``.
    directed
        Whether edges have a direction, for all graphs or for each. In an undirected graph every stored entry is an
        edge of its own, so that a symmetric pair is two parallel edges.
    use_weights
        Use the values as weights, for all graphs or for each; otherwise every stored non-zero counts 1.
    n_iterations
        Passes over the graph; below 0 until nothing changes any more.
    partition_type
        What to optimise: ``RBConfigurationVertexPartition``, ``ModularityVertexPartition``, ``CPMVertexPartition`` or
        ``RBERVertexPartition`` of this module or of leidenalg, or such a name.
    layer_weights
        How much each graph counts, one number for all or one for each.
    partition_kwargs
        ``resolution_parameter`` (default 1) and ``initial_membership``, for all graphs or for each.
    random_state
        Seed.

    Returns
    -------
    numpy.ndarray
        ``(n_nodes,)`` int64, numbered from 0 by falling size.
    """
    n_layers = len(neighbors)
    graphs = [as_csr(graph, None, f"graph {i}") for i, graph in enumerate(neighbors)]
    return _labels(
        graphs,
        directed=_for_each(directed, n_layers, "directed", (bool, np.bool_)),
        use_weights=_for_each(use_weights, n_layers, "use_weights", (bool, np.bool_)),
        n_iterations=n_iterations,
        partition_type=partition_type,
        layer_weights=_for_each(layer_weights, n_layers, "layer_weights", (int, float, np.number)),
        partition_kwargs=_for_each(partition_kwargs, n_layers, "partition_kwargs", (Mapping, type(None))),
        random_state=random_state,
    )


def leiden(
    adata: AnnData,
    *,
    resolution: float = 1,
    neighbors: Any = None,
    key_added: str = "leiden",
    directed: bool = True,
    use_weights: bool = True,
    n_iterations: int = -1,
    partition_type: Any = RBConfigurationVertexPartition,
    neighbors_key: str = "connectivities",
    random_state: int = 42,
    **partition_kwargs: Any,
) -> None:
    """Leiden clusters of one graph.

    Parameters
    ----------
    adata
        Annotated data.
    resolution
        More gives more clusters.
    neighbors
        The graph; by default ``adata.obsp[neighbors_key]``.
    key_added
        Name of the result.
    directed, use_weights, n_iterations, partition_type, random_state
        As in :func:`multiplex_leiden`.
    neighbors_key
        Key of the graph in ``adata.obsp``.
    partition_kwargs
        ``initial_membership``.

    Returns
    -------
    None. Written is

    ``obs[key_added]`` : categorical, shape ``(n_obs,)``
        Categories are the integers 0, 1, …; 0 is the largest cluster.
    """
    labels = leiden_labels(
        adata,
        resolution=resolution,
        neighbors=neighbors,
        directed=directed,
        use_weights=use_weights,
        n_iterations=n_iterations,
        partition_type=partition_type,
        neighbors_key=neighbors_key,
        random_state=random_state,
        **partition_kwargs,
    )
    write(adata, key_added, labels)


def spatialleiden(
    adata: AnnData,
    *,
    resolution: float | tuple[float, float] = 1,
    latent_neighbors: Any = None,
    spatial_neighbors: Any = None,
    key_added: str = "spatialleiden",
    directed: bool | tuple[bool, bool] = True,
    use_weights: bool | tuple[bool, bool] = True,
    n_iterations: int = -1,
    partition_type: Any = RBConfigurationVertexPartition,
    layer_ratio: float = 1,
    latent_neighbors_key: str = "connectivities",
    spatial_neighbors_key: str = "spatial_connectivities",
    latent_partition_kwargs: dict[str, Any] | None = None,
    spatial_partition_kwargs: dict[str, Any] | None = None,
    random_state: int = 42,
) -> None:
    """Spatial domains of one modality: Leiden on a latent and a spatial graph at once.

    Parameters
    ----------
    adata
        Annotated data.
    resolution
        Of both graphs, or ``(latent, spatial)``; more gives more domains.
    latent_neighbors, spatial_neighbors
        The graphs; by default ``adata.obsp[latent_neighbors_key]`` and ``adata.obsp[spatial_neighbors_key]``.
    key_added
        Name of the result.
    directed, use_weights
        As in :func:`multiplex_leiden`, for both graphs or ``(latent, spatial)``.
    n_iterations, partition_type, random_state
        As in :func:`multiplex_leiden`.
    layer_ratio
        Weight of the spatial graph, that of the latent one being 1. More gives smoother domains.
    latent_neighbors_key, spatial_neighbors_key
        Keys of the graphs in ``adata.obsp``.
    latent_partition_kwargs, spatial_partition_kwargs
        ``initial_membership``.

    Returns
    -------
    None. Written is

    ``obs[key_added]`` : categorical, shape ``(n_obs,)``
        Categories are the integers 0, 1, …; 0 is the largest domain.
    """
    labels = spatialleiden_labels(
        adata,
        resolution=resolution,
        latent_neighbors=latent_neighbors,
        spatial_neighbors=spatial_neighbors,
        directed=directed,
        use_weights=use_weights,
        n_iterations=n_iterations,
        partition_type=partition_type,
        layer_ratio=layer_ratio,
        latent_neighbors_key=latent_neighbors_key,
        spatial_neighbors_key=spatial_neighbors_key,
        latent_partition_kwargs=latent_partition_kwargs,
        spatial_partition_kwargs=spatial_partition_kwargs,
        random_state=random_state,
    )
    write(adata, key_added, labels)


def spatialleiden_multimodal(
    mdata: MuData,
    *,
    resolution: float | Mapping[str, float] = 1,
    key_added: str = "spatialleiden",
    directed: bool | Mapping[str, bool] = True,
    use_weights: bool | Mapping[str, bool] = True,
    n_iterations: int = -1,
    partition_type: Any = RBConfigurationVertexPartition,
    layer_weights: float | Mapping[str, float] = 1,
    neighbors_key: str | Mapping[str, str] = "connectivities",
    spatial_neighbors_key: str = "spatial_connectivities",
    partition_kwargs: None | Mapping[str, dict[str, Any]] = None,
    random_state: int = 42,
) -> None:
    """Spatial domains of several modalities: Leiden on one graph for each and on a spatial one at once.

    Parameters
    ----------
    mdata
        Modalities on the same observations in the same order. Layers are named as the modalities, and ``"spatial"``.
    resolution
        Of all layers, or a mapping; layers that it does not name have 1.
    key_added
        Name of the result.
    directed, use_weights
        As in :func:`multiplex_leiden`, for all layers or a mapping with each.
    n_iterations, partition_type, random_state
        As in :func:`multiplex_leiden`.
    layer_weights
        How much each layer counts, one number for all or a mapping with each.
    neighbors_key
        Key of the modalities' graphs in their ``obsp``, or a mapping with each.
    spatial_neighbors_key
        Key of the spatial graph in ``mdata.obsp``.
    partition_kwargs
        Mapping of layers to keyword arguments: ``initial_membership``, and ``resolution_parameter`` for layers that
        ``resolution`` does not name.

    Returns
    -------
    None. Written is

    ``obs[key_added]`` : categorical, shape ``(n_obs,)``
        In ``mdata.obs``; categories are the integers 0, 1, …; 0 is the largest domain.
    """
    graphs = modality_graphs(mdata, neighbors_key, run=_LATENT_BUILDER)
    graphs["spatial"] = _spatial_graph(mdata, spatial_neighbors_key)
    names = list(graphs)

    def in_order(value: Any, option: str) -> list[Any]:
        if not isinstance(value, Mapping):
            return [value] * len(names)
        check_names(value, names, option)
        return [value[name] for name in names]

    if isinstance(resolution, Mapping):
        check_names(resolution, names, "resolution", complete=False)
        resolutions = [resolution.get(name) for name in names]
    else:
        resolutions = [resolution] * len(names)
    own = {} if partition_kwargs is None else partition_kwargs
    check_names(own, names, "partition_kwargs", complete=False)
    labels = _labels(
        list(graphs.values()),
        directed=in_order(directed, "directed"),
        use_weights=in_order(use_weights, "use_weights"),
        n_iterations=n_iterations,
        partition_type=partition_type,
        layer_weights=in_order(layer_weights, "layer_weights"),
        partition_kwargs=[_with(own.get(name), r) for name, r in zip(names, resolutions, strict=True)],
        random_state=random_state,
        names=names,
    )
    write(mdata, key_added, labels)


def leiden_labels(
    adata: AnnData,
    *,
    resolution: Any = 1,
    neighbors: Any = None,
    directed: Any = True,
    use_weights: Any = True,
    n_iterations: int = -1,
    partition_type: Any = RBConfigurationVertexPartition,
    neighbors_key: str = "connectivities",
    random_state: int = 42,
    **partition_kwargs: Any,
) -> npt.NDArray[np.int64]:
    """What :func:`leiden` writes."""
    return _labels(
        [_graph(adata, neighbors, neighbors_key, "neighbors", _LATENT_BUILDER)],
        directed=[directed],
        use_weights=[use_weights],
        n_iterations=n_iterations,
        partition_type=partition_type,
        layer_weights=[1.0],
        partition_kwargs=[_with(partition_kwargs, resolution)],
        random_state=random_state,
        names=["latent"],
    )


def spatialleiden_labels(
    adata: AnnData,
    *,
    resolution: Any = 1,
    latent_neighbors: Any = None,
    spatial_neighbors: Any = None,
    directed: Any = True,
    use_weights: Any = True,
    n_iterations: int = -1,
    partition_type: Any = RBConfigurationVertexPartition,
    layer_ratio: float = 1,
    latent_neighbors_key: str = "connectivities",
    spatial_neighbors_key: str = "spatial_connectivities",
    latent_partition_kwargs: Any = None,
    spatial_partition_kwargs: Any = None,
    random_state: int = 42,
) -> npt.NDArray[np.int64]:
    """What :func:`spatialleiden` writes."""
    latent, spatial = _for_each(resolution, 2, "resolution", (int, float, np.number))
    return _labels(
        [
            _graph(adata, latent_neighbors, latent_neighbors_key, "latent_neighbors", _LATENT_BUILDER),
            _graph(adata, spatial_neighbors, spatial_neighbors_key, "spatial_neighbors", _SPATIAL_BUILDER),
        ],
        directed=_for_each(directed, 2, "directed", (bool, np.bool_)),
        use_weights=_for_each(use_weights, 2, "use_weights", (bool, np.bool_)),
        n_iterations=n_iterations,
        partition_type=partition_type,
        layer_weights=[1.0, layer_ratio],
        partition_kwargs=[_with(latent_partition_kwargs, latent), _with(spatial_partition_kwargs, spatial)],
        random_state=random_state,
        names=["latent", "spatial"],
    )


def write(data: AnnData | MuData, key_added: str, labels: npt.NDArray[np.int64]) -> None:
    """Labels as integer categories, as the package `spatialleiden` writes them."""
    if not is_mudata(data):
        writable(data)
    data.obs[key_added] = pd.Categorical(labels)


def _graph(adata: AnnData, given: Any, key: str, option: str, builder: str) -> Any:
    require_anndata(adata, advice="use spatialleiden_multimodal")
    if given is not None:
        return as_csr(given, adata.n_obs, option)
    return stored_graph(adata, key, option=f"{option}_key", run=builder)


def _spatial_graph(mdata: MuData, key: str) -> Any:
    return stored_graph(mdata, key, option="spatial_neighbors_key", run=_SPATIAL_BUILDER)


def _for_each(value: Any, n_layers: int, option: str, scalar: tuple[type, ...]) -> list[Any]:
    """One value for all graphs, or a collection with one for each."""
    if isinstance(value, scalar):
        return [value] * n_layers
    if isinstance(value, (str, bytes)) or not hasattr(value, "__len__"):
        raise TypeError(
            f"{option} is {value!r}, one value or one for each of {n_layers} graphs was expected; pass these"
        )
    if len(value) != n_layers:
        raise ValueError(
            f"{option} has {len(value)} values, {n_layers} (one for each graph) were expected; "
            "pass as many, or one value for all"
        )
    return list(value)


def _with(partition_kwargs: Mapping[str, Any] | None, resolution: Any) -> dict[str, Any]:
    """The resolution wins, as in the package `spatialleiden`; the caller's mapping stays as it is."""
    own = dict(partition_kwargs or {})
    return own if resolution is None else {**own, "resolution_parameter": resolution}


def _labels(
    graphs: list[Any],
    *,
    directed: list[Any],
    use_weights: list[Any],
    n_iterations: int,
    partition_type: Any,
    layer_weights: list[Any],
    partition_kwargs: list[Any],
    random_state: int,
    names: list[str] | None = None,
) -> npt.NDArray[np.int64]:
    quality = quality_name(partition_type)
    layers = []
    initial = None
    for graph, d, u, weight, own in zip(graphs, directed, use_weights, layer_weights, partition_kwargs, strict=True):
        resolution, start = _partition_options(own)
        initial = start if initial is None else initial
        reading = "directed" if d else "entries"
        layers.append((graph, reading, bool(u), quality, resolution, float(weight)))
    # Negative seeds are seeds of the package too.
    seed = operator.index(random_state) % 2**64
    n_iterations = operator.index(n_iterations)
    if not layers:
        raise ValueError("no graph was given, at least one was expected; pass the connectivities")
    n_nodes = layers[0][0].shape[0]
    if n_nodes == 0 or n_iterations == 0:
        return np.arange(n_nodes, dtype=np.int64)
    partition = _brodmann.leiden_multiplex(
        layers, n_iterations=max(n_iterations, -1), initial=initial, random_state=seed, names=list(names or [])
    )
    return partition.membership.astype(np.int64)


def _partition_options(own: Mapping[str, Any] | None) -> tuple[float, Any]:
    """Resolution and start out of the keyword arguments of a leidenalg partition."""
    resolution, initial = 1.0, None
    for name, value in (own or {}).items():
        if name == "resolution_parameter":
            resolution = float(value)
        elif name == "initial_membership":
            initial = None if value is None else np.asarray(value, dtype=np.int64)
        elif name == "correct_self_loops":
            # Shifts the quality of every partition by the same amount.
            continue
        elif name == "weights" and (value is None or isinstance(value, str)):
            # The name of the edges' attribute, which the package `spatialleiden` leaves in a caller's mapping.
            continue
        elif name == "node_sizes" and (value is None or np.all(np.asarray(value) == 1)):
            continue
        else:
            raise TypeError(
                f"the partition argument {name!r} was given, 'resolution_parameter' or 'initial_membership' was "
                "expected; leave it out, or run leidenalg itself"
            )
    return (_NO_RESOLUTION if resolution == 0 else resolution), initial
