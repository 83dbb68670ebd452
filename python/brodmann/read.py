"""Folders and files of platforms as AnnData, or MuData where they hold several modalities.

``bm.read(path)`` reads whatever the command reads, and finds out by looking what it is; the functions below are of one
platform each.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from types import ModuleType
from typing import TYPE_CHECKING, Literal, Union

from . import _brodmann

if TYPE_CHECKING:
    from anndata import AnnData
    from mudata import MuData

    Path = Union[str, os.PathLike[str]]

__all__ = [
    "cosmx",
    "merscope",
    "spatialdata",
    "stereo_seq",
    "tables",
    "tenx_h5",
    "tenx_mtx",
    "visium",
    "visium_hd",
    "xenium",
]


def __dir__() -> list[str]:
    return list(__all__)


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
    ``obs["in_tissue"]``, ``obs["array_row"]``, ``obs["array_col"]``, ``obsm["spatial"]`` (``(n_obs, 2)``,
    pixels of the full-resolution picture), ``uns["spatial"][library_id]`` with ``images``, ``scalefactors`` and
    ``metadata``. With antibodies MuData, with the modalities ``rna`` and ``adt``.
    """
    return _platform(path, "visium", library_id)


def visium_hd(
    path: Path, *, bin: int | Literal["cells"] | None = None, library_id: str | None = None
) -> AnnData | MuData:
    """Read a Visium HD folder (Space Ranger 3 or 4).

    Parameters
    ----------
    path
        The folder with ``binned_outputs/`` or ``segmented_outputs/``, or the one above its ``outs/``.
    bin
        Side of the squares in micrometres, or ``"cells"`` for segmented cells, which lie at the centroids of their
        outlines. By default 8, or what there is.
    library_id
        As :func:`visium`.

    Returns
    -------
    As :func:`visium`; of cells ``obs["cell_area"]`` (square pixels) in place of the array, and
    ``uns["spatial"][library_id]["cell_boundaries"]`` with ``ids``, ``starts`` and ``vertices``.
    """
    return _platform(path, "visium-hd", library_id, None if bin is None else str(bin))


def xenium(path: Path, *, library_id: str | None = None) -> AnnData | MuData:
    """Read a Xenium output bundle.

    Parameters
    ----------
    path
        The folder with ``cell_feature_matrix.h5`` (or its folder) and ``cells.parquet`` or ``cells.csv.gz``.
    library_id
        Name of the slice in ``uns["spatial"]``; by default the region's, else the folder's.

    Returns
    -------
    AnnData with ``X`` (CSR float32 counts; controls are set aside), the columns of the table of cells in ``obs``,
    ``obsm["spatial"]`` (``(n_obs, 2)`` float64, micrometres), and ``uns["spatial"][library_id]`` with ``metadata``
    (``coordinate_unit``, …) and, where the files are there, ``cell_boundaries`` and ``nucleus_boundaries`` (each with
    ``ids``, ``starts``, one more than ids, and ``vertices``).
    """
    return _platform(path, "xenium", library_id)


def cosmx(path: Path, *, library_id: str | None = None) -> AnnData:
    """Read CosMx flat files.

    Parameters
    ----------
    path
        The folder with ``*_exprMat_file.csv`` and ``*_metadata_file.csv``, gzipped or not, of one slide or of several; or
        with ``*_tx_file.csv``, whose molecules are then counted cell by cell.
    library_id
        Name of a single slide in ``uns["spatial"]``; by default what the files' names begin with.

    Returns
    -------
    AnnData of cells named ``<cell>_<fov>`` (cell 0 and controls are set aside), with the columns of the metadata in
    ``obs``, ``obsm["spatial"]`` (``(n_obs, 2)`` float64, global pixels; micrometres where the files have only
    millimetres; ``uns["spatial"][library_id]["metadata"]["coordinate_unit"]`` says which), beside
    ``*-polygons.csv`` with ``cell_boundaries`` as of :func:`xenium`, and of several slides
    ``obs["library_id"]``.
    """
    return _platform(path, "cosmx", library_id)


