"""From raw counts to features worth comparing: scanpy's steps, keys and results, for RNA, proteins and peaks.

Functions write to the AnnData they are given, or return what they made with ``copy=True``. Matrices stay sparse.
Values are float32, as scanpy's are for float32 and whole numbers; a float64 matrix stays float64.
"""

from __future__ import annotations

import math
import warnings
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import scipy.sparse as sp

from . import _brodmann
from . import _elements as el

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd
    from anndata import AnnData
    from mudata import MuData

__all__ = [
    "clr",
    "filter_genes",
    "harmony",
    "highly_variable_genes",
    "log1p",
    "neighbors",
    "normalize_total",
    "pca",
    "qc",
    "scale",
    "tfidf_lsi",
]


def __dir__() -> list[str]:
    return list(__all__)


def qc(
    adata: AnnData,
    *,
    spatial_key: str = "spatial",
    library_key: str | None = None,
    layer: str | None = None,
    mt_prefix: str | None = None,
    n_neighbors: int = 36,
    threshold: float = 3.0,
    genes: bool = False,
    copy: bool = False,
) -> AnnData | None:
    """Measure the quality of each spot, by itself and beside its neighbours; nothing is removed.

    A spot is a local outlier when its counts or genes are far below those of the nearest spots of its slice, or its
    share of mitochondrial counts far above: ``z = 0.6745 (x - median) / MAD`` of ``log1p`` counts, ``log1p`` genes and
    the percentage. Spots whose ``obs["in_tissue"]`` is 0 are neither judged nor neighbours.

    Parameters
    ----------
    adata
        Raw counts.
    spatial_key
        Key of the coordinates. Without any there are no local outliers.
    library_key
        Column of ``obs`` with the slice of each spot.
    layer
        Layer instead of ``X``.
    mt_prefix
        What names of mitochondrial genes begin with; by default ``MT-``, ``mt-`` or ``Mt-``. Where none of
        ``var_names`` does, columns of ``var`` such as ``gene_name`` and ``feature_name`` are asked.
    n_neighbors
        Nearest spots that each is compared with, itself not counted.
    threshold
        Z-score beyond which a spot is an outlier.
    genes
        Measure genes too.
    copy
        Return a changed copy.

    Returns
    -------
    ``None`` or the copy. Written:

    ``obs["total_counts"]``
        ``(n_obs,)`` float64: counts of each spot.
    ``obs["n_genes_by_counts"]``
        ``(n_obs,)`` int64: genes with any count.
    ``obs["pct_counts_mt"]``
        ``(n_obs,)`` float64: percent of the counts that are mitochondrial, NaN without counts. Absent, with a warning,
        where no mitochondrial gene is known.
    ``obs["local_z_total_counts"]``, ``obs["local_z_n_genes_by_counts"]``, ``obs["local_z_pct_counts_mt"]``
        ``(n_obs,)`` float64: z-scores among the neighbours, NaN where there is nothing to judge by; of the metrics that
        are there.
    ``obs["local_outlier"]``
        ``(n_obs,)`` bool: an outlier by any of them.
    ``var["n_cells_by_counts"]``, ``var["total_counts"]``
        ``(n_vars,)`` int64 and float64, with ``genes``: spots with any count of each gene, and its counts.
    ``uns["qc"]``
        ``params``.

    References
    ----------
    Totty et al. (2025), Nature Methods (SpotSweeper).

    Examples
    --------
    >>> bm.pp.qc(adata)
    >>> adata = adata[~adata.obs["local_outlier"] & (adata.obs["total_counts"] >= 500)].copy()
    """
    el.require_anndata(adata)
    n_neighbors = el.whole(n_neighbors, "n_neighbors", least=3)
    x = el.matrix(adata, layer)
    coordinates = None
    if spatial_key != "spatial" or spatial_key in adata.obsm:
        coordinates = el.coordinates(adata, spatial_key)
    slices, slice_names = el.slices_of(adata, library_key)
    in_tissue = None
    if "in_tissue" in adata.obs:
        off = adata.obs["in_tissue"].astype(str).isin(["0", "0.0", "False", "false", "FALSE"])
        in_tissue = ~off.to_numpy(dtype=bool)
    mito = _mitochondrial(adata, mt_prefix)
    found = _brodmann.qc(
        el.to_csr(x),
        mito=mito,
        coordinates=coordinates,
        slices=slices,
        in_tissue=in_tissue,
        n_neighbors=n_neighbors,
        threshold=float(threshold),
    )
    notes = [text if code is None else f"{slice_names[code]}: {text}" for code, text in found.get("notes", [])]
    if not mito.any():
        begin = "MT- or mt-" if mt_prefix is None else mt_prefix
        notes.append(f"no gene name begins with {begin}, so pct_counts_mt is left out")
    if coordinates is None:
        notes.append("there are no coordinates, so local outliers are left out")
    if not found["whole"]:
        notes.append("the values are no whole numbers, so sums of them are no counts; name the layer of the counts")
    el.warn_notes(notes)
    adata = el.copied(adata, copy)
    for metric in ("total_counts", "n_genes_by_counts", "pct_counts_mt"):
        if found[metric] is not None:
            adata.obs[metric] = found[metric]
    for metric, z in found["z_scores"].items():
        adata.obs[f"local_z_{metric}"] = z
    if coordinates is not None:
        adata.obs["local_outlier"] = found["local_outlier"]
    if genes:
        adata.var["n_cells_by_counts"] = found["n_cells_by_counts"]
        adata.var["total_counts"] = found["total_counts_of_genes"]
    params = {
        "layer": layer,
        "mt_prefix": mt_prefix,
        "n_neighbors": n_neighbors,
        "threshold": float(threshold),
        "spatial_key": spatial_key,
        "library_key": library_key,
    }
    adata.uns["qc"] = {"params": el.recorded(params)}
    return adata if copy else None


