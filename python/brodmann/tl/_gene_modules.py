"""Which genes rise and fall together, and where in the tissue?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal, NamedTuple

from ._said import said

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData
    from mudata import MuData

    from ..gr import SpatialKind


class GeneModules(NamedTuple):
    """Genes in modules, and the modules."""

    #: One row per gene in a module: ``module``, ``rank``, ``feature``, ``name`` (where the index has identifiers),
    #: ``kme`` (correlation with the eigengene), ``connectivity``.
    genes: pd.DataFrame
    #: One row per module, the largest first: ``module``, ``n_genes``, ``variance_explained``, ``I`` (Moran's, where there
    #: are coordinates) and its ``p_adjusted``, ``hubs``.
    modules: pd.DataFrame


def gene_modules(
    data: AnnData | MuData,
    *,
    min_cells: int = 10,
    network: Literal["unsigned", "signed"] = "unsigned",
    power: float | None = None,
    scale_free_fit: float = 0.85,
    min_module_size: int = 20,
    deep_split: int = 2,
    merge_height: float = 0.15,
    min_membership: float = 0.3,
    max_block_size: int = 5000,
    n_top: int = 10,
    modality: str | None = None,
    layer: Mapping[str, str] | str | None = None,
    normalized: bool = False,
    target_sum: float | None = None,
    spatial: SpatialKind | None = None,
    n_spatial: int | None = None,
    radius: float | None = None,
    spatial_key: str = "spatial",
    library_key: str | None = None,
    random_state: int = 42,
) -> GeneModules:
    """Finds modules of genes that rise and fall together over the spots (WGCNA). As ``brodmann gene-modules``.

    A network of genes by their correlation within slices, to the smallest power that makes it scale-free; its topological
    overlap; branches of the tree of that, each cut at a height of its own. Modules with nearly the same eigengene become one.

    Parameters
    ----------
    data
        AnnData or MuData.
    modality
        Which modality of a MuData; by default ``"rna"``, or the only one.
    min_cells
        Genes seen in fewer spots are left out.
    network
        Whether a negative correlation counts as much as a positive one, or as none.
    power
        Power of the correlations; by default the smallest of 1 to 20 whose network is scale-free to ``scale_free_fit``, and 6
        (12 of a signed network) where none is.
    min_module_size, deep_split, merge_height, min_membership
        Genes of the smallest module; how readily a branch is split (0 to 4); modules whose eigengenes are correlated more
        closely than 1 minus the height become one; genes correlated less with that of their module leave it.
    max_block_size
        Genes whose network is held at a time (.8 GB for 5000); more are taken in blocks of like ones.
    n_top
        Hub genes that the table of modules names.
    layer, normalized, target_sum
        The values, as for :func:`markers`.
    spatial, n_spatial, radius
        The graph of Moran's I, as for :func:`brodmann.gr.neighborhood_enrichment`.
    spatial_key, library_key
        Coordinates in ``obsm``, if there are any, and the column of ``obs`` that names the slice.
    random_state
        Seed of the principal components behind blocks and eigengenes, and of the sample of genes that the power is chosen
        on where there are more than a block holds.

    Returns
    -------
    :class:`GeneModules`. Written are ``var["gene_modules"]`` (1 is the largest, 0 no module), ``var["gene_modules_kme"]``,
    ``var["gene_modules_connectivity"]``, ``obsm["X_gene_modules"]`` (n_obs × n_modules: eigengenes, of mean 0 in each slice and
    length 1) and ``uns["gene_modules"]``; of a MuData in the modality.

    Raises
    ------
    KeyError
        Without the layer that was named.
    ValueError
        For values that are not finite, fewer than two genes, and options out of range.

    Warns
    -----
    UserWarning
        Where no module is found, and where some do not vary in space: their genes may be together by chance.

    Notes
    -----
    Zhang & Horvath 2005, Stat Appl Genet Mol Biol 4:17; Langfelder & Horvath 2008, BMC Bioinformatics 9:559.

    Examples
    --------
    >>> found = bm.tl.gene_modules(adata)
    >>> found.modules
    >>> found.genes[found.genes.module == 1].head()
    """
    from .. import _elements as el
    from .._explain import explain

    el.require_container(data)
    modalities = None
    if el.is_mudata(data):
        if modality is not None and modality not in data.mod:
            raise ValueError(f"modality is {modality!r}, one of {el.listed(data.mod)} was expected; correct the name")
        modality = modality or ("rna" if "rna" in data.mod else next(iter(data.mod)) if len(data.mod) == 1 else None)
        if modality is None:
            raise ValueError(f"modality is not given; expected one of {el.listed(data.mod)}, since none is called 'rna'")
        modalities = [modality]
    elif modality is not None:
        raise ValueError(f"modality is {modality!r}, none was expected for an AnnData; leave it out")
    given = {
        **said(gene_modules, locals(), leave=["layer", "spatial_key", "library_key", "modality"]),
        "spatial_key": spatial_key,
        "library_key": library_key,
    }
    tables, _ = explain(
        data,
        "gene-modules",
        given,
        layer=layer,
        modalities=modalities,
        spatial_key=spatial_key,
        library_key=library_key,
        random_state=random_state,
    )
    return GeneModules(tables["genes"], tables["modules"])
