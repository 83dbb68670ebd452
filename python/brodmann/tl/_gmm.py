"""Gaussian mixtures: clusters of an embedding that have a shape, and how many there should be."""

from __future__ import annotations

import dataclasses
import time
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from .. import _brodmann
from .. import _elements as el
from ._record import categorical, check_target

if TYPE_CHECKING:
    import numpy.typing as npt
    import pandas as pd
    from anndata import AnnData
    from mudata import MuData

Family = Literal["EII", "VII", "EEI", "VVI", "EEE", "VVV"]
Criterion = Literal["stability", "silhouette", "bic"]
Start = Literal["mixed", "hierarchy", "kmeans"]

#: Starts where none are given: of a mixture, of k-means.
_STARTS = {"gmm": 5, "kmeans": 10}


@dataclasses.dataclass(frozen=True)
class NumberOfClusters:
    """What :func:`select_n_clusters` found."""

    #: The number to take.
    n_clusters: int
    #: What decided.
    select_by: str
    #: One row per number tried (the index, ``n_clusters``); columns ``n_found`` (clusters with a member, int64) and the
    #: scores ``stability``, ``silhouette`` and ``bic`` (float64, larger is better; NaN where one could not judge).
    table: pd.DataFrame
    #: ``(n_obs,)``, the clusters of that number, numbered by falling size.
    labels: npt.NDArray[np.uint32]


def gmm(
    data: AnnData | MuData,
    n_clusters: int | Literal["auto"],
    *,
    use_rep: str = "X_pca",
    model: Family = "EEE",
    n_init: int = 5,
    init: Start = "mixed",
    max_iter: int = 1000,
    tol: float = 1e-5,
    regularization: float = 0.0,
    subset: int = 2000,
    select_by: Criterion = "stability",
    max_clusters: int = 15,
    probabilities: bool = False,
    random_state: int = 42,
    key_added: str = "gmm",
    copy: bool = False,
) -> AnnData | MuData | None:
    """Clusters of an embedding by a Gaussian mixture, as mclust finds them.

    The likeliest of several starts: with one start, chance moves the result as much as the seed of a network does. The
    same bits as ``brodmann cluster --method gmm`` and on any number of threads.

    Parameters
    ----------
    data
        With the embedding in ``data.obsm[use_rep]``.
    n_clusters
        Components wanted, fewer than observations; ``"auto"`` chooses from 2 to ``max_clusters``, as
        :func:`select_n_clusters` does.
    use_rep
        Key of the embedding in ``obsm``.
    model
        How the covariances of the components are tied, in mclust's letters for volume, shape and orientation (E equal,
        V varying, I identity): balls of one size (``"EII"``) or each its own (``"VII"``), one diagonal covariance for
        all (``"EEI"``) or each its own (``"VVI"``), one full covariance for all (``"EEE"``, scikit-learn's ``"tied"``)
        or each its own (``"VVV"``, scikit-learn's ``"full"``).
    n_init
        Starts, of which the likeliest is kept.
    init
        Where a start comes from: model-based hierarchical clustering (``"hierarchy"``, mclust's way), ``"kmeans"``, or
        both by turns.
    max_iter
        Most iterations of one start.
    tol
        A start ends when its log-likelihood changes by less than this, relative to its size.
    regularization
        Added to every variance, as a share of the mean variance of the columns; 0 is maximum likelihood.
    subset
        Observations in a hierarchy.
    select_by
        What chooses a number of clusters.
    max_clusters
        The most clusters considered then.
    probabilities
        Write the share of each component in each observation too.
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
        The most likely component. Categories are the strings ``"0"``, ``"1"``, …; ``"0"`` is the largest cluster.
    ``obsm[f"{key_added}_probabilities"]`` : float64, shape ``(n_obs, n_clusters)``
        Where asked for; rows sum to 1.
    ``uns[key_added]`` : dict
        ``params``, ``quality`` (the log-likelihood) and ``bic`` (mclust's sign: for both, higher is better),
        ``n_clusters``, ``weights`` (float64, shape ``(n_clusters,)``), ``means`` (float64, shape ``(n_clusters,
        n_dims)``), ``covariances`` (float64, shape ``(n_clusters, n_dims, n_dims)``), ``start_logliks`` (float64, shape
        ``(n_init,)``), ``converged``, ``singular`` (a covariance needed a ridge: likelihood and BIC are then no measure
        of fit), ``seconds``, ``version``; with ``"auto"`` also ``tried``, the scores of each number as arrays.

    Raises
    ------
    KeyError
        Without the embedding.
    ValueError
        For NaN or infinite values, and as many clusters as observations.

    References
    ----------
    Fraley & Raftery (2002), JASA 97:611; Scrucca et al. (2016), The R Journal 8:289.

    Examples
    --------
    >>> bm.pp.pca(adata)
    >>> bm.tl.gmm(adata, 7)
    >>> bm.tl.gmm(adata, "auto", use_rep="X_staig", model="VVV")
    """
    el.require_container(data)
    check_target(data, key_added, copy)
    x = _embedding(data, use_rep)
    mixture = _mixture(model, n_init, init, max_iter, tol, regularization, subset)
    seed = el.seed_of(random_state)
    given = n_clusters if _is_auto(n_clusters) else el.whole(n_clusters, "n_clusters")
    most = el.whole(max_clusters, "max_clusters")
    start = time.perf_counter()
    tried = None
    if isinstance(given, str):
        chosen, _, tried, _ = _brodmann.select_n_clusters(
            x,
            mixture,
            method="gmm",
            min_clusters=2,
            max_clusters=most,
            criterion=select_by,
            n_runs=6,
            sample_size=5000,
            random_state=seed,
        )
    else:
        chosen = given
    found = _brodmann.gmm(x, mixture, n_components=chosen, random_state=seed)
    seconds = time.perf_counter() - start
    n_found = int(found["labels"].max()) + 1
    if found["singular"] or n_found < chosen:
        el.warn_notes(found["notes"])
    record = {
        "method": "gmm",
        "params": {
            "use_rep": use_rep,
            "n_clusters": given,
            "model": found["model"],
            **{name: mixture[name] for name in ("n_init", "init", "regularization", "subset")},
            "max_iter": mixture["max_iterations"],
            "tol": mixture["tolerance"],
            **({} if tried is None else {"select_by": select_by, "max_clusters": most}),
            "random_state": seed,
        },
        "quality": found["loglik"],
        "n_clusters": n_found,
        **{
            name: found[name]
            for name in ("bic", "weights", "means", "covariances", "start_logliks", "converged", "singular")
        },
        **({} if tried is None else {"tried": tried}),
        "seconds": {"cluster": seconds},
        "version": _brodmann.__version__,
    }
    target = el.copied(data, copy)
    target.obs[key_added] = categorical(found["labels"], n_found)
    if probabilities:
        target.obsm[f"{key_added}_probabilities"] = found["probabilities"]
    target.uns[key_added] = record
    return target if copy else None