def _mitochondrial(adata: AnnData, prefix: str | None) -> np.ndarray:
    """Which variables are mitochondrial, by the first of ``var_names`` and the columns of names in which any is."""
    if prefix is not None:
        el.require(bool(prefix), "mt_prefix is empty", "what names of mitochondrial genes begin with")
    candidates = [adata.var_names, *(adata.var[key] for key in _brodmann.GENE_NAMES if key in adata.var)]
    for names in candidates:
        mito = _brodmann.mitochondrial([str(name) for name in names], prefix=prefix)
        if mito.any():
            return mito
    return np.zeros(adata.n_vars, dtype=bool)


def normalize_total(
    adata: AnnData,
    *,
    target_sum: float | None = None,
    exclude_highly_expressed: bool = False,
    max_fraction: float = 0.05,
    key_added: str | None = None,
    layer: str | None = None,
    inplace: bool = True,
    copy: bool = False,
) -> AnnData | dict[str, Any] | None:
    """Make observations comparable: the same total in each.

    Parameters
    ----------
    adata
        Counts of 0 or more, dense or sparse of any format.
    target_sum
        Total of each observation afterwards; by default the median total of those with any counts.
    exclude_highly_expressed
        Leave genes that make up more than ``max_fraction`` of some observation out of the totals.
    max_fraction
        See ``exclude_highly_expressed``.
    key_added
        Column of ``obs`` for what each observation was divided by.
    layer
        Layer instead of ``X``.
    inplace
        ``False``: return a dictionary with ``X`` and ``norm_factor`` instead of writing.
    copy
        Return a changed copy.

    Returns
    -------
    ``None``, the copy, or the dictionary. Written:

    ``X`` or ``layers[layer]``
        ``(n_obs, n_vars)``, float32 (float64 where it was), the format it had.
    ``obs[key_added]``
        ``(n_obs,)`` of the same dtype: total over ``target_sum``.

    Examples
    --------
    >>> bm.pp.normalize_total(adata, target_sum=1e4)
    """
    el.require_anndata(adata)
    if copy:
        el.require(inplace, "copy is True and inplace False", "one of them")
        adata = adata.copy()
    x = el.matrix(adata, layer, writes=inplace)
    arrays, divisors, n_empty = _brodmann.normalize_total(
        el.to_csr(x, wide=x.dtype == np.float64),
        target_sum=None if target_sum is None else float(target_sum),
        max_fraction=float(max_fraction) if exclude_highly_expressed else None,
    )
    if n_empty:
        warnings.warn(f"{n_empty} observations have no counts and stay zero", UserWarning, stacklevel=2)
    made = el.csr_like(arrays, x)
    norm_factor = divisors.astype(made.dtype, copy=False)
    if not inplace:
        return {"X": made, "norm_factor": norm_factor}
    el.writable(adata)
    el.set_matrix(adata, layer, made)
    if key_added is not None:
        adata.obs[key_added] = norm_factor
    return adata if copy else None


