"""Folders and files of platforms as AnnData, or MuData where they hold several modalities.

``.h5ad`` and ``.h5mu`` files stay scverse's own: ``anndata.read_h5ad``, ``mudata.read_h5mu``.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, Union

from . import _brodmann

if TYPE_CHECKING:
    from anndata import AnnData
    from mudata import MuData

    Path = Union[str, os.PathLike[str]]

__all__ = ["tables", "tenx_h5", "tenx_mtx", "visium"]


def visium(path: Path, *, library_id: str | None = None) -> AnnData | MuData:
    """Read a Space Ranger folder.

    Parameters
    ----------
    path
        The folder with ``spatial/`` and a feature-barcode matrix (``.h5`` or a folder), or the one above its ``outs/``.
    library_id
        Name of the slice in ``uns["spatial"]``; by default that of the file, else of the folder.

    Returns
    -------
    AnnData with ``X`` (CSR float32 counts), ``var["gene_ids"]``, ``var["feature_types"]``, ``var["genome"]``,
    ``obs["in_tissue"]``, ``obs["array_row"]``, ``obs["array_col"]``, ``obsm["spatial"]`` (``(n_obs, 2)`` float64,
    pixels of the full-resolution picture), ``uns["spatial"][library_id]`` with ``images``, ``scalefactors`` and
    ``metadata``. With antibodies MuData, with the modalities ``rna`` and ``adt``.
    """
    return _made(_brodmann.read_visium(os.fspath(path), library_id=library_id))


def tenx_h5(path: Path, *, genome: str | None = None) -> AnnData | MuData:
    """Read a 10x feature-barcode matrix from HDF5.

    Parameters
    ----------
    path
        The ``.h5`` file.
    genome
        Which genome of an old file that holds several.

    Returns
    -------
    AnnData with ``X`` (CSR float32 counts), ``var["gene_ids"]``, ``var["feature_types"]``, ``var["genome"]``; with
    several kinds of features MuData, with the modalities ``rna``, ``adt`` and ``atac``.
    """
    return _made(_brodmann.read_tenx_h5(os.fspath(path), genome=genome))


def tenx_mtx(path: Path) -> AnnData | MuData:
    """Read a 10x feature-barcode matrix from a folder of text files.

    Parameters
    ----------
    path
        The folder with ``matrix.mtx``, ``barcodes.tsv`` and ``features.tsv`` (or ``genes.tsv``), gzipped or not.

    Returns
    -------
    As :func:`tenx_h5`.
    """
    return _made(_brodmann.read_tenx_mtx(os.fspath(path)))


def tables(
    counts: Path,
    *,
    coordinates: Path | None = None,
    rows: Literal["auto", "spots", "genes"] = "auto",
    coordinate_columns: Sequence[str] | None = None,
) -> AnnData:
    """Read counts and coordinates from text tables (``.csv``, ``.tsv``, gzipped or not) or Parquet.

    Parameters
    ----------
    counts
        One row per spot (or per gene), its name in the first column. Columns that are not numbers go to ``obs``.
    coordinates
        A table of coordinates by spot name; without it the counts table must hold the coordinates.
    rows
        What a row of the counts is. ``"auto"``: a spot, unless the names of the coordinates say otherwise.
    coordinate_columns
        Names of the coordinate columns, where they are not usual ones (``x``, ``y``, ``center_x``, …).

    Returns
    -------
    AnnData with ``X`` (CSR float32), ``obsm["spatial"]`` (``(n_obs, 2 or 3)`` float64); other columns in ``obs``.
    """
    if rows not in ("auto", "spots", "genes"):
        raise ValueError(f"rows is {rows!r}, 'auto', 'spots' or 'genes' was expected; choose one")
    parts = _brodmann.read_table(
        os.fspath(counts),
        coordinates=None if coordinates is None else os.fspath(coordinates),
        orientation=rows,
        coordinate_columns=None if coordinate_columns is None else list(coordinate_columns),
    )
    return _made(parts)


def _made(parts: dict) -> AnnData | MuData:
    from ._containers import to_container

    return to_container(parts)
