"""Domains without space: principal components, then a mixture of Gaussians."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

from . import _tissue as tissue
from ._gmm import Criterion, Family
from ._options import Options, with_options
from ._said import Select, said

if TYPE_CHECKING:
    from anndata import AnnData
    from mudata import MuData


@with_options
def mixture(
    data: AnnData | MuData,
    *,
    n_clusters: int | Literal["auto"] | None = None,
    cluster: Literal["gmm", "leiden", "kmeans"] = "gmm",
    gmm_model: Family = "EEE",
    n_init: int = 5,
    select_by: Criterion = "stability",
    max_clusters: int = 15,
    resolution: float = 1.0,
    integrate: Literal["harmony"] | None = None,
    refine: int = 0,
    layer: Mapping[str, str] | str | None = None,
    spatial_key: str = "spatial",
    library_key: str | None = None,
    n_comps: int | None = None,
    normalized: bool = False,
    n_top_genes: int | None = None,
    select: Select | None = None,
    flavor: Literal["seurat_v3", "seurat", "cell_ranger"] | None = None,
    target_sum: float | None = None,
    min_cells: int | None = None,
    umap: bool = False,
    random_state: int = 42,
    key_added: str = "mixture",
    copy: bool = False,
    options: Options | None = None,
) -> AnnData | MuData | None:
    """Finds domains without space: principal components, then a mixture of Gaussians.

    The "PCA + mclust" of benchmarks: what a method of spatial domains should beat. The same bits as ``brodmann mixture``.

    Parameters
    ----------
    data
        AnnData with raw counts in ``X``, or MuData with raw counts in ``X`` of each modality: the components then stand
        side by side, each modality with the same total variance. ``obsm["X_pca"]`` is used where it is there.
    n_clusters, cluster, gmm_model, n_init, select_by, max_clusters, resolution, refine
        From the components to domains, as for :func:`staig`; ``refine`` needs coordinates.
    layer
        Layer of the counts instead of ``X`` (a mapping from modality to layer for a MuData of several).
    spatial_key, library_key
        Coordinates, for ``refine``; slices, in each of which genes are selected.
    n_comps, normalized, n_top_genes, select, flavor, target_sum, min_cells
        From counts to components, as for :func:`leiden`.
    umap
        Lay the components out in the plane.
    integrate
        Of several slices: ``"harmony"`` takes their differences out of the embedding before it is clustered
        (:func:`brodmann.pp.harmony`); it is then in ``obsm["X_{key}_harmony"]``, too.
    random_state
        Seed.
    key_added
        Name of the result.
    copy
        Return a copy with the result instead of adding it to ``data``.
    options
        Any of the above by name, or several such groups, to be shared by calls; a keyword takes precedence.

    Returns
    -------
    None, or the copy. Written are, with ``key = key_added``,

    ``obs[key]`` : categorical, shape ``(n_obs,)``
        Domains, ``"0"`` the largest.
    ``obsm["X_{key}"]`` : float32, shape ``(n_obs, n_components)``
        What was clustered.
    ``uns[key]`` : dict
        ``params``, ``n_clusters``, ``n_clusters_reached``, ``quality`` (log-likelihood), ``bic``, ``seconds``, …
    ``obs["{key}_unrefined"]``, ``obsm["X_{key}_umap"]``
        Where asked for.

    Raises
    ------
    KeyError
        Without counts, or coordinates where they are needed.
    ValueError
        For values that are not counts, and options out of range.

    Examples
    --------
    >>> bm.tl.mixture(adata, n_clusters=7)
    """
    given = said(mixture, locals(), leave=["layer"])
    parts = tissue.asked(
        data,
        given,
        layer=layer,
        spatial_key=spatial_key,
        library_key=library_key,
        key_added=key_added,
        copy=copy,
        stored=True,
        space=refine > 0,
    )
    return tissue.find(data, "mixture", parts, given, layer=layer, random_state=random_state, copy=copy)