def log1p(
    adata: AnnData,
    *,
    base: float | None = None,
    layer: str | None = None,
    copy: bool = False,
) -> AnnData | None:
    """Logarithmise: ``ln(1 + x)``, or with another base.

    Parameters
    ----------
    adata
        Normalised counts.
    base
        Base of the logarithm; natural by default.
    layer
        Layer instead of ``X``.
    copy
        Return a changed copy.

    Returns
    -------
    ``None`` or the copy. Written:

    ``X`` or ``layers[layer]``
        ``(n_obs, n_vars)``, float32 (float64 where it was), the format it had.
    ``uns["log1p"]``
        ``{"base": base}``.

    Raises
    ------
    ValueError
        For values below 0, and such as are not finite.
    """
    el.require_anndata(adata)
    x = el.matrix(adata, layer, writes=True)
    if "log1p" in adata.uns:
        warnings.warn("the data seem to be logarithms already: uns['log1p'] is there", UserWarning, stacklevel=2)
    arrays = _brodmann.log1p(
        el.to_csr(x, wide=x.dtype == np.float64), base=None if base is None else float(base)
    )
    made = el.csr_like(arrays, x)
    adata = el.copied(adata, copy)
    el.set_matrix(adata, layer, made)
    adata.uns["log1p"] = {"base": base}
    return adata if copy else None


def filter_genes(
    adata: AnnData,
    *,
    min_cells: int | None = None,
    max_cells: int | None = None,
    min_counts: float | None = None,
    max_counts: float | None = None,
    layer: str | None = None,
    copy: bool = False,
) -> AnnData | None:
    """Keep genes that are seen in enough observations, or in not too many.

    Parameters
    ----------
    adata
        Counts.
    min_cells, max_cells
        Observations that a gene is seen in (values above 0).
    min_counts, max_counts
        Sum of a gene over all observations. Of several limits a gene must keep all; scanpy takes one at a time.
    layer
        Layer instead of ``X``.
    copy
        Return a filtered copy.

    Returns
    -------
    ``None`` or the copy, with the genes kept and

    ``var["n_cells"]``, ``var["n_counts"]``
        Where limits of cells, or of counts, were given, as scanpy writes them.

    Raises
    ------
    ValueError
        Without a limit, for values that are no counts, and where no gene is left.

    Examples
    --------
    >>> bm.pp.filter_genes(adata, min_cells=3)
    """
    el.require_anndata(adata)
    limits = {"min_cells": min_cells, "max_cells": max_cells, "min_counts": min_counts, "max_counts": max_counts}
    given = {name: float(limit) for name, limit in limits.items() if limit is not None}
    el.require(bool(given), "no limit was given", "at least one", "name min_cells=3")
    for name, limit in given.items():
        el.require(limit >= 0 and math.isfinite(limit), f"{name} is {limit:g}", "a number of 0 or more")
    x = el.to_csr(el.matrix(adata, layer), wide=True)
    _brodmann.check_amounts(x)
    seen = np.bincount(x.indices[x.data > 0], minlength=adata.n_vars)
    sums = np.asarray(x.sum(axis=0), dtype=np.float64).ravel()
    kept = np.ones(adata.n_vars, dtype=bool)
    for name, limit in given.items():
        values = seen if name.endswith("cells") else sums
        kept &= values >= limit if name.startswith("min") else values <= limit
    el.require(kept.any(), f"none of the {adata.n_vars} genes is within the limits", "at least one", "loosen them")
    adata = el.copied(adata, copy)
    if any(name.endswith("cells") for name in given):
        adata.var["n_cells"] = seen
    if any(name.endswith("counts") for name in given):
        adata.var["n_counts"] = sums
    adata._inplace_subset_var(kept)
    return adata if copy else None


