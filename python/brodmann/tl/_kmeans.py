"""Compact clusters of an embedding."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from .. import _brodmann
from .. import _elements as el
from ._record import categorical, check_target

if TYPE_CHECKING:
    from anndata import AnnData
    from mudata import MuData


def kmeans(
    data: AnnData | MuData,
    n_clusters: int,
    *,
    use_rep: str = "X_pca",
    n_init: int = 10,
    max_iter: int = 300,
    tol: float = 1e-4,
    random_state: int = 42,
    key_added: str = "kmeans",
    copy: bool = False,
) -> AnnData | MuData | None:
    """Clusters of an embedding by k-means.

    Parameters
    ----------
    data
        With the embedding in ``data.obsm[use_rep]``.
    n_clusters
        Clusters wanted, fewer than observations.
    use_rep
        Key of the embedding in ``obsm``.
    n_init
        Independent starts, of which the best is kept.
    max_iter
        Most iterations of one start.
    tol
        A start ends when its centres move by less, relative to the variance of the data.
    random_state
        Seed.
    key_added
        Name of the result.
    copy
        Return a copy with the result instead of adding it to ``data``.

    Returns
    -------
    None, or the copy. Written are

    ``obs[key_added]`` : categorical, shape ``(n_obs,)``
        Categories are the strings ``"0"``, ``"1"``, …; ``"0"`` is the largest cluster.
    ``uns[key_added]`` : dict
        ``params``, ``quality`` (the sum of squared distances to the centres: lower is better), ``centers`` (shape
        ``(n_clusters, n_dims)``), ``converged``, ``seconds``, ``version``.

    Raises
    ------
    KeyError
        Without the embedding.
    ValueError
        For NaN or infinite values, and as many clusters as observations.

    Examples
    --------
    >>> bm.pp.pca(adata)
    >>> bm.tl.kmeans(adata, 7)
    """
    el.require_container(data)
    check_target(data, key_added, copy)
    x = el.obsm(data, use_rep, advice="run bm.pp.pca first, or name another key with use_rep")
    options = {
        "n_clusters": el.whole(n_clusters, "n_clusters"),
        "n_init": el.whole(n_init, "n_init"),
        "random_state": el.seed_of(random_state),
    }
    most, tolerance = el.whole(max_iter, "max_iter"), float(tol)
    start = time.perf_counter()
    labels, centers, inertia, _, converged = _brodmann.kmeans(x, max_iterations=most, tolerance=tolerance, **options)
    seconds = time.perf_counter() - start
    target = el.copied(data, copy)
    target.obs[key_added] = categorical(labels, int(labels.max()) + 1)
    target.uns[key_added] = {
        "method": "kmeans",
        "params": {"use_rep": use_rep, **options, "max_iter": most, "tol": tolerance},
        "quality": inertia,
        "centers": centers,
        "converged": converged,
        "seconds": {"cluster": seconds},
        "version": _brodmann.__version__,
    }
    return target if copy else None
