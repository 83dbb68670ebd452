"""The resolution that gives a number of clusters, by the steps of `spatialleiden`."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ._multiplex import leiden_labels, spatialleiden_labels, write

if TYPE_CHECKING:
    from anndata import AnnData


def search_resolution(
    adata: AnnData,
    n_clusters: int,
    *,
    start: tuple[float, float] = (1.0, 0.4),
    step: float = 0.1,
    n_iter: int = 15,
    latent_kwargs: dict[str, Any] | None = None,
    spatial_kwargs: dict[str, Any] | None = None,
) -> tuple[float, float]:
    """The latent and the spatial resolution that give a number of clusters.

    First the latent one by :func:`leiden`, then, with it, the spatial one by :func:`spatialleiden`. Both clusterings
    are written as these functions write them. ``bm.tl.search_resolution`` and the argument ``n_clusters`` of
    ``bm.tl.spatialleiden`` search further and in fewer steps.

    Parameters
    ----------
    adata
        Annotated data with both graphs.
    n_clusters
        Clusters wanted.
    start
        First latent and spatial resolution to try.
    step
        Added or subtracted while there are too few or too many clusters; halved at each turn.
    n_iter
        Most clusterings of each search, at least 2.
    latent_kwargs, spatial_kwargs
        Passed to :func:`leiden` and :func:`spatialleiden`.

    Returns
    -------
    tuple
        Latent and spatial resolution. Where the number was not reached, those that came nearest, with a warning.
    """
    latent_start, spatial_start = start
    latent = search_resolution_latent(
        adata, n_clusters, start=latent_start, step=step, n_iter=n_iter, **(latent_kwargs or {})
    )
    options = {**(spatial_kwargs or {}), "resolution": (latent, 1)}
    spatial = search_resolution_spatial(adata, n_clusters, start=spatial_start, step=step, n_iter=n_iter, **options)
    return latent, spatial


def search_resolution_latent(
    adata: AnnData, n_clusters: int, *, start: float = 1, step: float = 0.1, n_iter: int = 15, **kwargs: Any
) -> float:
    """The resolution at which :func:`leiden` gives a number of clusters; its clusters are written.

    Parameters
    ----------
    adata
        Annotated data with a latent graph.
    n_clusters, start, step, n_iter
        As in :func:`search_resolution`.
    kwargs
        Passed to :func:`leiden`.

    Returns
    -------
    float
        The resolution.
    """
    key_added = kwargs.pop("key_added", "leiden")
    return _search(
        adata, key_added, lambda r: leiden_labels(adata, resolution=r, **kwargs), n_clusters, start, step, n_iter
    )


def search_resolution_spatial(
    adata: AnnData, n_clusters: int, *, start: float = 0.4, step: float = 0.1, n_iter: int = 15, **kwargs: Any
) -> float:
    """The spatial resolution at which :func:`spatialleiden` gives a number of clusters; its domains are written.

    Parameters
    ----------
    adata
        Annotated data with both graphs.
    n_clusters, start, step, n_iter
        As in :func:`search_resolution`.
    kwargs
        Passed to :func:`spatialleiden`. Of ``resolution``, a number or ``(latent, spatial)``, the latent one is used.

    Returns
    -------
    float
        The spatial resolution.
    """
    key_added = kwargs.pop("key_added", "spatialleiden")
    given = kwargs.pop("resolution", 1)
    latent = given[0] if hasattr(given, "__getitem__") else given

    def labels(resolution: float) -> npt.NDArray[np.int64]:
        return spatialleiden_labels(adata, resolution=(latent, resolution), **kwargs)

    return _search(adata, key_added, labels, n_clusters, start, step, n_iter)


def _search(
    adata: AnnData,
    key_added: str,
    labels_at: Callable[[float], npt.NDArray[np.int64]],
    n_clusters: int,
    start: float,
    step: float,
    n_iter: int,
) -> float:
    if n_iter < 2:
        raise ValueError(f"n_iter is {n_iter}, at least 2 was expected; 15 is the default")
    resolution, step = start, abs(step)
    too_few: bool | None = None
    best: tuple[int, float, npt.NDArray[np.int64]] | None = None
    for _ in range(n_iter):
        labels = labels_at(resolution)
        found = len(np.unique(labels))
        if best is None or abs(found - n_clusters) < best[0]:
            best = (abs(found - n_clusters), resolution, labels)
        if found == n_clusters:
            break
        if too_few is not None and too_few != (found < n_clusters):
            step /= 2
        too_few = found < n_clusters
        following = resolution + step if too_few else resolution - step
        # A step past 0 ends half way there.
        resolution = following if following > 0 else resolution / 2
    assert best is not None
    distance, resolution, labels = best
    if distance:
        warnings.warn(
            f"no resolution tried gives {n_clusters} clusters, {resolution:.4g} comes nearest; allow more n_iter, "
            "try another step, or use bm.tl.search_resolution",
            stacklevel=3,
        )
    write(adata, key_added, labels)
    return resolution