def highly_variable_genes(
    adata: AnnData,
    *,
    layer: str | None = None,
    n_top_genes: int | None = None,
    min_disp: float = 0.5,
    max_disp: float = math.inf,
    min_mean: float = 0.0125,
    max_mean: float = 3.0,
    span: float = 0.3,
    n_bins: int = 20,
    flavor: Literal["seurat", "cell_ranger", "seurat_v3"] = "seurat",
    subset: bool = False,
    inplace: bool = True,
    batch_key: str | None = None,
) -> pd.DataFrame | None:
    """Find the genes that differ more between observations than their mean explains.

    Parameters
    ----------
    adata
        Log-normalised values for the flavours ``seurat`` and ``cell_ranger``, raw counts for ``seurat_v3``.
    layer
        Layer instead of ``X``.
    n_top_genes
        How many; needed by ``seurat_v3``. The bounds below do not count then.
    min_disp, max_disp, min_mean, max_mean
        Bounds of normalised dispersion and mean.
    span
        Share of genes in each local fit (``seurat_v3``).
    n_bins
        Bins of the mean (``seurat``).
    flavor
        How variability is measured.
    subset
        Keep the selected genes only.
    inplace
        ``False``: return the columns instead of writing them.
    batch_key
        Column of ``obs`` with the slice or batch: each is judged on its own and the verdicts are combined.

    Returns
    -------
    ``None`` or a DataFrame. Written:

    ``var["highly_variable"]``
        ``(n_vars,)`` bool.
    ``var["means"]``
        ``(n_vars,)`` float64.
    ``var["dispersions"]``, ``var["dispersions_norm"]``
        ``(n_vars,)`` float64 and float32; ``seurat`` and ``cell_ranger``.
    ``var["variances"]``, ``var["variances_norm"]``, ``var["highly_variable_rank"]``
        ``(n_vars,)`` float64, float64 and float32 (NaN where not selected); ``seurat_v3``.
    ``var["highly_variable_nbatches"]``, ``var["highly_variable_intersection"]``
        ``(n_vars,)`` int64 and bool; with ``batch_key``, the latter not by ``seurat_v3``.
    ``uns["hvg"]``
        ``{"flavor": flavor}``.
    """
    import pandas as pd

    el.require_anndata(adata)
    v3 = flavor == "seurat_v3"
    if n_top_genes is None and v3:
        raise ValueError("n_top_genes is None, a number was expected with flavor='seurat_v3'; say how many, e.g. 2000")
    if n_top_genes is not None:
        n_top_genes = el.whole(n_top_genes, "n_top_genes")
    x = el.to_csr(el.matrix(adata, layer))
    base = adata.uns.get("log1p", {}).get("base") if not v3 else None
    slices, _ = el.slices_of(adata, batch_key)
    found = _brodmann.highly_variable_genes(
        x,
        slices=slices,
        log_base=None if base is None else float(base),
        flavor=flavor,
        n_top_genes=n_top_genes,
        min_mean=float(min_mean),
        max_mean=float(max_mean),
        min_disp=float(min_disp),
        max_disp=float(max_disp),
        n_bins=el.whole(n_bins, "n_bins"),
        span=float(span),
    )
    columns = {"highly_variable": found["highly_variable"], "means": found["means"]}
    if v3:
        columns["highly_variable_rank"] = found["rank"].astype(np.float32)
        columns["variances"] = found["dispersions"]
        columns["variances_norm"] = found["normalized"]
    else:
        columns["dispersions"] = found["dispersions"]
        columns["dispersions_norm"] = found["normalized"].astype(np.float32)
    if slices is not None:
        columns["highly_variable_nbatches"] = found["n_slices"].astype(np.int64)
        if not v3:
            columns["highly_variable_intersection"] = found["n_slices"] == len(np.unique(slices))
    if not inplace:
        table = pd.DataFrame(columns, index=adata.var_names)
        return table[table["highly_variable"]] if subset else table
    el.writable(adata)
    adata.uns["hvg"] = {"flavor": flavor}
    for key, values in columns.items():
        adata.var[key] = values
    if subset:
        adata._inplace_subset_var(columns["highly_variable"])
    return None


