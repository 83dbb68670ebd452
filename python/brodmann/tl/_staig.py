"""STAIG: image-aided domains of one slice, or of many without alignment; and the baseline without a network."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from .. import _elements as el
from . import _tissue as tissue
from ._gmm import Criterion, Family
from ._options import Options, with_options
from ._said import Select, said

if TYPE_CHECKING:
    import numpy.typing as npt
    from anndata import AnnData
    from mudata import MuData

Preset = Literal[
    "default",
    "visium",
    "visium_image",
    "starmap",
    "merfish",
    "slide_seq",
    "stereo_seq",
    "integration",
    "breast_cancer",
]
Cluster = Literal["gmm", "leiden", "kmeans"]
Flavor = Literal["seurat_v3", "seurat", "cell_ranger"]

#: The name image features go by on their way where they come as an array.
_IMAGE = "the array given as image_key"


@with_options
def staig(
    data: AnnData | MuData,
    *,
    n_clusters: int | Literal["auto"] | None = None,
    cluster: Cluster = "gmm",
    gmm_model: Family = "EEE",
    n_init: int = 10,
    select_by: Criterion = "stability",
    max_clusters: int = 15,
    resolution: float = 1.0,
    integrate: Literal["harmony"] | None = None,
    refine: int | None = None,
    restarts: int = 1,
    preset: Preset = "default",
    layer: Mapping[str, str] | str | None = None,
    spatial_key: str = "spatial",
    library_key: str | None = None,
    image_key: str | npt.NDArray[Any] | None = None,
    image: str | os.PathLike[str] | Sequence[str | os.PathLike[str]] | None = None,
    image_scale: float | None = None,
    image_transform: str | os.PathLike[str] | None = None,
    spot_diameter: float | None = None,
    patch_size: float = 3.5,
    encoder: str | os.PathLike[str] = "texture",
    image_classes: int | None = None,
    edge_rule: Literal["expression", "image"] | float | None = None,
    tau: float | None = None,
    epochs: int | None = None,
    learning_rate: float | None = None,
    weight_decay: float | None = None,
    layers: int | None = None,
    width: int | None = None,
    n_neighbors: int | None = None,
    negatives: Literal["auto", "exact", "moments"] | None = None,
    feature_mask: float | Sequence[float] | None = None,
    resamples: int | None = None,
    average_views: bool = False,
    released_denominator: bool = False,
    values: Literal["log", "counts"] | None = None,
    normalized: bool = False,
    n_top_genes: int | None = None,
    select: Select | None = None,
    flavor: Flavor | None = None,
    target_sum: float | None = None,
    min_cells: int | None = None,
    umap: bool = False,
    save_model: str | os.PathLike[str] | None = None,
    load_model: str | os.PathLike[str] | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    checkpoint_every: int = 50,
    resume: bool = False,
    restart: bool = False,
    random_state: int = 42,
    key_added: str = "staig",
    copy: bool = False,
    options: Options | None = None,
) -> AnnData | MuData | None:
    """Finds spatial domains, of one slice or of several that need no alignment (STAIG).

    Raw counts in, everything out: counts become features as the platform wants it, a graph network learns to tell a
    spot and its neighbours from all others, and its embedding is clustered. Features of the tissue's image may guide
    which edges of the spatial graph are trusted. The same seed gives the same bits as ``brodmann staig`` and on any
    number of threads.

    Parameters
    ----------
    data
        AnnData with raw counts in ``X`` and coordinates in ``obsm[spatial_key]``; of a MuData, the modality of gene
        expression is taken. Several slices are one object with a column that names them (``library_key``); separate
        objects are joined with ``anndata.concat``, see the example.
    n_clusters
        Domains wanted. ``"auto"`` or ``None`` chooses the number with ``cluster="gmm"`` (see ``select_by``); with
        Leiden, ``None`` leaves it to ``resolution`` and a number has the resolution searched for.
    cluster
        How the embedding is clustered: ``"gmm"`` (Gaussian mixture), ``"leiden"`` (15 neighbours) or ``"kmeans"``.
    gmm_model
        How the covariances of the mixture are tied, as for :func:`gmm`.
    n_init
        Starts of the mixture or of k-means, the best kept.
    select_by
        What chooses the number of domains: ``"stability"``, ``"silhouette"`` (the paper's way) or ``"bic"``.
    max_clusters
        The most domains considered then.
    resolution
        Of Leiden, where ``n_clusters`` is not given.
    refine
        Each spot follows the majority of so many nearest spots; 0: none. By default 15 with the presets ``"visium"``
        and ``"visium_image"``, else 0. See :func:`refine_labels`.
    restarts
        Train so many networks, each from a seed of its own, and keep what they agree on, with each spot's stability:
        single runs vary by chance.
    preset
        The released settings for a kind of data; every option below replaces one of them.
    layer
        Layer of the counts instead of ``X`` (a mapping from modality to layer for a MuData of several).
    spatial_key
        Key of the coordinates.
    library_key
        Column of ``obs`` with the slice: no edge and no contrast crosses slices, and genes are selected and scaled in
        each.
    image_key
        Image features of the spots: a key of ``obsm``, or an array of shape ``(n_obs, n_features)``. More than 64 are
        standardised and reduced to 64 principal components.
    image, image_scale, image_transform, spot_diameter, patch_size, encoder
        The slide and what makes features of it instead, of which features are made here: as for :func:`brodmann.im.features`; ``"file"`` is the picture
        in ``uns["spatial"]``. By itself it has edges judged by the picture and, on one slice, 40 ``image_classes``.
    image_classes
        Classes of image features whose spots are not contrasted with each other; 0: none. By default 80 with the preset
        ``"visium_image"`` on one slice, else 0.
    edge_rule
        Which edges a view of the graph drops: between spots of unlike ``"expression"`` (the default) or ``"image"``
        (the default with ``image_key``), or all with one probability (a number).
    tau
        Temperature of the contrast.
    epochs, learning_rate, weight_decay
        Of the training.
    layers, width
        Graph convolutions (1 or 2) and width of the embedding.
    n_neighbors
        Nearest spots in space that are a spot's neighbours.
    negatives
        How the contrast with all other spots is summed: every pair (``"exact"``), by a polynomial in linear time
        (``"moments"``; the bound of its error is recorded), or ``"auto"``: exact up to about 5000 spots a slice or a
        temperature below 1.
    feature_mask
        Share of genes missing in each of the two views; one number is for both.
    resamples
        Graphs drawn for each view, of which half must hold an edge.
    average_views
        Average the embeddings of two views, as in the paper's text, instead of one of the whole graph.
    released_denominator
        With image classes, the denominator of the authors' code, for comparison.
    values
        What the network sees: ``"log"`` (total, log1p, scaled) or ``"counts"`` as they are. By default counts with the
        presets ``"starmap"`` and ``"merfish"`` and for up to 1200 genes.
    normalized
        The values are normalised and log-transformed already: they are only scaled.
    n_top_genes, select, flavor, target_sum, min_cells
        Of the preprocessing. ``n_top_genes``: genes to select, 3000 by default, 0 keeps all; of several slices
        5000 of each, those of all. ``select``: the most variable by ``flavor`` (``"hvg"``, the default) or by
        binned dispersion (``"mvp"``), those of the largest Moran's I on the spatial graph (``"svg"``), hubs of co-expression
        modules (``"modules"``), or of variable genes that vary alike only one (``"nonredundant"``).
    umap
        Lay the embedding out in the plane.
    save_model, load_model
        File (``.safetensors``) to write the trained network to; to read one from and apply it to the genes of the same
        names, without training. The domains are then those of the model, under their numbers, unless ``n_clusters``
        or how to cluster is given.
    checkpoint, checkpoint_every, resume, restart
        Folder for checkpoints, epochs between them, and whether to go on from the one there (the result has the same
        bits as without interruption) or to begin anew in its place; without either, one that is there is refused.
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

    ``obsm["X_{key}"]`` : float32, shape ``(n_obs, width)``
        The embedding; with ``restarts`` that of the network which agrees best with all.
    ``obs[key]`` : categorical, shape ``(n_obs,)``
        Domains, ``"0"`` the largest.
    ``obs["{key}_unrefined"]`` : categorical, shape ``(n_obs,)``
        With ``refine``: domains before the vote, by the same names.
    ``obs["{key}_stability"]`` : float64, shape ``(n_obs,)``
        With ``restarts``: share of the networks that put the spot where their consensus does.
    ``var["{key}_features"]`` : bool, shape ``(n_vars,)``
        Genes the network saw (of a MuData, in its modality).
    ``obsm["X_{key}_umap"]`` : float32, shape ``(n_obs, 2)``
        Where asked for.
    ``uns[key]`` : dict
        ``method``, ``params`` (all that repeats the run), ``features``, ``n_clusters``, ``n_clusters_reached``,
        ``quality`` (of a mixture the log-likelihood), ``data_hash``, ``n_epochs``, ``seconds``, ``version``; of a
        training ``loss`` (``{"loss": float64, shape (n_epochs,)}``) and ``negatives``, with moments ``moments_bound``
        (float64, shape ``(n_epochs,)``); of a mixture ``bic``; where the number of domains was chosen ``tried``, the
        scores of each number as arrays; with restarts ``restarts`` (``agreement``, ``run_agreement``, ``seeds``, …);
        of several slices ``integration`` (``ilisi``, ``batch_kl``, each also ``_before`` in the principal components,
        …).

    Raises
    ------
    KeyError
        Without coordinates, counts, slices or image features that were named.
    ValueError
        For values that are not counts, slices that share too few variable genes, and options out of range. ``data`` is left
        as it was, also by Ctrl-C.
    MemoryError
        Before training, where the forecast exceeds what is free.

    References
    ----------
    Yang et al. (2025), STAIG.

    Examples
    --------
    >>> bm.tl.staig(adata, n_clusters=7, preset="visium")
    >>> bm.pl.spatial(adata, color="staig")

    Image features, several networks and where they agree:

    >>> bm.tl.staig(adata, n_clusters=7, preset="visium_image", image_key="X_image", restarts=5)
    >>> bm.pl.spatial(adata, color=["staig", "staig_stability"])

    Several slices, without alignment (the same bits as ``brodmann staig slice1.h5ad slice2.h5ad``):

    >>> both = anndata.concat({"slice1": slice1, "slice2": slice2}, label="library_id", index_unique="-")
    >>> bm.tl.staig(both, n_clusters=7, preset="integration", library_key="library_id")
    >>> both.uns["staig"]["integration"]["ilisi"]
    """
    given = said(staig, locals(), leave=["layer", "image_key"])
    return _run(data, "staig", given, layer, spatial_key, library_key, image_key, random_state, key_added, copy)


@with_options
def banksy(
    data: AnnData | MuData,
    *,
    n_clusters: int | Literal["auto"] | None = None,
    lambda_param: float = 0.2,
    cluster: Cluster = "gmm",
    gmm_model: Family = "EEE",
    n_init: int = 10,
    select_by: Criterion = "stability",
    max_clusters: int = 15,
    resolution: float = 1.0,
    integrate: Literal["harmony"] | None = None,
    refine: int = 0,
    layer: Mapping[str, str] | str | None = None,
    spatial_key: str = "spatial",
    library_key: str | None = None,
    n_neighbors: int = 15,
    n_neighbors_agf: int = 30,
    centred: bool = True,
    n_comps: int = 20,
    values: Literal["log", "counts"] | None = None,
    normalized: bool = False,
    n_top_genes: int | None = None,
    select: Select | None = None,
    flavor: Flavor | None = None,
    target_sum: float | None = None,
    min_cells: int | None = None,
    umap: bool = False,
    random_state: int = 42,
    key_added: str = "banksy",
    copy: bool = False,
    options: Options | None = None,
) -> AnnData | MuData | None:
    """Finds domains from what each spot expresses beside what its surroundings do (BANKSY).

    Own values, the weighted mean of the neighbours and the size of the gradient around the spot, each gene centred and
    scaled slice by slice; their principal components; domains. The same bits as ``brodmann banksy``.

    Parameters
    ----------
    data, layer, spatial_key, library_key
        Counts, coordinates and slices, as for :func:`staig`.
    n_clusters, cluster, gmm_model, n_init, select_by, max_clusters, resolution, refine
        From the embedding to domains, as for :func:`staig`.
    lambda_param
        Weight of the surroundings, from 0 (none) to 1 (nothing else): 0.2 tells cell types and the layers of Visium
        sections apart, 0.8 the domains of single cells.
    n_neighbors, n_neighbors_agf
        Nearest spots that the mean and the gradient are taken over; 0 leaves the gradient out.
    centred
        Whether the gradient is that around the neighbours' mean, as in the paper; the package pybanksy takes it around 0.
    n_comps
        Principal components.
    values
        ``"log"`` (total, log1p; the default) or ``"counts"`` as they are.
    normalized, n_top_genes, select, flavor, target_sum, min_cells
        Of the preprocessing, as for :func:`staig`; 2000 genes of a single slice where nothing is said.
    umap
        Lay the embedding out in the plane.
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

    ``obsm["X_{key}"]`` : float32, shape ``(n_obs, n_comps)``
        The components.
    ``obs[key]`` : categorical, shape ``(n_obs,)``
        Domains, ``"0"`` the largest.
    ``obs["{key}_unrefined"]`` : categorical, shape ``(n_obs,)``
        With ``refine``: domains before the vote, by the same names.
    ``var["{key}_features"]`` : bool, shape ``(n_vars,)``
        Genes that were used.
    ``obsm["X_{key}_umap"]`` : float32, shape ``(n_obs, 2)``
        Where asked for.
    ``uns[key]`` : dict
        ``params``, ``n_clusters``, ``quality``, ``variance`` and ``variance_ratio`` of the components, ``seconds``, …

    Raises
    ------
    KeyError
        Without coordinates, counts or slices that were named.
    ValueError
        For values that are not counts, and options out of range.

    Examples
    --------
    >>> bm.tl.banksy(adata, n_clusters=7)
    >>> bm.tl.banksy(cells, n_clusters=8, lambda_param=0.8)
    """
    given = said(banksy, locals(), leave=["layer"])
    return _run(data, "banksy", given, layer, spatial_key, library_key, None, random_state, key_added, copy)


@with_options
def smoothed_pca(
    data: AnnData | MuData,
    *,
    n_clusters: int | Literal["auto"] | None = None,
    cluster: Cluster = "gmm",
    gmm_model: Family = "EEE",
    n_init: int = 10,
    select_by: Criterion = "stability",
    max_clusters: int = 15,
    resolution: float = 1.0,
    integrate: Literal["harmony"] | None = None,
    refine: int = 0,
    layer: Mapping[str, str] | str | None = None,
    spatial_key: str = "spatial",
    library_key: str | None = None,
    n_neighbors: int = 10,
    n_comps: int = 30,
    values: Literal["log", "counts"] | None = None,
    normalized: bool = False,
    n_top_genes: int | None = None,
    select: Select | None = None,
    flavor: Flavor | None = None,
    target_sum: float | None = None,
    min_cells: int | None = None,
    umap: bool = False,
    random_state: int = 42,
    key_added: str = "smoothed_pca",
    copy: bool = False,
    options: Options | None = None,
) -> AnnData | MuData | None:
    """Finds spatial domains without a network: principal components of expression averaged over neighbours.

    The simple baseline beside :func:`staig`, on the same road from counts to domains; what a method of domains should
    beat. The same bits as ``brodmann staig --method smoothed-pca``.

    Parameters
    ----------
    data, layer, spatial_key, library_key
        Counts, coordinates and slices, as for :func:`staig`.
    n_clusters, cluster, gmm_model, n_init, select_by, max_clusters, resolution, refine
        From the embedding to domains, as for :func:`staig`.
    n_neighbors
        Nearest spots in space that expression is averaged over.
    n_comps
        Principal components.
    values
        ``"log"`` (total, log1p, scaled; the default) or ``"counts"`` as they are.
    normalized, n_top_genes, select, flavor, target_sum, min_cells
        Of the preprocessing, as for :func:`staig`.
    umap
        Lay the embedding out in the plane.
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

    ``obsm["X_{key}"]`` : float32, shape ``(n_obs, n_comps)``
        The embedding.
    ``obs[key]`` : categorical, shape ``(n_obs,)``
        Domains, ``"0"`` the largest.
    ``obs["{key}_unrefined"]`` : categorical, shape ``(n_obs,)``
        With ``refine``: domains before the vote, by the same names.
    ``var["{key}_features"]`` : bool, shape ``(n_vars,)``
        Genes that were used.
    ``obsm["X_{key}_umap"]`` : float32, shape ``(n_obs, 2)``
        Where asked for.
    ``uns[key]`` : dict
        As of :func:`staig`, without what belongs to a network.

    Raises
    ------
    KeyError
        Without coordinates, counts or slices that were named.
    ValueError
        For values that are not counts, and options out of range.

    Examples
    --------
    >>> bm.tl.smoothed_pca(adata, n_clusters=7)
    >>> bm.pl.spatial(adata, color=["staig", "smoothed_pca"])
    """
    given = said(smoothed_pca, locals(), leave=["layer"])
    return _run(data, "smoothed_pca", given, layer, spatial_key, library_key, None, random_state, key_added, copy)


def _run(
    data: AnnData | MuData,
    method: str,
    given: dict[str, Any],
    layer: Any,
    spatial_key: str,
    library_key: str | None,
    image_key: Any,
    random_state: Any,
    key_added: str,
    copy: bool,
) -> Any:
    parts = tissue.asked(
        data,
        given,
        layer=layer,
        spatial_key=spatial_key,
        library_key=library_key,
        key_added=key_added,
        copy=copy,
        pictures="image" in given,
    )
    if image_key is not None:
        name, features = _image(data, image_key)
        given["image_key"] = name
        parts["obsm"].append((name, features))
    return tissue.find(data, method, parts, given, layer=layer, random_state=random_state, copy=copy)


def _image(data: AnnData | MuData, image_key: Any) -> tuple[str, np.ndarray]:
    """The name and the values of the image features."""
    if not isinstance(image_key, str):
        return _IMAGE, el.array_of(image_key, "image_key", data.n_obs).astype(np.float64)
    advice = "name another key with image_key, or pass an array with one row per observation"
    features = el.whole_obsm(data, image_key, advice=advice).astype(np.float64)
    # The compiled part would read a file of such a name.
    return (_IMAGE if image_key.lower().endswith(".npy") else image_key), features
