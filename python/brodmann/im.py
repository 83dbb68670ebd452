"""What the slide shows around each spot: features of the picture, patches to look at, and how the spots lie on it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Union

import numpy as np

from . import _brodmann
from . import _elements as el
from ._explain import column_of_labels, explain, labels_of
from .tl import _tissue as tissue
from .tl._said import said

if TYPE_CHECKING:
    import numpy.typing as npt
    from anndata import AnnData
    from mudata import MuData

    Slide = Union[str, os.PathLike[str]]

__all__ = ["features", "overlay", "patches"]


def __dir__() -> list[str]:
    return list(__all__)


def features(
    data: AnnData | MuData,
    *,
    image: Slide | Sequence[Slide] = "file",
    image_scale: float | None = None,
    image_transform: str | os.PathLike[str] | None = None,
    spot_diameter: float | None = None,
    patch_size: float = 3.5,
    encoder: str | os.PathLike[str] = "texture",
    groupby: str | None = None,
    spatial_key: str = "spatial",
    library_key: str | None = None,
) -> dict[str, Any]:
    """Makes features of the picture around each spot. As ``brodmann image-features``.

    Stain densities after colour deconvolution, their spread and gradients, textures at several scales, density and size
    of nuclei: no weights, seconds on a CPU.

    Parameters
    ----------
    data
        AnnData or MuData with coordinates in ``obsm[spatial_key]``.
    image
        The slide: a path (PNG, JPEG, TIFF, OME-TIFF, SVS; read by tile, so a slide of any size), or one per slice in the
        order of the slices; ``"file"``: the picture in ``uns["spatial"]``.
    image_scale
        Pixels of the slide per unit of the coordinates. By default the sizes of the pictures tell, or the pixels' own size;
        else 1.
    image_transform
        A file with the matrix (two or three rows of three numbers) that takes coordinates to pixels of the slide, or
        Xenium's ``*imagealignment.csv``.
    spot_diameter
        Diameter of a spot in units of the coordinates; by default what ``uns["spatial"]`` says, else the distance of two
        spots.
    patch_size
        Side of the patch around a spot, in spot diameters.
    encoder
        What makes features of a patch: ``"texture"``, or the path of features made elsewhere: a table by the names of spots
        (``.csv``, ``.tsv``, ``.parquet``), a ``.npy`` in their order, or a table of tiles as lazyslide and sopa write it
        (``.h5ad``, ``.zarr``, ``STORE.zarr/tables/NAME``), joined by name or by the nearest tile. Networks (``"byol"``,
        ``"resnet50"``) are in the command alone, where it is built with them; what it writes is ``obsm["X_image"]``.
    groupby
        Column of ``obs`` whose groups are described; by default ``"domains"``, or what another method left.
    spatial_key, library_key
        Coordinates in ``obsm``, and the column of ``obs`` that names the slice.

    Returns
    -------
    How the spots lie on each slide (``slides``: pixels, share of spots on background and outside, what looks wrong) and,
    of the groups, what they look like (``looks``). Written are

    ``obsm["X_image"]`` : float32, shape ``(n_obs, n_features)``
        Features of mean 0 and variance 1 in each slice: for clustering, and for ``staig(image_key="X_image")``.
    ``obsm["image_features"]`` : pandas.DataFrame, shape ``(n_obs, n_features)``
        The same as measured, by name.
    ``obs["on_background"]`` : bool, shape ``(n_obs,)``
        Spots with no tissue below them.
    ``uns["image_features"]`` : dict
        ``names``, ``descriptions``, ``encoder``, ``params``.

    Raises
    ------
    ValueError
        Without a picture, with spots that lie outside of it, and for options out of range.
    OSError
        For a slide that cannot be read.

    Examples
    --------
    >>> bm.im.features(adata)
    >>> bm.pl.spatial(adata, color="image_features:nuclear_density")
    """
    given = said(features, locals(), leave=["spatial_key", "library_key"])
    given.update(_place(spatial_key, library_key))
    columns = _groups(data, groupby)
    given["groupby"] = columns[0] if columns else None
    _, report = explain(
        data,
        "image-features",
        given,
        columns=columns,
        spatial_key=spatial_key,
        library_key=library_key,
        values=False,
        pictures=True,
    )
    return report


def patches(
    data: AnnData | MuData,
    spots: Sequence[str],
    *,
    size: int = 224,
    image: Slide | Sequence[Slide] = "file",
    image_scale: float | None = None,
    image_transform: str | os.PathLike[str] | None = None,
    spot_diameter: float | None = None,
    patch_size: float = 3.5,
    spatial_key: str = "spatial",
    library_key: str | None = None,
) -> npt.NDArray[np.uint8]:
    """The picture around some spots.

    Parameters
    ----------
    data, image, image_scale, image_transform, spot_diameter, patch_size, spatial_key, library_key
        As for :func:`features`.
    spots
        Names of observations.
    size
        Side of what is returned, in pixels.

    Returns
    -------
    RGB, shape ``(len(spots), size, size, 3)``; mirrored where a patch reaches beyond the picture.

    Raises
    ------
    KeyError
        For a spot that is not in ``data``.
    ValueError
        As for :func:`features`.

    Examples
    --------
    >>> bm.im.patches(adata, adata.obs_names[:16]).shape
    (16, 224, 224, 3)
    """
    given = said(patches, locals(), leave=["size", "spatial_key", "library_key"])
    given.update(_place(spatial_key, library_key))
    place = {str(name): row for row, name in enumerate(data.obs_names)}
    unknown = [name for name in spots if str(name) not in place]
    if unknown:
        raise KeyError(f"spots names {unknown[0]!r}, which is no observation; expected names of data.obs_names")
    rows = [place[str(name)] for name in spots]
    parts = _parts(data, spatial_key, library_key)
    return _brodmann.image_patches(parts, given, rows, el.whole(size, "size"))


def overlay(
    data: AnnData | MuData,
    out: str | os.PathLike[str],
    *,
    image: Slide | Sequence[Slide] = "file",
    image_scale: float | None = None,
    image_transform: str | os.PathLike[str] | None = None,
    spot_diameter: float | None = None,
    patch_size: float = 3.5,
    groupby: str | None = None,
    n_top: int = 5,
    spatial_key: str = "spatial",
    library_key: str | None = None,
) -> Path:
    """Draws the spots over their slide, those on background in another colour, and maps of some features.

    Parameters
    ----------
    data, image, image_scale, image_transform, spot_diameter, patch_size, groupby, spatial_key, library_key
        As for :func:`features`.
    out
        Where the picture goes: ``.png``, ``.svg`` or ``.pdf``.
    n_top
        Features that are drawn: those that differ most between the groups.

    Returns
    -------
    The path.

    Raises
    ------
    ValueError
        As for :func:`features`, and for another ending.

    Examples
    --------
    >>> bm.im.overlay(adata, "overlay.png")
    """
    path = Path(out)
    ending = path.suffix.lower()
    if ending not in (".png", ".svg", ".pdf"):
        raise ValueError(f"out is {str(path)!r}, a path that ends in .png, .svg or .pdf was expected; rename it")
    given = said(overlay, locals(), leave=["spatial_key", "library_key"])
    given.update(_place(spatial_key, library_key))
    columns = _groups(data, groupby)
    given["groupby"] = columns[0] if columns else None
    parts = _parts(data, spatial_key, library_key)
    parts["obs"] += [column_of_labels(data, key) for key in columns if key != library_key]
    path.write_bytes(_brodmann.image_overlay(parts, given, ending))
    return path


def _place(spatial_key: str, library_key: str | None) -> dict[str, Any]:
    return {"spatial_key": spatial_key, "library_key": library_key}


def _parts(data: AnnData | MuData, spatial_key: str, library_key: str | None) -> dict[str, Any]:
    el.require_container(data)
    return tissue.parts(
        data,
        layers={},
        use_rep={},
        spatial_key=spatial_key,
        library_key=library_key,
        counts=False,
        pictures=True,
    )


def _groups(data: AnnData | MuData, groupby: str | None) -> list[str]:
    """The column of the groups, where there is one."""
    try:
        return [labels_of(data, groupby)]
    except ValueError:
        return []