def scale(
    adata: AnnData,
    *,
    zero_center: bool = True,
    max_value: float | None = None,
    layer: str | None = None,
    copy: bool = False,
) -> AnnData | None:
    """Scale each variable to unit variance.

    Centring a sparse matrix fills it. :func:`pca` with ``scale=True`` gives the components of the scaled matrix
    without writing it out.

    Parameters
    ----------
    adata
        Usually log-normalised.
    zero_center
        Subtract the mean first. ``False`` keeps zeros zero and the matrix sparse.
    max_value
        Clip at this many standard deviations: both sides when centred, above only otherwise.
    layer
        Layer instead of ``X``.
    copy
        Return a changed copy.

    Returns
    -------
    ``None`` or the copy. Written:

    ``X`` or ``layers[layer]``
        ``(n_obs, n_vars)``, float32 (float64 where it was); dense when centred, else the format it had.
    ``var["mean"]``, ``var["std"]``
        ``(n_vars,)`` float64; the standard deviation (ddof 1) of constant variables is 1.
    """
    el.require_anndata(adata)
    el.require(max_value is None or max_value > 0, f"max_value is {max_value}", "a positive number")
    x = el.matrix(adata, layer, writes=True)
    rows = el.to_csr(x)
    mean, sd = _brodmann.column_mean_sd(rows)
    adata = el.copied(adata, copy)
    if zero_center:
        made = _brodmann.scale_to_dense(rows, mean, sd, max_value=max_value)
    else:
        made = el.csr_like(_brodmann.scale_sparse(rows, mean, sd, max_value=max_value), x)
    if x.dtype == np.float64:
        made = made.astype(np.float64)
    el.set_matrix(adata, layer, made)
    adata.var["mean"] = mean
    adata.var["std"] = sd
    return adata if copy else None


def pca(
    adata: AnnData,
    *,
    n_comps: int | None = None,
    layer: str | None = None,
    mask_var: np.ndarray | str | None | Literal["auto"] = "auto",
    scale: bool = False,
    max_value: float | None = 10.0,
    random_state: int = 0,
    key_added: str | None = None,
    copy: bool = False,
) -> AnnData | None:
    """Principal components of the centred (and scaled) matrix, which stays sparse.

    Up to 5000 observations or variables the components are exact to rounding, above they are iterated to a residual
    of 1e-6.

    Parameters
    ----------
    adata
        Usually log-normalised.
    n_comps
        Components; 50 by default, or one less than the smaller side of the matrix.
    layer
        Layer instead of ``X``.
    mask_var
        Variables to use: a boolean array or a column of ``var``. By default ``var["highly_variable"]`` where it is
        there; ``None``: all.
    scale
        Of the matrix scaled to unit variance and clipped at ``max_value``, which is never written out: as
        :func:`scale` followed by :func:`pca`, without its memory.
    max_value
        Clip at this many standard deviations; with ``scale``.
    random_state
        Seed of the iteration.
    key_added
        Names of the results, see below.
    copy
        Return a changed copy.

    Returns
    -------
    ``None`` or the copy. Written (with ``key_added``: all under that name):

    ``obsm["X_pca"]``
        ``(n_obs, n_comps)`` float32.
    ``varm["PCs"]``
        ``(n_vars, n_comps)`` float64; 0 for variables not used.
    ``uns["pca"]``
        ``variance`` and ``variance_ratio``, ``(n_comps,)`` float64; ``params``.
    """
    el.require_anndata(adata)
    x = el.matrix(adata, layer)
    seed = el.seed_of(random_state)
    mask, mask_name = _mask(adata, mask_var)
    smallest = min(x.shape[0], x.shape[1] if mask is None else int(mask.sum()))
    el.require(smallest > 0, "no variable is selected", "at least one", "choose another mask_var")
    if n_comps is None:
        n_comps = 50 if smallest > 50 else max(smallest - 1, 1)
    n_comps = el.whole(n_comps, "n_comps")
    el.require(n_comps <= smallest, f"n_comps is {n_comps}", f"at most {smallest} (the smaller side of the matrix)")
    found = _brodmann.pca(
        el.to_csr(x),
        mask=mask,
        n_components=n_comps,
        scale=bool(scale),
        max_value=max_value,
        random_state=seed,
    )
    if not found["converged"]:
        warnings.warn("the last principal components are approximate", UserWarning, stacklevel=2)
    components = found["components"]
    if mask is not None:
        padded = np.zeros((x.shape[1], components.shape[1]), dtype=components.dtype)
        padded[mask] = components
        components = padded
    adata = el.copied(adata, copy)
    obsm_key, varm_key, uns_key = ("X_pca", "PCs", "pca") if key_added is None else (key_added,) * 3
    adata.obsm[obsm_key] = found["scores"].astype(np.float32)
    adata.varm[varm_key] = components
    params = {
        "zero_center": True,
        "use_highly_variable": mask_name == "highly_variable",
        "mask_var": mask_name,
        "layer": layer,
        "scale": bool(scale),
        "max_value": max_value if scale else None,
        "random_state": seed,
    }
    adata.uns[uns_key] = {
        "params": el.recorded(params),
        "variance": found["variance"],
        "variance_ratio": found["variance_ratio"],
    }
    return adata if copy else None