def select_n_clusters(
    data: AnnData | MuData | npt.ArrayLike,
    *,
    use_rep: str = "X_pca",
    min_clusters: int = 2,
    max_clusters: int = 15,
    select_by: Criterion = "stability",
    cluster: Literal["gmm", "kmeans"] = "gmm",
    model: Family = "EEE",
    n_init: int | None = None,
    init: Start = "mixed",
    max_iter: int = 1000,
    tol: float = 1e-5,
    regularization: float = 0.0,
    subset: int = 2000,
    n_runs: int = 6,
    sample_size: int = 5000,
    random_state: int = 42,
) -> NumberOfClusters:
    """How many clusters an embedding has, by three scores; nothing is written.

    The embedding is clustered with every number of a range. Stability: how well clusterings of random subsets agree
    (mean adjusted Rand index); the most clusters on which they agree as well (95 %) as on any number. Silhouette: the
    highest mean width, the STAIG paper's way. BIC: the highest, of mixtures alone; it is at home in Gaussian data and
    asks for too many clusters of real embeddings.

    Parameters
    ----------
    data
        With the embedding in ``data.obsm[use_rep]``; or the embedding itself, ``(n_obs, n_dims)``.
    use_rep
        Key of the embedding in ``obsm``.
    min_clusters, max_clusters
        The range.
    select_by
        What decides.
    cluster
        Gaussian mixtures or k-means.
    model, init, regularization, subset
        Of the mixtures, as for :func:`gmm`.
    n_init
        Starts of each clustering; by default 5 of a mixture, 10 of k-means.
    max_iter, tol
        Where an iteration ends: of the mixtures, as for :func:`gmm`.
    n_runs
        Random subsets (four fifths of the observations) that are compared.
    sample_size
        Observations in a subset, and in the silhouette, at most.
    random_state
        Seed.

    Returns
    -------
    :class:`NumberOfClusters`: ``n_clusters``, the scores of each number as a ``table`` (DataFrame), and the ``labels``.

    Raises
    ------
    KeyError
        Without the embedding.
    ValueError
        For NaN or infinite values, and more clusters than the subsets can bear.

    Examples
    --------
    >>> found = bm.tl.select_n_clusters(adata, use_rep="X_staig")
    >>> found.n_clusters
    7
    >>> found.table["silhouette"].plot()
    """
    if el.is_mudata(data) or hasattr(data, "obsm"):
        el.require_container(data)
        x = _embedding(data, use_rep)
    else:
        x = el.array_of(data, "the embedding", len(data))
    if cluster not in _STARTS:
        raise ValueError(f"cluster is {cluster!r}, 'gmm' or 'kmeans' was expected; choose one of these")
    starts = _STARTS[cluster] if n_init is None else n_init
    chosen, labels, table, _ = _brodmann.select_n_clusters(
        x,
        _mixture(model, starts, init, max_iter, tol, regularization, subset),
        method=cluster,
        min_clusters=el.whole(min_clusters, "min_clusters"),
        max_clusters=el.whole(max_clusters, "max_clusters"),
        criterion=select_by,
        n_runs=el.whole(n_runs, "n_runs"),
        sample_size=el.whole(sample_size, "sample_size"),
        random_state=el.seed_of(random_state),
    )
    import pandas as pd

    return NumberOfClusters(chosen, select_by, pd.DataFrame(table).set_index("n_clusters"), labels)


def _is_auto(n_clusters: Any) -> bool:
    if isinstance(n_clusters, str) and n_clusters != "auto":
        raise ValueError(f"n_clusters is {n_clusters!r}, a whole number or 'auto' was expected; choose one")
    return isinstance(n_clusters, str)


def _embedding(data: AnnData | MuData, use_rep: str) -> np.ndarray:
    return el.obsm(data, use_rep, advice="run bm.pp.pca first, or name another key with use_rep")


def _mixture(
    model: str, n_init: Any, init: str, max_iter: Any, tol: Any, regularization: Any, subset: Any
) -> dict[str, Any]:
    """How a mixture is fitted, as the compiled part takes it."""
    return {
        "model": model,
        "n_init": el.whole(n_init, "n_init"),
        "init": init,
        "subset": el.whole(subset, "subset"),
        "max_iterations": el.whole(max_iter, "max_iter"),
        "tolerance": float(tol),
        "regularization": float(regularization),
    }
