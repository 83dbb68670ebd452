"""UMAP: an embedding laid out in the plane."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from .. import _brodmann
from .. import _elements as el

if TYPE_CHECKING:
    from anndata import AnnData


def umap(
    adata: AnnData,
    *,
    use_rep: str | None = None,
    n_neighbors: int = 15,
    min_dist: float = 0.5,
    spread: float = 1.0,
    n_epochs: int | None = None,
    init: Literal["spectral", "pca", "random"] = "spectral",
    neighbors_key: str = "neighbors",
    random_state: int = 0,
    key_added: str = "X_umap",
    copy: bool = False,
) -> AnnData | None:
    """Lay observations out in the plane, neighbours in an embedding close together (UMAP).

    The same bits on any number of threads.

    Parameters
    ----------
    adata
        With neighbours (:func:`brodmann.pp.neighbors` or ``scanpy.pp.neighbors``), or with an embedding in ``obsm``.
    use_rep
        Key of ``obsm``, such as ``"X_staig"``: the ``n_neighbors`` nearest in it, instead of the neighbours that are there.
    n_neighbors
        Neighbours of an observation, itself counted; with ``use_rep``.
    min_dist, spread
        Distance under which neighbours count as touching, and the scale of the plane.
    n_epochs
        By default 500 up to 10,000 observations, 200 beyond.
    init
        Where observations start: eigenvectors of the graph, two principal components, or anywhere.
    neighbors_key
        Entry of ``uns`` that says where the neighbours are.
    random_state
        Seed.
    key_added
        Key of the result.
    copy
        Return a copy with the result instead of adding it to ``adata``.

    Returns
    -------
    None, or the copy. Written are

    ``obsm[key_added]`` : float32, shape ``(n_obs, 2)``
        Positions.
    ``uns["umap"]`` : dict
        ``params``; under ``key_added`` without ``X_`` where that is another.

    Raises
    ------
    KeyError
        Without neighbours, or without the embedding.
    ValueError
        For options out of range.

    References
    ----------
    McInnes, Healy & Melville (2018), arXiv:1802.03426.

    Examples
    --------
    >>> bm.tl.staig(adata, n_clusters=7)
    >>> bm.tl.umap(adata, use_rep="X_staig")
    >>> bm.pl.embedding(adata, basis="umap", color="staig")
    """
    el.require_anndata(adata)
    seed = el.seed_of(random_state)
    if n_epochs is not None:
        n_epochs = el.whole(n_epochs, "n_epochs")
    advice, record = "name another with use_rep=", None
    if use_rep is not None:
        embedding: Any = el.obsm(adata, use_rep, advice=advice)
        n_neighbors = el.whole(n_neighbors, "n_neighbors", least=2)
        found = _brodmann.neighbors(embedding, n_neighbors=n_neighbors, random_state=seed)
        el.warn_notes(found["notes"])
        # As bm.pp.neighbors keeps it, so that both roads give the same bits.
        graph = el.csr(found["connectivities"], dtype=np.float32)
    else:
        record = adata.uns.get(neighbors_key)
        if record is None:
            raise el.missing("uns", neighbors_key, adata.uns, "run bm.pp.neighbors first, or name an embedding with use_rep=")
        key = record.get("connectivities_key", "connectivities")
        graph = el.graph(adata, key, advice="run bm.pp.neighbors first")
        use_rep = record.get("params", {}).get("use_rep")
        named = use_rep if use_rep in adata.obsm else "X_pca"
        embedding = el.obsm(adata, named, advice=advice) if named in adata.obsm else None
    positions, _ = _brodmann.umap(
        el.to_csr(graph, wide=True),
        embedding,
        min_dist=float(min_dist),
        spread=float(spread),
        n_epochs=n_epochs,
        init=init,
        random_state=seed,
    )
    params = {
        "min_dist": float(min_dist),
        "spread": float(spread),
        "n_epochs": n_epochs,
        "init": init,
        "random_state": seed,
        "use_rep": use_rep,
        **({"n_neighbors": n_neighbors} if record is None else {"neighbors_key": neighbors_key}),
    }
    adata = el.copied(adata, copy)
    adata.obsm[key_added] = np.asarray(positions, dtype=np.float32)
    adata.uns[key_added.removeprefix("X_")] = {"params": el.recorded(params)}
    return adata if copy else None