def harmony(
    data: AnnData | MuData,
    key: str | Sequence[str],
    *,
    basis: str = "X_pca",
    adjusted_basis: str | None = None,
    nclust: int | None = None,
    theta: float = 2.0,
    lamb: float = 1.0,
    sigma: float = 0.1,
    block_size: float = 0.05,
    max_iter_harmony: int = 10,
    max_iter_kmeans: int = 20,
    epsilon_cluster: float = 1e-5,
    epsilon_harmony: float = 1e-4,
    random_state: int = 0,
    copy: bool = False,
) -> AnnData | MuData | None:
    """Takes out of an embedding what tells batches apart (Harmony).

    Soft clusters in which every batch has its share, and in each of them a regression of the embedding on the batch,
    whose part is taken away; the names are those of ``scanpy.external.pp.harmony_integrate`` and harmonypy. It costs a
    little where nothing needs correcting: compare :func:`brodmann.metrics.lisi` before and after.

    Parameters
    ----------
    data
        With the embedding in ``data.obsm[basis]``.
    key
        Column of ``obs`` that names the batch (slice, donor), or several columns.
    basis
        Key of the embedding in ``obsm``.
    adjusted_basis
        Key of the result; ``basis`` and ``"_harmony"`` by default.
    nclust
        Soft clusters; one per 30 observations, at most 100, by default.
    theta
        How much clusters of one batch are discouraged; 0: not at all.
    lamb
        Ridge of the regression.
    sigma
        How soft the clusters are.
    block_size
        Share of the observations assigned anew at a time.
    max_iter_harmony, max_iter_kmeans
        Rounds, and passes in a round, at most.
    epsilon_cluster, epsilon_harmony
        A round, and all of it, ends when the objective falls by less than this share.
    random_state
        Seed. The same seed gives the same result on any number of threads.
    copy
        Return a changed copy.

    Returns
    -------
    ``None`` or the copy. Written are

    ``obsm[adjusted_basis]``
        ``(n_obs, n_dims)`` float32.
    ``uns[adjusted_basis]``
        ``params``, ``objective`` (at the start and after each round), ``converged``.

    Raises
    ------
    KeyError
        Without the embedding or the columns.
    ValueError
        For NaN or infinite values, observations without a batch, and options out of range.

    References
    ----------
    Korsunsky et al. (2019), Nature Methods 16:1289.

    Examples
    --------
    >>> bm.pp.pca(adata)
    >>> bm.pp.harmony(adata, "library_id")
    >>> bm.pp.neighbors(adata, use_rep="X_pca_harmony")
    """
    el.require_container(data)
    x = el.obsm(data, basis, advice="run bm.pp.pca first, or name another key with basis")
    columns = [key] if isinstance(key, str) else list(key)
    levels = [np.asarray(el.slices_of(data, column)[0], dtype=np.uint32).tolist() for column in columns]
    adjusted_basis = adjusted_basis or f"{basis}_harmony"
    params = {
        "theta": float(theta),
        "lamb": float(lamb),
        "sigma": float(sigma),
        "block_size": float(block_size),
        "max_iterations": el.whole(max_iter_harmony, "max_iter_harmony"),
        "max_passes": el.whole(max_iter_kmeans, "max_iter_kmeans"),
        "tolerance_passes": float(epsilon_cluster),
        "tolerance": float(epsilon_harmony),
        "random_state": el.seed_of(random_state),
    }
    clusters = None if nclust is None else el.whole(nclust, "nclust")
    if clusters is not None:
        el.require(0 < clusters <= len(x), f"nclust is {clusters}", f"1 to {len(x)}, the observations")
    for name, rounds in [("max_iter_harmony", params["max_iterations"]), ("max_iter_kmeans", params["max_passes"])]:
        el.require(rounds > 0, f"{name} is {rounds}", "at least 1")
    for name, share in [("epsilon_cluster", epsilon_cluster), ("epsilon_harmony", epsilon_harmony)]:
        el.require(0 <= share < math.inf, f"{name} is {share}", "a number of 0 or more")
    embedding, objective, converged = _brodmann.harmony(x, levels, n_clusters=clusters, **params)
    target = el.copied(data, copy)
    target.obsm[adjusted_basis] = embedding.astype(np.float32)
    target.uns[adjusted_basis] = {
        "params": el.recorded({"key": columns, "basis": basis, "nclust": clusters, **params}),
        "objective": np.asarray(objective),
        "converged": converged,
    }
    return target if copy else None


