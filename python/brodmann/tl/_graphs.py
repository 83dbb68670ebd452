"""Neighbour graphs out of `obsp`, as the compiled part takes them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.sparse as sp

from .._elements import _Message, missing, refuse_dask, require_mudata

if TYPE_CHECKING:
    from anndata import AnnData
    from mudata import MuData


def stored_graph(data: AnnData | MuData, key: str, *, option: str, run: str, where: str = "") -> Any:
    """``data.obsp[key]`` as CSR; a missing one names the function to run."""
    if key not in data.obsp:
        raise missing(f"{where}obsp", key, data.obsp, f"run {run} first, or name another key with {option}")
    return as_csr(data.obsp[key], data.n_obs, f"{where}obsp[{key!r}]")


def as_csr(graph: Any, n_obs: int | None, name: str) -> Any:
    """``graph`` as CSR of float32 or float64; itself where it is that already.

    Unsorted and repeated columns are left to the compiled part, which puts them right in a copy of its own.
    """
    refuse_dask(graph, name)
    if hasattr(graph, "to_memory"):  # a sparse matrix that anndata left in its file
        graph = graph.to_memory()
    if not sp.issparse(graph):
        graph = np.asarray(graph)
    if graph.ndim != 2 or graph.shape[0] != graph.shape[1]:
        shape = " × ".join(map(str, graph.shape))
        raise ValueError(
            f"{name} has the shape {shape}, a square one was expected; "
            "pass the observation × observation connectivities"
        )
    if n_obs is not None and graph.shape[0] != n_obs:
        raise ValueError(
            f"{name} is of {graph.shape[0]} observations, {n_obs} were expected; build the graph on these observations"
        )
    if graph.dtype.kind not in "biuf":
        raise ValueError(
            f"{name} holds values of type {graph.dtype}, numbers were expected; convert it with astype(float)"
        )
    csr = graph.tocsr() if sp.issparse(graph) else sp.csr_matrix(graph)
    if csr.dtype not in (np.float32, np.float64) or not csr.dtype.isnative:
        csr = csr.astype(np.float64)
    return csr


def modality_graphs(
    mdata: MuData, neighbors_key: str | Mapping[str, str], *, run: str, spatial_name: str = "spatial"
) -> dict[str, Any]:
    """The graph of each modality, on the observations of ``mdata`` in their order."""
    require_mudata(mdata)
    names = list(mdata.mod)
    if spatial_name in names:
        raise ValueError(
            f"a modality is named {spatial_name!r}, which is the name of the spatial layer; rename the modality"
        )
    if isinstance(neighbors_key, Mapping):
        check_names(neighbors_key, names, "neighbors_key")
    graphs = {}
    for name in names:
        key = neighbors_key[name] if isinstance(neighbors_key, Mapping) else neighbors_key
        adata = mdata.mod[name]
        _check_same_obs(mdata, name)
        graphs[name] = stored_graph(
            adata, key, option="neighbors_key", run=f"{run}(mdata[{name!r}])", where=f"mod[{name!r}]."
        )
    return graphs


def _check_same_obs(mdata: MuData, name: str) -> None:
    adata = mdata.mod[name]
    if adata.n_obs != mdata.n_obs:
        raise ValueError(
            f"modality {name!r} has {adata.n_obs} observations where the MuData has {mdata.n_obs}; "
            "keep the shared ones alone with muon.pp.intersect_obs or by subsetting each modality"
        )
    if not adata.obs_names.equals(mdata.obs_names):
        raise ValueError(
            f"modality {name!r} holds its observations under other names or in another order than the MuData; "
            "give all modalities the same obs_names in the same order and build the MuData again"
        )


def check_names(given: Mapping[str, Any], names: list[str], option: str, *, complete: bool = True) -> None:
    """Refuses names that are no layer, and layers that are not named."""
    known = ", ".join(map(repr, names))
    for name in given:
        if name not in names:
            raise ValueError(f"{option} names {name!r}, one of {known} was expected; correct the name")
    if not complete:
        return
    for name in names:
        if name not in given:
            raise KeyError(_Message(f"{option} lacks {name!r}, a value for each of {known} was expected; add {name!r}"))
