"""What was found in a tissue, as one file that people forward."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Union

from . import _brodmann
from . import _elements as el
from .tl._said import said

if TYPE_CHECKING:
    from anndata import AnnData
    from mudata import MuData

    Place = Union[str, os.PathLike[str]]


def report(
    data: AnnData | MuData | Place | Sequence[Place],
    out: Place,
    *,
    groupby: str | None = None,
    truth: str | None = None,
    title: str | None = None,
    genes: Sequence[str] = (),
    n_markers: int = 25,
    n_maps: int = 5,
    gene_sets: Place | Sequence[Place] = (),
    no_image: bool = False,
    image: Place | Sequence[Place] | None = None,
    image_scale: float | None = None,
    image_transform: Place | None = None,
    spot_diameter: float | None = None,
    patch_size: float = 3.5,
    layer: str | None = None,
    normalized: bool = False,
    target_sum: float | None = None,
    spatial: str | None = None,
    n_spatial: int | None = None,
    radius: float | None = None,
    spatial_key: str = "spatial",
    library_key: str | None = None,
    random_state: int = 42,
) -> Path:
    """Writes a report as one HTML file without any network. As ``brodmann report``.

    Maps of the tissue over its picture, coloured by domains, members, uncertainty, measures or genes; for each domain its
    markers, gene sets, neighbours and shape; how it was made. With ``image`` a slide lies beneath the maps, and each domain
    shows patches of it. Several slices stand side by side in linked colours.

    Parameters
    ----------
    data
        AnnData or MuData with domains, a file, or several files: a slice each, whose domains mean the same.
    out
        The report: ``.html``; it is replaced.
    groupby
        Column of ``obs`` with the domains; by default ``"domains"``, or what another method left.
    truth
        Column of the known domains, to compare with; ``"ground_truth"`` where it is there.
    title
        Title of the page.
    genes
        Features that maps can be coloured by, besides the first ``n_maps`` markers of each domain.
    n_markers, n_maps
        Markers in the table of each domain, and of them those that maps can be coloured by.
    gene_sets
        Files of gene sets (GMT) to look for behind the markers.
    no_image
        Leave out the histology picture.
    image, image_scale, image_transform, spot_diameter, patch_size
        The slide, or one per slice, and how the spots lie on it, as for :func:`brodmann.im.features`; ``"file"`` is the
        picture that the file keeps.
    layer, normalized, target_sum
        The values, as for :func:`brodmann.tl.markers`.
    spatial, n_spatial, radius
        The spatial graph, if not that of ``obsp``.
    spatial_key, library_key
        Coordinates in ``obsm``, and the column of ``obs`` that names the slice.
    random_state
        Seed.

    Returns
    -------
    The path of the report.

    Raises
    ------
    KeyError
        Without the columns, layer or coordinates that were named.
    ValueError
        For fewer than two domains, and options out of range.

    Examples
    --------
    >>> bm.report(adata, "report.html", genes=["MBP", "PCP4"])
    """
    given = said(report, locals(), leave=["genes", "gene_sets"])
    if genes:
        given["genes"] = [genes] if isinstance(genes, str) else list(genes)
    if isinstance(gene_sets, (str, os.PathLike)) or gene_sets:
        files = [gene_sets] if isinstance(gene_sets, (str, os.PathLike)) else list(gene_sets)
        given["gene_sets"] = [os.fspath(path) for path in files]
    seed = el.seed_of(random_state)
    if isinstance(data, (str, os.PathLike)):
        return _written([os.fspath(data)], out, given, seed)
    if isinstance(data, Sequence):
        return _written([os.fspath(path) for path in data], out, given, seed)
    el.require_container(data)
    given.setdefault("title", "Tissue")
    # The page shows whatever columns and records there are: they go the way that files go.
    with tempfile.TemporaryDirectory(prefix="brodmann-report-") as folder:
        path = Path(folder) / ("tissue.h5mu" if el.is_mudata(data) else "tissue.h5ad")
        data.write(path)
        return _written([os.fspath(path)], out, given, seed)


def _written(paths: list[str], out: Any, given: dict[str, Any], seed: int) -> Path:
    _brodmann.report(paths, os.fspath(out), given, random_state=seed)
    return Path(out)