def _mask(adata: AnnData, mask_var: Any) -> tuple[np.ndarray | None, str | None]:
    """The variables to use, and the name of the column that says so."""
    if mask_var is None:
        return None, None
    if isinstance(mask_var, str):
        if mask_var == "auto" and "auto" not in adata.var:
            if "highly_variable" not in adata.var:
                return None, None
            mask_var = "highly_variable"
        if mask_var not in adata.var:
            raise el.missing("var", mask_var, adata.var.columns, "run bm.pp.highly_variable_genes first")
        values, name = np.asarray(adata.var[mask_var]), mask_var
    else:
        values, name = np.asarray(mask_var), None
    if values.dtype != bool or values.shape != (adata.n_vars,):
        raise ValueError(
            f"mask_var has shape {values.shape} and dtype {values.dtype}, ({adata.n_vars},) and bool were expected; "
            "pass one truth value per variable"
        )
    return values, name


def clr(adata: AnnData, *, layer: str | None = None, copy: bool = False) -> AnnData | None:
    """Centred log-ratio of protein counts, per observation.

    ``log1p(x / exp(mean(log1p(x))))``, the mean taken over all features of the observation. Zeros stay zero.

    Parameters
    ----------
    adata
        Counts of 0 or more.
    layer
        Layer instead of ``X``.
    copy
        Return a changed copy.

    Returns
    -------
    ``None`` or the copy. Written:

    ``X`` or ``layers[layer]``
        ``(n_obs, n_vars)``, float32 (float64 where it was), the format it had.
    """
    el.require_anndata(adata)
    x = el.matrix(adata, layer, writes=True)
    made = el.csr_like(_brodmann.clr(el.to_csr(x)), x)
    if x.dtype == np.float64:
        made = made.astype(np.float64)
    adata = el.copied(adata, copy)
    el.set_matrix(adata, layer, made)
    return adata if copy else None


def tfidf_lsi(
    adata: AnnData,
    *,
    n_comps: int = 50,
    min_fraction: float = 0.005,
    scale_factor: float = 1e4,
    layer: str | None = None,
    random_state: int = 0,
    key_added: str | None = None,
    copy: bool = False,
) -> AnnData | None:
    """TF-IDF and latent semantic indexing of chromatin peaks.

    The first component, which follows the depth of observations, is left out.

    Parameters
    ----------
    adata
        Peak counts of 0 or more; every value above 0 counts as open.
    n_comps
        Dimensions of the result, fewer where the matrix has fewer.
    min_fraction
        Share of observations in which a peak must be open to be used.
    scale_factor
        What rows are multiplied by before the logarithm.
    layer
        Layer instead of ``X``.
    random_state
        Seed of the iteration.
    key_added
        Names of the results, see below.
    copy
        Return a changed copy.

    Returns
    -------
    ``None`` or the copy. Written (with ``key_added``: all under that name):

    ``obsm["X_lsi"]``
        ``(n_obs, n_comps)`` float32: singular vectors times singular values.
    ``varm["LSI"]``
        ``(n_vars, n_comps)`` float32; 0 for peaks not used.
    ``uns["lsi"]``
        ``stdev``, ``(n_comps,)`` float64, the singular values over ``sqrt(n_obs - 1)``; ``params``.
    """
    el.require_anndata(adata)
    x = el.matrix(adata, layer)
    seed = el.seed_of(random_state)
    n_comps = el.whole(n_comps, "n_comps")
    found = _brodmann.tfidf_lsi(
        el.to_csr(x),
        n_components=n_comps,
        min_fraction=float(min_fraction),
        scale_factor=float(scale_factor),
        random_state=seed,
    )
    if not found["converged"]:
        warnings.warn("the last components are approximate", UserWarning, stacklevel=2)
    loadings = np.zeros((x.shape[1], found["components"].shape[1]), dtype=np.float32)
    loadings[found["keep"]] = found["components"]
    adata = el.copied(adata, copy)
    obsm_key, varm_key, uns_key = ("X_lsi", "LSI", "lsi") if key_added is None else (key_added,) * 3
    adata.obsm[obsm_key] = found["scores"].astype(np.float32)
    adata.varm[varm_key] = loadings
    params = {
        "n_comps": n_comps,
        "min_fraction": float(min_fraction),
        "scale_factor": float(scale_factor),
        "layer": layer,
        "random_state": seed,
    }
    adata.uns[uns_key] = {
        "params": el.recorded(params),
        "stdev": found["singular_values"][1:] / math.sqrt(max(x.shape[0] - 1, 1)),
    }
    return adata if copy else None


