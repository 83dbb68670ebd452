"""Which peaks regulate which genes, and in which domain?"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np

from ._said import said

if TYPE_CHECKING:
    import pandas as pd
    from mudata import MuData

#: Embeddings that are looked for where nobody names one, as the command does.
_EMBEDDINGS = ("X_spami", "X_staig", "X_pca_harmony", "X_banksy", "X_smoothed_pca", "X_pca")


def links(
    data: MuData,
    genes: str | os.PathLike[str],
    *,
    window: int = 250_000,
    groupby: str | None = None,
    use_rep: str | None = None,
    n_neighbors: int = 30,
    epsilon: float = 0.1,
    max_iterations: int = 1000,
    n_permutations: int = 200,
    min_matched: float = 0.1,
    spatial_key: str = "spatial",
    library_key: str | None = None,
    random_state: int = 42,
) -> pd.DataFrame:
    """Links peaks with the genes that they regulate, domain by domain. As ``brodmann links``.

    Accessibility is moved to expression by unbalanced optimal transport between cells that are near each other in an
    embedding, from each peak to the genes within reach on the genome; what moves within a domain is the strength there.

    Parameters
    ----------
    data
        MuData of genes and peaks measured in the same cells. Names of peaks say where they lie: ``chr1:10-20``,
        ``chr1-10-20`` or ``chr1_10_20``.
    genes
        Where genes lie: a GTF or GFF3 (GENCODE, Ensembl; packed or not), a BED, or a table with ``gene``, ``chrom``, ``start``,
        ``end`` and ``strand``. Genes are found by symbol or by identifier.
    window
        Bases to both sides of where transcription starts.
    groupby
        Column of ``obs`` with the domains; by default ``"domains"``, or what another method left.
    use_rep
        Key of the embedding in ``obsm``; by default ``"X_spami"``, or what another method left.
    n_neighbors
        Nearest cells in it, the cell itself counted, between which moving has a cost of its own.
    epsilon, max_iterations
        Weight of the entropy, and rounds of the transport at most.
    n_permutations
        Shuffles of the labels that specific links are judged by.
    min_matched
        Share of genes, and of peaks, whose position must be known.
    spatial_key, library_key
        Coordinates in ``obsm``, and the column of ``obs`` that names the slice.
    random_state
        Seed.

    Returns
    -------
    One row per pair: ``gene``, ``peak``, ``chromosome``, ``tss``, ``distance`` (along the direction of transcription),
    ``strength``, correlations (``pearson``, ``spearman``, ``pearson_smoothed``) and for each domain ``strength:D``, ``share:D``
    (of the gene's strongest), ``z:D``
    (exact over all shuffles of the labels), ``p_value:D`` (of the shuffles drawn), ``p_adjusted:D`` (of z) and ``pearson:D``
    (what the cells of the domain contribute to ``pearson``; on simulated regulation the best guide to true links). The same is
    written to ``uns["links"]``.

    Raises
    ------
    ValueError
        For an object without genes or peaks, names without positions, and options out of range.
    KeyError
        Without an embedding or labels that were named.

    Examples
    --------
    >>> bm.tl.spami(mdata, n_clusters=7)
    >>> links = bm.tl.links(mdata, "gencode.vM25.annotation.gtf.gz", groupby="spami")
    """
    from .. import _elements as el
    from .._explain import explain, labels_of

    groupby = labels_of(data, groupby)
    if use_rep is None:
        use_rep = next((key for key in _EMBEDDINGS if key in data.obsm), None)
        if use_rep is None:
            raise ValueError("use_rep is not given; expected the obsm key of an embedding, since no method left any")
    advice = "name another key with use_rep"
    embedding = np.asarray(el.whole_obsm(data, use_rep, advice=advice), dtype=np.float64)
    given = {
        **said(links, locals(), leave=["spatial_key", "library_key"]),
        "genes": os.fspath(genes),
        "groupby": groupby,
        "use_rep": use_rep,
        "spatial_key": spatial_key,
        "library_key": library_key,
    }
    tables, _ = explain(
        data,
        "links",
        given,
        columns=[groupby],
        obsm={use_rep: embedding},
        spatial_key=spatial_key,
        library_key=library_key,
        random_state=random_state,
    )
    return tables["links"]
