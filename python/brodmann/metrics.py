"""How good is a partition or an embedding?

Functions take labels of any kind (arrays, lists, Series, categoricals) in the order of observations. Those that compare
two partitions leave out observations without a label (``None``, NaN) in either; the others refuse them. Where
scikit-learn has the score the result is the same, and its name works too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Union

import numpy as np

from . import _brodmann
from . import _elements as el

if TYPE_CHECKING:
    import pandas as pd
    import scipy.sparse as sp
    from anndata import AnnData
    from mudata import MuData
    from numpy.typing import ArrayLike

    Data = Union[AnnData, MuData]

__all__ = [
    "adjusted_mutual_info_score",
    "adjusted_mutual_information",
    "adjusted_rand_index",
    "adjusted_rand_score",
    "batch_kl",
    "calinski_harabasz",
    "calinski_harabasz_score",
    "chaos",
    "coherence_graph",
    "completeness",
    "completeness_score",
    "davies_bouldin",
    "davies_bouldin_score",
    "evaluate",
    "homogeneity",
    "homogeneity_completeness_v_measure",
    "homogeneity_score",
    "lisi",
    "normalized_mutual_info_score",
    "normalized_mutual_information",
    "pas",
    "silhouette",
    "silhouette_samples",
    "silhouette_score",
    "v_measure",
    "v_measure_score",
]


def __dir__() -> list[str]:
    return list(__all__)


# Two partitions


def _compared(labels_true: Any, labels_pred: Any, score: str) -> float:
    truth, _ = el.codes_of(labels_true)
    pred, _ = el.codes_of(labels_pred)
    if len(truth) != len(pred):
        raise ValueError(
            f"labels_true has {len(truth)} entries and labels_pred {len(pred)}, as many were expected; "
            "pass labels of the same observations"
        )
    both = (truth >= 0) & (pred >= 0)
    if not both.all():
        truth, pred = truth[both], pred[both]
    return _brodmann.compare_labels(truth, pred, score)


def adjusted_rand_index(labels_true: ArrayLike, labels_pred: ArrayLike) -> float:
    """Agreement of two partitions on pairs of observations, corrected for chance.

    1 for identical partitions, 0 expected at random; scikit-learn's ``adjusted_rand_score``.

    Parameters
    ----------
    labels_true, labels_pred
        One label per observation; the names of labels do not matter.
    """
    return _compared(labels_true, labels_pred, "ari")


def normalized_mutual_information(labels_true: ArrayLike, labels_pred: ArrayLike) -> float:
    """Mutual information over the mean of the two entropies, 0 to 1.

    Parameters
    ----------
    labels_true, labels_pred
        One label per observation.
    """
    return _compared(labels_true, labels_pred, "nmi")


def adjusted_mutual_information(labels_true: ArrayLike, labels_pred: ArrayLike) -> float:
    """Mutual information corrected for chance, over the mean of the two entropies.

    Parameters
    ----------
    labels_true, labels_pred
        One label per observation.
    """
    return _compared(labels_true, labels_pred, "ami")


def homogeneity(labels_true: ArrayLike, labels_pred: ArrayLike) -> float:
    """1 where every cluster holds members of one class only.

    Parameters
    ----------
    labels_true, labels_pred
        One label per observation.
    """
    return _compared(labels_true, labels_pred, "homogeneity")


def completeness(labels_true: ArrayLike, labels_pred: ArrayLike) -> float:
    """1 where all members of a class are in one cluster.

    Parameters
    ----------
    labels_true, labels_pred
        One label per observation.
    """
    return _compared(labels_true, labels_pred, "completeness")


def v_measure(labels_true: ArrayLike, labels_pred: ArrayLike) -> float:
    """Harmonic mean of homogeneity and completeness.

    Parameters
    ----------
    labels_true, labels_pred
        One label per observation.
    """
    return _compared(labels_true, labels_pred, "v_measure")


def homogeneity_completeness_v_measure(labels_true: ArrayLike, labels_pred: ArrayLike) -> tuple[float, float, float]:
    """Homogeneity, completeness and V-measure at once.

    Parameters
    ----------
    labels_true, labels_pred
        One label per observation.
    """
    return (
        homogeneity(labels_true, labels_pred),
        completeness(labels_true, labels_pred),
        v_measure(labels_true, labels_pred),
    )


# A partition of an embedding


def _points(x: Any, name: str = "X") -> np.ndarray:
    points = el.array_of(x, name, len(x) if not hasattr(x, "shape") else x.shape[0])
    return points.astype(np.float64, copy=False)


def _complete(labels: Any, name: str, n_obs: int | None = None) -> np.ndarray:
    codes, _ = el.codes_of(labels)
    if (codes < 0).any():
        raise ValueError(
            f"{name} is missing for {int((codes < 0).sum())} observations, a label for each was expected; "
            "drop those observations first"
        )
    if n_obs is not None and len(codes) != n_obs:
        raise ValueError(
            f"{name} has {len(codes)} entries, {n_obs} were expected; pass labels of the same observations"
        )
    return codes


def silhouette_samples(X: ArrayLike, labels: ArrayLike) -> np.ndarray:
    """Silhouette width of each observation: is it closer to its own cluster than to the next?

    Parameters
    ----------
    X
        ``(n_obs, d)``, Euclidean.
    labels
        One per observation; between 2 and ``n_obs - 1`` clusters.

    Returns
    -------
    ``(n_obs,)`` float64 between -1 and 1; 0 in a cluster of one.
    """
    points = _points(X)
    _, widths, _ = _brodmann.silhouette(
        points, _complete(labels, "labels", len(points)), sample_size=None, random_state=0
    )
    return widths


def silhouette(X: ArrayLike, labels: ArrayLike, *, sample_size: int | None = None, random_state: int = 0) -> float:
    """Mean silhouette width.

    Parameters
    ----------
    X, labels
        As for :func:`silhouette_samples`.
    sample_size
        Measure this many observations only. Each is measured against *all* others (in scikit-learn: against the
        sample), so each width is exact and the mean scatters less.
    random_state
        Seed of the sample.
    """
    points = _points(X)
    if sample_size is not None:
        sample_size = el.whole(sample_size, "sample_size")
    mean, _, _ = _brodmann.silhouette(
        points,
        _complete(labels, "labels", len(points)),
        sample_size=sample_size,
        random_state=el.seed_of(random_state),
    )
    return mean


def davies_bouldin(X: ArrayLike, labels: ArrayLike) -> float:
    """Davies–Bouldin index: width of clusters over their distance; lower is better.

    Parameters
    ----------
    X, labels
        As for :func:`silhouette_samples`.
    """
    points = _points(X)
    return _brodmann.score_clusters(points, _complete(labels, "labels", len(points)), "davies_bouldin")


def calinski_harabasz(X: ArrayLike, labels: ArrayLike) -> float:
    """Calinski–Harabasz index: variance between clusters over variance within; higher is better.

    Parameters
    ----------
    X, labels
        As for :func:`silhouette_samples`.
    """
    points = _points(X)
    return _brodmann.score_clusters(points, _complete(labels, "labels", len(points)), "calinski_harabasz")


# Mixing


def lisi(X: ArrayLike, labels: ArrayLike, *, perplexity: float = 30.0) -> np.ndarray:
    """Local inverse Simpson's index: the effective number of labels around each observation.

    With batches as labels this is iLISI (high: well mixed), with domains cLISI (1: pure). Papers report the median.

    Parameters
    ----------
    X
        ``(n_obs, d)`` embedding.
    labels
        One per observation.
    perplexity
        Effective number of neighbours.

    Returns
    -------
    ``(n_obs,)`` float64, from 1 to the number of labels.
    """
    points = _points(X)
    return _brodmann.lisi(points, _complete(labels, "labels", len(points)), perplexity=float(perplexity))


def batch_kl(X: ArrayLike, batch: ArrayLike) -> np.ndarray:
    """How far the batches around each observation are from the batches overall, in bits; 0 is perfect mixing.

    Parameters
    ----------
    X
        ``(n_obs, d)`` embedding.
    batch
        One per observation.

    Returns
    -------
    ``(n_obs,)`` float64; its mean is the BatchKL of papers.
    """
    points = _points(X)
    return _brodmann.batch_kl(points, _complete(batch, "batch", len(points)))


# Space


def coherence_graph(coordinates: ArrayLike, *, batch: ArrayLike | None = None) -> sp.csr_matrix:
    """The graph on which :func:`evaluate` judges space: the 6 nearest spots of each spot, edges both ways.

    Parameters
    ----------
    coordinates
        ``(n_obs, 2 or 3)``.
    batch
        Slice of each spot; no edge crosses one.

    Returns
    -------
    ``(n_obs, n_obs)`` CSR float64, 1 per edge, symmetric.
    """
    points = _points(coordinates, "coordinates")
    slices = None if batch is None else _complete(batch, "batch", len(points))
    return el.csr(_brodmann.coherence_graph(points, slices=slices))


def pas(labels: ArrayLike, connectivities: Any) -> float:
    """Share of abnormal spots: those that differ from most of their spatial neighbours; lower is better.

    Parameters
    ----------
    labels
        One per observation.
    connectivities
        ``(n_obs, n_obs)`` spatial graph: :func:`coherence_graph` of the coordinates for the number of :func:`evaluate`
        and ``brodmann evaluate``, or one of your own, e.g. ``adata.obsp["spatial_connectivities"]``.
    """
    codes = _complete(labels, "labels")
    return _brodmann.pas(codes, el.checked_graph(connectivities, "connectivities", len(codes)))


def chaos(coordinates: ArrayLike, labels: ArrayLike) -> float:
    """Mean distance of spots to the nearest spot of their domain, in standardised coordinates; lower is better.

    Parameters
    ----------
    coordinates
        ``(n_obs, 2 or 3)``.
    labels
        One per observation.
    """
    points = _points(coordinates, "coordinates")
    return _brodmann.chaos(points, _complete(labels, "labels", len(points)))


# All at once


#: Column of the truth, where no other is named.
_TRUTH = "ground_truth"


def evaluate(
    data: Data,
    *,
    pred: str,
    truth: str | None = None,
    use_rep: str | None = None,
    batch_key: str | None = None,
    spatial_key: str = "spatial",
    connectivity_key: str | None = None,
    max_queries: int | None = 20_000,
    perplexity: float = 30.0,
    random_state: int = 42,
) -> pd.Series:
    """Every score that the data allow: the numbers of ``brodmann evaluate``.

    ``morans_i`` and ``pas`` are taken on the 6 nearest spots of each spot (in its batch, edges both ways), built from
    the coordinates whatever graph is in ``obsp``: that one is an option of the method judged, and scores on it could
    not be compared.

    Parameters
    ----------
    data
        AnnData or MuData.
    pred
        Column of ``obs`` with the domains found.
    truth
        Column of ``obs`` with the domains drawn by hand or simulated; missing entries are left out of the comparison. By
        default ``ground_truth`` where it is there.
    use_rep
        Key of ``obsm`` with the embedding the domains were found in. By default ``X_pca`` where it is there.
    batch_key
        Column of ``obs`` with the batch or slice.
    spatial_key
        Key of the coordinates in ``obsm``; without ``obsm["spatial"]`` the scores of space are left out.
    connectivity_key
        Key of a spatial graph in ``obsp`` to judge space on instead.
    max_queries
        Silhouette, LISI and BatchKL look at this many observations, against all others.
    perplexity
        Of LISI.
    random_state
        Seed of that sample.

    Returns
    -------
    Series with the scores: ``ari``, ``nmi``, ``ami``, ``homogeneity``, ``completeness``, ``v_measure`` (with a truth);
    ``silhouette``, ``davies_bouldin``, ``calinski_harabasz``, ``clisi_median``, ``clisi_mean`` (with an embedding);
    ``morans_i``, ``pas`` (with coordinates); ``ilisi_median``, ``ilisi_mean``, ``batch_kl`` (with batches);
    ``n_obs``, ``n_clusters``, ``n_without_truth``. ``attrs["notes"]`` says why a score is missing.
    """
    import pandas as pd

    el.require_container(data)
    advice = "run bm.tl.spatialleiden or another clustering first, or name one of these"
    codes = _complete(el.column(data, pred, advice=advice), f"obs[{pred!r}]")
    true = None
    if truth is None and pred != _TRUTH and _TRUTH in data.obs and data.obs[_TRUTH].notna().any():
        truth = _TRUTH
    if truth is not None:
        true = el.codes_of(el.column(data, truth, advice="name the column that holds the truth"))[0]
    embedding = None
    if use_rep is not None or "X_pca" in data.obsm:
        key = use_rep or "X_pca"
        embedding = el.obsm(data, key, advice="run bm.pp.pca first, or name one of these with use_rep=")
        embedding = embedding.astype(np.float64, copy=False)
    batch = None
    if batch_key is not None:
        batch = _complete(el.column(data, batch_key), f"obs[{batch_key!r}]")
    graph, coordinates = None, None
    if connectivity_key is not None:
        graph = el.graph(data, connectivity_key, advice="run bm.gr.spatial_neighbors first")
    elif spatial_key != "spatial" or _has_coordinates(data, spatial_key):
        coordinates = el.coordinates(data, spatial_key).astype(np.float64, copy=False)
    found = _brodmann.evaluate(
        codes,
        truth=true,
        embedding=embedding,
        batch=batch,
        graph=graph,
        coordinates=coordinates,
        max_queries=None if max_queries is None else el.whole(max_queries, "max_queries"),
        perplexity=float(perplexity),
        random_state=el.seed_of(random_state),
    )
    notes = found.pop("notes")
    if graph is None and coordinates is None:
        notes.append("no Moran's I or PAS: there are no coordinates")
    scores = pd.Series({k: v for k, v in found.items() if v is not None}, name=pred, dtype=float)
    scores.attrs["notes"] = notes
    return scores


def _has_coordinates(data: Data, key: str) -> bool:
    return key in data.obsm or (el.is_mudata(data) and any(key in adata.obsm for adata in data.mod.values()))


# scikit-learn's names

adjusted_rand_score = adjusted_rand_index
normalized_mutual_info_score = normalized_mutual_information
adjusted_mutual_info_score = adjusted_mutual_information
homogeneity_score = homogeneity
completeness_score = completeness
v_measure_score = v_measure
silhouette_score = silhouette
davies_bouldin_score = davies_bouldin
calinski_harabasz_score = calinski_harabasz