def neighbors(
    adata: AnnData,
    *,
    n_neighbors: int = 15,
    n_pcs: int | None = None,
    use_rep: str | None = None,
    random_state: int = 0,
    key_added: str | None = None,
    copy: bool = False,
) -> AnnData | None:
    """Nearest neighbours in feature space, weighted as in UMAP.

    Euclidean distances; exact up to 100 000 observations, above approximate with at least 95 % of the true
    neighbours found (measured).

    Parameters
    ----------
    adata
        With an embedding in ``obsm``.
    n_neighbors
        Neighbours per observation, itself counted.
    n_pcs
        Use this many columns of the embedding; 0: ``X`` itself.
    use_rep
        Key of ``obsm``, or ``"X"``. By default ``X_pca``, or ``X`` with at most 50 variables.
    random_state
        Seed of the approximate search.
    key_added
        Names of the results, see below.
    copy
        Return a changed copy.

    Returns
    -------
    ``None`` or the copy. Written (with ``key_added``: ``uns[key_added]``, ``obsp[f"{key_added}_connectivities"]``
    and ``obsp[f"{key_added}_distances"]``):

    ``obsp["connectivities"]``
        ``(n_obs, n_obs)`` CSR float32, symmetric weights in (0, 1].
    ``obsp["distances"]``
        ``(n_obs, n_obs)`` CSR float64, row i holds the distances to i's neighbours.
    ``uns["neighbors"]``
        ``connectivities_key``, ``distances_key``, ``params``.
    """
    el.require_anndata(adata)
    n_neighbors = el.whole(n_neighbors, "n_neighbors", least=2)
    seed = el.seed_of(random_state)
    embedding = _embedding(adata, use_rep, n_pcs)
    found = _brodmann.neighbors(embedding, n_neighbors=n_neighbors, random_state=seed)
    el.warn_notes(found["notes"])
    adata = el.copied(adata, copy)
    prefix = "" if key_added is None else f"{key_added}_"
    keys = {"connectivities_key": f"{prefix}connectivities", "distances_key": f"{prefix}distances"}
    adata.obsp[keys["distances_key"]] = el.csr(found["distances"])
    adata.obsp[keys["connectivities_key"]] = el.csr(found["connectivities"], dtype=np.float32)
    params = {
        "n_neighbors": found["n_neighbors"],
        "method": "umap",
        "random_state": seed,
        "metric": "euclidean",
        "use_rep": use_rep,
        "n_pcs": n_pcs,
        "recall": found["recall"],
    }
    adata.uns["neighbors" if key_added is None else key_added] = {**keys, "params": el.recorded(params)}
    return adata if copy else None


def _embedding(adata: AnnData, use_rep: str | None, n_pcs: int | None) -> np.ndarray:
    advice = "run bm.pp.pca first, or name another with use_rep="
    if n_pcs is not None:
        n_pcs = el.whole(n_pcs, "n_pcs", least=0)
    if use_rep is None:
        small = "X_pca" not in adata.obsm and adata.n_vars <= 50
        use_rep = "X" if n_pcs == 0 or (small and n_pcs is None) else "X_pca"
    if use_rep == "X":
        x = el.matrix(adata)
        embedding = x.toarray() if sp.issparse(x) else x
    else:
        embedding = el.obsm(adata, use_rep, advice=advice)
    if n_pcs:
        if embedding.shape[1] < n_pcs:
            raise ValueError(
                f"{use_rep} has {embedding.shape[1]} columns, at least n_pcs = {n_pcs} were expected; "
                "compute more components or lower n_pcs"
            )
        embedding = embedding[:, :n_pcs]
    if embedding.shape[0] == 0:
        raise ValueError("adata has no observation, at least one was expected; check what was filtered out")
    return embedding
