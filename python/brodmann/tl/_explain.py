"""Which genes tell a domain from the rest, and which known sets of genes are behind them?"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal, Union

from ._said import said

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData
    from mudata import MuData

    from ..gr import SpatialKind

    Path = Union[str, os.PathLike[str]]


def markers(
    data: AnnData | MuData,
    *,
    groupby: str | None = None,
    reference: str = "rest",
    test: Literal["wilcoxon", "welch", "overestimated-variance"] = "wilcoxon",
    tie_correct: bool = False,
    preset: Literal["staig", "spami"] | None = None,
    log2_fold_change: float = 0.25,
    both_directions: bool = False,
    p_value: float = 0.05,
    adjusted: bool = True,
    fraction: float = 0.0,
    slice_share: float = 0.5,
    min_spots_per_slice: int = 10,
    slice_log2_fold_change: float = 0.25,
    layer: Mapping[str, str] | str | None = None,
    normalized: bool = False,
    target_sum: float | None = None,
    n_hops: int = 1,
    spatial: SpatialKind | None = None,
    n_spatial: int | None = None,
    radius: float | None = None,
    spatial_key: str = "spatial",
    library_key: str | None = None,
    key_added: str = "rank_genes_groups",
) -> pd.DataFrame:
    """Finds the genes, proteins or peaks that tell each group of spots from a reference. As ``brodmann markers``.

    Parameters
    ----------
    data
        AnnData or MuData. Of a MuData every modality is looked at.
    groupby
        Column of ``obs`` with the groups; by default ``"domains"``, or what another method left.
    reference
        ``"rest"``: all spots of other groups; ``"neighbors"``: those of them that lie around the group, up to ``n_hops``
        edges away; or the name of a group.
    test
        Wilcoxon's rank-sum test, Welch's t-test, or the latter with the reference taken to be as small as the group.
    tie_correct
        Heed ties in the variance of rank sums.
    preset
        Thresholds of a paper, over which the others are laid.
    log2_fold_change, both_directions, p_value, adjusted, fraction
        What is called a marker: a log2 fold change above this (or below its negative with ``both_directions``), an
        (adjusted) p-value below this, in at least this share of the group's spots.
    slice_share, min_spots_per_slice, slice_log2_fold_change
        With ``library_key``: it holds (has a change of the same sign, beyond this) in more than this share of the slices
        that have so many spots of the group.
    layer
        Layer of the values, for a MuData by modality. By default ``"log_normalized"`` where it is there, else ``X``.
        Counts are scaled to ``target_sum`` (10,000) and taken the logarithm of; proteins are taken as centred log-ratios.
    normalized
        Values are logarithms already, whatever they look like.
    n_hops, spatial, n_spatial, radius
        With ``reference="neighbors"``: how far away a neighbour may be, and the graph, if not that of ``obsp``.
    spatial_key, library_key
        Coordinates in ``obsm``, and the column of ``obs`` that names the slice.
    key_added
        Name of the result.

    Returns
    -------
    One row per group and feature (and modality), by falling score: ``group``, ``feature``, ``name`` (where the index
    has identifiers), ``marker``, ``score``, ``log2_fold_change``, ``p_value``, ``log10_p_value``, ``p_adjusted``,
    ``mean``, ``mean_reference``, ``fraction``, ``fraction_reference``, ``auc``; of several slices ``p_adjusted_slices``
    (a paired t-test over slices), ``slices_hold``, ``slices_judged``.

    Written is ``uns[key_added]`` as scanpy keeps it: ``sc.get.rank_genes_groups_df`` and ``sc.pl.rank_genes_groups``
    read it. Of a MuData it stands in each modality.

    Raises
    ------
    KeyError
        Without the column, layer or coordinates that were named.
    ValueError
        For fewer than two groups, values that are not finite, and options out of range.

    Examples
    --------
    >>> table = bm.tl.markers(adata, groupby="domains")
    >>> table[table.marker].groupby("group").head(5)
    """
    from .._explain import explain, labels_of

    groupby = labels_of(data, groupby)
    given = {**said(markers, locals(), leave=["spatial_key", "library_key"]), "groupby": groupby}
    tables, _ = explain(
        data,
        "markers",
        {**given, "spatial_key": spatial_key, "library_key": library_key},
        layer=layer,
        columns=[groupby],
        spatial_key=spatial_key,
        library_key=library_key,
    )
    return tables["markers"]


def enrich(
    data: AnnData | MuData,
    gene_sets: Path | Sequence[Path],
    *,
    groupby: str | None = None,
    method: Literal["ora", "gsea"] = "ora",
    min_size: int = 10,
    max_size: int = 500,
    background: Literal["measured", "in_sets"] = "measured",
    n_permutations: int = 1000,
    score: str | Sequence[str] = (),
    reference: str = "rest",
    test: Literal["wilcoxon", "welch", "overestimated-variance"] = "wilcoxon",
    tie_correct: bool = False,
    preset: Literal["staig", "spami"] | None = None,
    log2_fold_change: float = 0.25,
    p_value: float = 0.05,
    adjusted: bool = True,
    fraction: float = 0.0,
    slice_share: float = 0.5,
    layer: Mapping[str, str] | str | None = None,
    normalized: bool = False,
    target_sum: float | None = None,
    n_hops: int = 1,
    spatial: SpatialKind | None = None,
    n_spatial: int | None = None,
    radius: float | None = None,
    spatial_key: str = "spatial",
    library_key: str | None = None,
    random_state: int = 42,
) -> pd.DataFrame:
    """Finds the known gene sets behind the markers of each group. As ``brodmann enrich``.

    Parameters
    ----------
    data, groupby, reference, test, tie_correct, preset, log2_fold_change, p_value, adjusted, fraction, slice_share
        Markers, as for :func:`markers`.
    gene_sets
        Files of gene sets (GMT, also packed), of MSigDB, Enrichr or GO, say. None is shipped.
    method
        ``"ora"``: does a set hold more markers than chance would give it (one-sided hypergeometric test)? ``"gsea"``: do
        its genes gather at an end of the ranking of all genes (preranked, genes being permuted)?
    min_size, max_size
        Measured genes of a set that is tested.
    background
        ora: what the markers could have been drawn from: all measured genes, or those of them that are in a set.
    n_permutations
        gsea: random sets of each size.
    score
        Sets of which each spot gets a score, as scanpy's ``score_genes``, in ``obs["score_{set}"]``.
    layer, normalized, target_sum, n_hops, spatial, n_spatial, radius, spatial_key, library_key
        As for :func:`markers`.
    random_state
        Seed of the permutations.

    Returns
    -------
    One row per group and tested set, by rising p-value: ``group``, ``set``, ``size`` (measured genes), ``n_genes``
    (markers in it, or genes of the leading edge), ``expected`` and ``fold``, or ``es`` and ``nes``, ``p_value``,
    ``p_adjusted``, ``genes``. The same is written to ``uns["enrichment"]``.

    Raises
    ------
    ValueError
        For files that are not GMT, sets whose genes are not measured, and what :func:`markers` refuses.

    Examples
    --------
    >>> bm.tl.enrich(adata, "h.all.v2024.1.Hs.symbols.gmt", groupby="domains").groupby("group").head(3)
    """
    from .._explain import explain, labels_of

    groupby = labels_of(data, groupby)
    files = [gene_sets] if isinstance(gene_sets, (str, os.PathLike)) else list(gene_sets)
    sets = [score] if isinstance(score, str) else list(score)
    given = {
        **said(enrich, locals(), leave=["spatial_key", "library_key", "score"]),
        "groupby": groupby,
        "gene_sets": [os.fspath(path) for path in files],
        "spatial_key": spatial_key,
        "library_key": library_key,
    }
    if sets:
        given["score"] = sets
    tables, _ = explain(
        data,
        "enrich",
        given,
        layer=layer,
        columns=[groupby],
        spatial_key=spatial_key,
        library_key=library_key,
        random_state=random_state,
    )
    return tables["sets"]
