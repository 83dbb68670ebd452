"""SpaMI: one embedding of several omics of one tissue, with attention and denoising."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal

from .. import _brodmann
from .. import _elements as el
from . import _tissue as tissue
from ._gmm import Criterion, Family
from ._record import check_target
from ._options import Options, with_options
from ._said import Select, said

if TYPE_CHECKING:
    from anndata import AnnData
    from mudata import MuData

Preset = Literal["default", "misar", "atac_rna_brain", "stereo_cite"]
ModalityKind = Literal["rna", "adt", "atac"]


@with_options
def spami(
    data: MuData | AnnData,
    *,
    n_clusters: int | Literal["auto"] | None = None,
    resolution: float = 1.0,
    cluster: Literal["leiden", "kmeans", "gmm"] = "leiden",
    n_init: int | None = None,
    gmm_model: Family = "EEE",
    select_by: Criterion = "stability",
    max_clusters: int = 15,
    integrate: Literal["harmony"] | None = None,
    refine: int = 0,
    preset: Preset = "default",
    modalities: Sequence[str] | None = None,
    modality_kinds: Mapping[str, ModalityKind] | ModalityKind | None = None,
    layer: Mapping[str, str] | str | None = None,
    use_rep: Mapping[str, str] | str | None = None,
    spatial_key: str = "spatial",
    library_key: str | None = None,
    epochs: int | None = None,
    learning_rate: float | None = None,
    n_neighbors: int | None = None,
    hidden: int | None = None,
    latent: int | None = None,
    dropout: float | None = None,
    contrast_weights: float | Mapping[str, float] | None = None,
    reconstruction_weights: float | Mapping[str, float] | None = None,
    cosine_weight: float | None = None,
    weight_decay: float | None = None,
    balance: bool | None = None,
    contrast: bool = True,
    cosine: bool = True,
    fusion: Literal["attention", "concat", "mean"] = "attention",
    early_stopping: int | None = None,
    n_top_genes: int | None = None,
    select: Select | None = None,
    flavor: Literal["seurat_v3", "seurat", "cell_ranger"] | None = None,
    n_comps: int | None = None,
    target_sum: float | None = None,
    min_cells: int | None = None,
    normalized: bool = False,
    denoise: bool | None = None,
    umap: bool = False,
    modality_embeddings: bool = False,
    save_model: str | os.PathLike[str] | None = None,
    load_model: str | os.PathLike[str] | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    checkpoint_every: int = 50,
    resume: bool = False,
    restart: bool = False,
    prior: AnnData | MuData | str | os.PathLike[str] | None = None,
    prior_key: str | None = None,
    prior_modality: ModalityKind | None = None,
    prior_layer: str | None = None,
    prior_library_key: str | None = None,
    prior_weight: float | None = None,
    prior_label_weight: float | None = None,
    prior_anchors: int | None = None,
    prior_every: int | None = None,
    prior_confidence: float | None = None,
    random_state: int = 42,
    key_added: str = "spami",
    copy: bool = False,
    options: Options | None = None,
) -> MuData | AnnData | None:
    """Integrates the modalities of a tissue and finds its domains (SpaMI).

    Raw counts in, everything out: each modality is preprocessed as its kind wants it, a graph autoencoder with
    contrastive learning is trained on all of them and the spatial graph, and its embedding is clustered. One modality
    (an AnnData) works too. The same seed gives the same bits as ``brodmann spami`` and on any number of threads.

    Parameters
    ----------
    data
        MuData with raw counts in ``X`` of each modality, or AnnData of one; coordinates in ``obsm[spatial_key]``.
    n_clusters
        Domains wanted. With Leiden the resolution is searched for, with k-means it is required.
    resolution
        Of Leiden, where ``n_clusters`` is not given.
    cluster
        How the embedding is clustered, always on its first 20 principal components: ``"leiden"`` (50 neighbours),
        ``"kmeans"`` or ``"gmm"`` (Gaussian mixture; chooses the number of domains where none is given).
    n_init
        Starts of k-means (10) or of the mixture (5), the best kept.
    gmm_model, select_by, max_clusters
        Of a mixture: how covariances are tied, what chooses the number of domains (``n_clusters="auto"``), and the most
        considered then.
    refine
        Each spot follows the majority of so many nearest spots; 0: none.
    preset
        The paper's settings for a kind of data; every option below replaces one of them.
    modalities
        Those to integrate, all by default.
    modality_kinds
        What each modality measures: ``"rna"``, ``"adt"`` (proteins) or ``"atac"`` (peaks); guessed from the names of
        modalities and features by default. What was taken stands in ``uns[key_added]["features"]``.
    layer
        Layer of the counts instead of ``X``, by modality.
    use_rep
        Key of an embedding in ``obsm`` to use instead of the counts, by modality.
    spatial_key
        Key of the coordinates.
    library_key
        Column of ``obs`` with the slice: no edge and no corruption crosses slices.
    epochs, learning_rate, weight_decay, dropout, early_stopping
        Of the training; ``early_stopping`` is the number of epochs without a lower loss after which it ends.
    n_neighbors
        Nearest spots of a spot in space.
    hidden, latent
        Widths of the encoders.
    contrast_weights, reconstruction_weights, cosine_weight
        Weights of the terms of the loss: one number, or a mapping from modality to number.
    balance
        Bring the features of all modalities to one scale; by default with the default preset alone, since the weights
        of the others are made for the scales as they are.
    contrast, cosine, fusion
        Leave a part of the model out, or fuse the modalities by their mean or side by side.
    n_top_genes, select, flavor, n_comps, target_sum, min_cells, normalized
        Of the preprocessing, ``select`` as for :func:`staig`; ``normalized`` says that the values are log-normalised already.
    denoise
        Write denoised expression; by default where all layers together take at most 1 GB.
    umap
        Lay the embedding out in the plane.
    modality_embeddings
        Write the embedding of each modality too.
    save_model, load_model
        File (``.safetensors``) to write the trained network to; to read one from and apply it, without training. The
        domains are then those of the model, under their numbers, unless ``n_clusters`` or how to cluster is given.
    checkpoint, checkpoint_every, resume, restart
        Folder for checkpoints, epochs between them, and whether to go on from the one there (the result has the same
        bits as without interruption) or to begin anew in its place; without either, one that is there is refused.
    prior
        A labelled slice that guides training (SpaMI-P), or its file: raw counts, and coordinates in
        ``obsm[spatial_key]``. Features are matched by name; with too few in common it is refused, and where its labels or its
        genes say nothing about ``data`` it is warned of and left out.
    prior_key, prior_modality, prior_layer, prior_library_key
        Of the reference: column of ``obs`` with the labels, which modality it measures (``"rna"``), layer of the counts
        instead of ``X``, column of ``obs`` with its slices.
    prior_weight, prior_label_weight, prior_anchors, prior_every
        Weights of its two terms of the loss (20 and 1), nearest spots of the other side looked at for mutual neighbours (20),
        epochs after which these are looked for anew (50).
    prior_confidence
        A spot that is less sure gets the label ``"none of these"`` (0.5).
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

    ``obsm["X_{key}"]`` : float32, shape ``(n_obs, latent)``
        The embedding.
    ``obsm["{key}_attention"]`` : DataFrame, shape ``(n_obs, n_modalities)``
        How much each modality counts in each spot; rows sum to 1.
    ``obs[key]`` : categorical, shape ``(n_obs,)``
        Domains, ``"0"`` the largest.
    ``obs["{key}_prior"]`` : categorical, ``obs["{key}_prior_confidence"]`` : float32, shape ``(n_obs,)``
        With ``prior``, or a model that was trained with one: label of each spot, and how sure that is.
    ``uns[key]`` : dict
        ``params`` (all that repeats the run), ``loss`` (each term, by epoch), ``features``, ``seconds``, ``version``.
    ``mod[name].layers["{key}_denoised"]`` : float32, shape ``(n_obs, n_vars)``
        RNA on the scale of ``log1p``, proteins of CLR, peaks of log TF-IDF. ``var["{key}_denoised"]`` says which
        features the network saw; the others have no entry.
    ``obsm["X_{key}_umap"]``, ``obsm["X_{key}_{modality}"]``
        Where asked for.

    Raises
    ------
    KeyError
        Without coordinates, counts or an embedding that was named.
    ValueError
        For values that are not counts, modalities of other observations, and options out of range. ``data`` is left as it
        was, also by Ctrl-C.

    References
    ----------
    Gao et al. (2025), SpaMI.

    Examples
    --------
    >>> mdata = bm.datasets.simulated(modalities=("rna", "adt"))
    >>> bm.tl.spami(mdata, n_clusters=5)
    >>> bm.pl.attention(mdata)
    """
    given = said(spami, locals(), leave=["layer", "modality_kinds", "use_rep", "denoise", "prior"])
    el.require_container(data)
    check_target(data, key_added, copy, reads=[library_key] if library_key else [])
    if modalities is not None and not el.is_mudata(data):
        raise ValueError("modalities were named, but an AnnData has one only; pass a MuData or drop modalities")
    given["key_added"] = key_added
    embeddings = tissue.by_modality(use_rep, "use_rep", data)
    if embeddings:
        given["use_rep"] = embeddings
    if isinstance(modality_kinds, str) and not el.is_mudata(data):
        given["modality"] = modality_kinds
    elif isinstance(modality_kinds, str):
        given["modality_kinds"] = {name: modality_kinds for name in data.mod}
    elif modality_kinds is not None:
        given["modality_kinds"] = {str(name): kind for name, kind in modality_kinds.items()}
    if denoise is not None:
        given["denoise"] = "always" if denoise else "never"
    parts = tissue.parts(
        data,
        layers=tissue.by_modality(layer, "layer", data),
        use_rep=embeddings,
        spatial_key=spatial_key,
        library_key=library_key,
        modalities=given.get("modalities"),
    )
    reference = None
    if isinstance(prior, (str, os.PathLike)):
        given["prior"] = os.fspath(prior)
    elif prior is not None:
        el.require_container(prior)
        layers = {name: prior_layer for name in tissue.names_of(prior)} if prior_layer else {}
        reference = tissue.parts(
            prior, layers=layers, use_rep={}, spatial_key=spatial_key, library_key=prior_library_key
        )
        if prior_key is not None:
            reference["obs"].append(tissue.labels(prior, prior_key))
        # The counts were taken from the layer here.
        given.pop("prior_layer", None)
    return tissue.find(
        data, "spami", parts, given, layer=layer, random_state=random_state, copy=copy, prior=reference
    )