def merscope(path: Path, *, library_id: str | None = None) -> AnnData:
    """Read MERSCOPE tables.

    Parameters
    ----------
    path
        The folder with ``*cell_by_gene.csv`` and ``*cell_metadata.csv``.
    library_id
        Name of the slice in ``uns["spatial"]``; by default what the files' names begin with, else the folder's.

    Returns
    -------
    AnnData of cells under their identifiers, digit for digit (blanks are set aside), with the columns of the metadata
    in ``obs``, ``obsm["spatial"]`` (``(n_obs, 2)`` float64, micrometres) and, where ``cell_boundaries.parquet`` is there,
    ``uns["spatial"][library_id]["cell_boundaries"]`` as of :func:`xenium`.
    """
    return _platform(path, "merscope", library_id)


def stereo_seq(
    path: Path, *, bin: int | Literal["cells"] | None = None, library_id: str | None = None
) -> AnnData:
    """Read Stereo-seq files.

    Parameters
    ----------
    path
        A ``.gef`` of squares or cells, a ``.gem``, or their folder.
    bin
        Spots of the chip along a square, or ``"cells"``. By default 50, or cells where there are no squares.
    library_id
        Name of the slice in ``uns["spatial"]``; by default the file's.

    Returns
    -------
    AnnData with ``X`` (CSR float32 counts) and ``obsm["spatial"]`` (``(n_obs, 2)`` float64, micrometres).
    """
    return _platform(path, "stereo-seq", library_id, None if bin is None else str(bin))


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


def spatialdata(
    path: Path, *, table_name: str | None = None, coordinate_system: str | None = None
) -> AnnData:
    """Read a table of a SpatialData store.

    Parameters
    ----------
    path
        The ``.zarr`` folder.
    table_name
        Which table, where there are several.
    coordinate_system
        What the coordinates are wanted in; by default ``"global"``, or the only one.

    Returns
    -------
    The table, with ``obsm["spatial"]`` (``(n_obs, 2)`` float64) from the elements that it describes where it has none
    itself, transformed to the coordinate system, and a small version of each picture in ``uns["spatial"]``.
    """
    return _platform(path, "spatialdata", table_name=table_name, coordinate_system=coordinate_system)


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


class _Reader(ModuleType):
    """The module, which can be called."""

    def __call__(
        self,
        path: Path,
        *,
        format: str | None = None,
        library_id: str | None = None,
        bin: int | Literal["cells"] | None = None,
        table_name: str | None = None,
        coordinate_system: str | None = None,
    ) -> AnnData | MuData:
        """Read anything that ``brodmann`` reads.

        Parameters
        ----------
        path
            A ``.h5ad``, ``.h5mu`` or ``.zarr`` of scverse, a SpatialData store, a folder of an instrument, a table.
        format
            What it is, as the command's ``--format``; found out by looking by default.
        library_id, bin, table_name, coordinate_system
            As of :func:`visium`, :func:`visium_hd` and :func:`spatialdata`.

        Returns
        -------
        AnnData, or MuData where it holds several modalities.

        Raises
        ------
        FileNotFoundError
            Without the file or folder.
        OSError
            For what is of no known format, naming what was found and what is known.
        ValueError
            For options that the kind of input does not have.

        Examples
        --------
        >>> adata = bm.read("outs/")
        """
        name = os.fspath(path)
        of_scverse = next((e for e in ("h5ad", "h5mu") if format in (None, e) and name.endswith(f".{e}")), None)
        if of_scverse is not None:
            options = {
                "library_id": library_id,
                "bin": bin,
                "table_name": table_name,
                "coordinate_system": coordinate_system,
            }
            for option, value in options.items():
                if value is not None:
                    raise ValueError(f"{option} is {value!r} for a .{of_scverse}, None was expected; leave it out")
        if of_scverse == "h5ad":
            import anndata

            return anndata.read_h5ad(name)
        if of_scverse == "h5mu":
            from ._containers import require_mudata_package

            return require_mudata_package().read_h5mu(name)
        side = None if bin is None else str(bin)
        return _platform(path, format, library_id, side, table_name, coordinate_system)


sys.modules[__name__].__class__ = _Reader


def _platform(
    path: Path,
    format: str | None,
    library_id: str | None = None,
    bin: str | None = None,
    table_name: str | None = None,
    coordinate_system: str | None = None,
) -> AnnData | MuData:
    parts = _brodmann.read_any(
        os.fspath(path),
        format=format,
        library_id=library_id,
        bin=bin,
        table_name=table_name,
        coordinate_system=coordinate_system,
    )
    return _made(parts)


def _made(parts: dict) -> AnnData | MuData:
    from ._containers import to_container

    return to_container(parts)
