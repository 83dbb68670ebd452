"""Graphs and containers with known groups, for the tests of clustering."""

import anndata as ad
import numpy as np
import pandas as pd
import scipy.sparse as sp


def planted_graph(n_obs, n_groups, inside, across, seed=0, dtype=np.float64):
    """A weighted symmetric random graph, denser inside of `n_groups` groups; CSR."""
    rng = np.random.default_rng(seed)
    group = np.arange(n_obs) * n_groups // n_obs
    density = np.where(group[:, None] == group[None], inside, across)
    edges = np.triu(rng.random((n_obs, n_obs)) < density, 1) * np.triu(rng.uniform(0.2, 1, (n_obs, n_obs)), 1)
    return sp.csr_matrix((edges + edges.T).astype(dtype))


def one_sided(graph, seed=0):
    """`graph` with a third of its entries dropped and the rest reweighted: no longer symmetric."""
    rng = np.random.default_rng(seed)
    coo = graph.tocoo()
    keep = rng.random(coo.nnz) < 0.67
    values = coo.data[keep] * rng.uniform(0.5, 1.5, keep.sum())
    return sp.csr_matrix((values, (coo.row[keep], coo.col[keep])), shape=graph.shape)


def planted_adata(n_obs=90, n_groups=3, seed=0, inside=0.4, across=0.03):
    """An AnnData with both graphs of SpatialLeiden."""
    adata = ad.AnnData(np.zeros((n_obs, 2), dtype=np.float32))
    adata.obs_names = [f"spot_{i}" for i in range(n_obs)]
    adata.obs["group"] = pd.Categorical((np.arange(n_obs) * n_groups // n_obs).astype(str))
    adata.obsp["connectivities"] = planted_graph(n_obs, n_groups, inside, across, seed).astype(np.float32)
    adata.obsp["spatial_connectivities"] = planted_graph(n_obs, n_groups, inside, across, seed + 1)
    return adata


def planted_mdata(n_obs=90, n_groups=3, seed=0):
    """A MuData of two modalities, `rna` and `adt`, and the spatial graph."""
    import mudata as mu

    modalities = {}
    for index, name in enumerate(("rna", "adt")):
        adata = planted_adata(n_obs, n_groups, seed + 2 * index)
        del adata.obsp["spatial_connectivities"]
        adata.var_names = [f"{name}_{j}" for j in range(adata.n_vars)]
        modalities[name] = adata
    mdata = mu.MuData(modalities)
    mdata.obsp["spatial_connectivities"] = planted_graph(n_obs, n_groups, 0.3, 0.02, seed + 9)
    return mdata


def adjusted_rand_index(a, b):
    """ARI from the contingency table, independent of the library."""
    table = pd.crosstab(np.asarray(a), np.asarray(b)).to_numpy().astype(float)

    def pairs(counts):
        return (counts * (counts - 1) / 2).sum()

    together, rows, columns = pairs(table), pairs(table.sum(1)), pairs(table.sum(0))
    expected = rows * columns / pairs(np.array([table.sum()]))
    most = (rows + columns) / 2
    return 1.0 if most == expected else (together - expected) / (most - expected)


def same_partition(a, b):
    """Whether two labellings differ by names alone."""
    pairs = set(zip(map(str, a), map(str, b)))
    return len(pairs) == len({p[0] for p in pairs}) == len({p[1] for p in pairs})


def snapshot(data):
    """What an error must leave as it was."""
    return (sorted(data.obs.columns), sorted(data.uns), sorted(data.obsm), sorted(data.obsp))
