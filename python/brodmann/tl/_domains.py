"""Domains that several methods agree on."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal

from . import _tissue as tissue
from ._gmm import Family
from ._options import Options, with_options
from ._said import Select, said

if TYPE_CHECKING:
    from anndata import AnnData
    from mudata import MuData

#: A view of the tissue with its clusterer.
Member = Literal["smoothed", "banksy.2", "banksy.8", "hops", "spatialleiden", "image"]


@with_options
def domains(
    data: AnnData | MuData,
    *,
    n_clusters: int | Literal["auto"] | None = None,
    members: Sequence[Member] = ("smoothed", "banksy.2", "hops", "spatialleiden"),
    member_labels: bool = False,
    restarts: int = 3,
    n_init: int = 10,
    gmm_model: Family = "EEE",
    max_clusters: int = 15,
    integrate: Literal["harmony"] | None = None,
    refine: int = 0,
    image: str | os.PathLike[str] | Sequence[str | os.PathLike[str]] | None = None,
    image_scale: float | None = None,
    image_transform: str | os.PathLike[str] | None = None,
    spot_diameter: float | None = None,
    patch_size: float = 3.5,
    encoder: str | os.PathLike[str] = "texture",
    layer: Mapping[str, str] | str | None = None,
    spatial_key: str = "spatial",
    library_key: str | None = None,
    values: Literal["log", "counts"] | None = None,
    normalized: bool = False,
    n_top_genes: int | None = None,
    select: Select | None = None,
    flavor: Literal["seurat_v3", "seurat", "cell_ranger"] | None = None,
    target_sum: float | None = None,
    min_cells: int | None = None,
    keep_off_tissue: bool = False,
    obs: Literal["intersect"] | None = None,
    min_counts: float | None = None,
    min_genes: int | None = None,
    max_mt: float | None = None,
    random_state: int = 42,
    key_added: str = "domains",
    copy: bool = False,
    options: Options | None = None,
) -> AnnData | MuData | None:
    """Finds the domains that several methods agree on, and how sure they are of each spot.

    No single method is right on every tissue. Each member has a view of its own on expression and surroundings; what
    they agree on becomes the map. The same bits as ``brodmann domains``.

    Parameters
    ----------
    data, layer, spatial_key, library_key
        Counts, coordinates and slices, as for :func:`staig`.
    n_clusters
        Number of domains; ``"auto"`` or nothing: the number up to ``max_clusters`` that the members agree on best.
    members
        Who takes part: components of expression averaged over the neighbours (``"smoothed"``), :func:`banksy` with
        λ 0.2 and 0.8 (``"banksy.2"``, ``"banksy.8"``), components beside their means over one to three hops
        (``"hops"``), Leiden of the neighbours in expression and in space (``"spatialleiden"``), features of the picture
        averaged over the neighbours (``"image"``).
    member_labels
        Write each member's labels too, those of its run that agrees best with the other members.
    restarts
        Runs of each member, all of which vote.
    n_init, gmm_model
        Starts and covariances of the members' mixtures.
    integrate
        Of several slices: ``"harmony"`` takes their differences out of each member's components first
        (:func:`brodmann.pp.harmony`).
    refine
        Each spot follows the majority of that many nearest spots.
    image, image_scale, image_transform, spot_diameter, patch_size, encoder
        The slide and what makes features of it, as for :func:`brodmann.im.features`; it makes ``"image"`` a member, and what it changes is reported.
        ``"file"`` is the picture in ``uns["spatial"]``, which the member takes where no slide is named.
    values, normalized, n_top_genes, select, flavor, target_sum, min_cells
        Of the preprocessing, as for :func:`banksy`.
    keep_off_tissue
        Spots with ``obs["in_tissue"]`` 0 take part; otherwise they get no label, as spots without a count get none.
    obs
        Of modalities with different observations: ``"intersect"`` works on those that all have; the others get no label.
    min_counts, min_genes, max_mt
        Spots with fewer counts or genes, or a larger percentage of mitochondrial counts, get no label.
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
    ``obs["{key}_entropy"]`` : float64, shape ``(n_obs,)``
        0 where all members agree, 1 where every domain is as likely.
    ``obs["{key}_unrefined"]`` : categorical, shape ``(n_obs,)``
        With ``refine``: the domains before it.
    ``obsm["{key}_probability"]`` : float32, shape ``(n_obs, n_domains)``
        The members' votes; rows add up to 1.
    ``obs["{key}_{member}"]`` : categorical, shape ``(n_obs,)``
        With ``member_labels``: what each member found.
    ``var["{key}_features"]`` : bool, shape ``(n_vars,)``
        Genes that were used.
    ``uns[key]`` : dict
        ``params``, ``n_clusters``, ``members``, their ``weights`` and ``agreement`` (``(members, members)``: mean
        adjusted Rand index of a run of the one with a run of the other), ``features`` by modality, …; without a number
        ``agreement_by_number`` (``n_clusters``, and their mean ``agreement`` at each).

    Raises
    ------
    KeyError
        Without coordinates, counts or slices that were named.
    ValueError
        For values that are not counts, and options out of range.

    Examples
    --------
    >>> bm.tl.domains(adata, n_clusters=7)
    >>> bm.pl.spatial(adata, color=["domains", "domains_entropy"])
    """
    given = said(domains, locals(), leave=["layer"])
    parts = tissue.asked(
        data,
        given,
        layer=layer,
        spatial_key=spatial_key,
        library_key=library_key,
        key_added=key_added,
        copy=copy,
        pictures=image is not None or "image" in members,
    )
    return tissue.find(data, "domains", parts, given, layer=layer, random_state=random_state, copy=copy)
