"""Tissues whose truth is known."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from . import _brodmann
from . import _elements as el

if TYPE_CHECKING:
    from anndata import AnnData
    from mudata import MuData

__all__ = ["simulated"]


def __dir__() -> list[str]:
    return list(__all__)


def simulated(
    *,
    side: int = 36,
    modalities: str | Sequence[str] = ("rna", "adt", "atac"),
    n_slices: int = 1,
    noise: float = 0.0,
    batch_effect: float = 0.0,
    image: bool = False,
    image_strength: float = 1.0,
    image_blur_px: float = 0.0,
    stain_drift: float = 0.0,
    n_genes: int = 1000,
    n_proteins: int = 100,
    n_peaks: int = 1000,
    random_state: int = 42,
) -> MuData | AnnData:
    """Simulate a tissue of five domains, of which each of several modalities sees a part.

    A square grid with four domains on a background; counts of genes, proteins and peaks. Of several modalities each
    is blind to some of the domains, so that only all of them together show all five.

    Parameters
    ----------
    side
        Spots along each side of the grid.
    modalities
        ``"rna"``, ``"adt"``, ``"atac"`` or several of them. A single name (not a list) gives AnnData, which sees all
        domains.
    n_slices
        Sections of the same layout, each with its own cells.
    noise
        Standard deviation of Gaussian noise on the counts.
    batch_effect
        Standard deviation of the shift of each feature's log rate between slices.
    image
        Draw a stained picture of every slice.
    image_strength, image_blur_px, stain_drift
        How well it tells the domains apart (0: not at all), the standard deviation of a blur in pixels, and how much the
        stains vary over a slide (standard deviation of the log of their amounts).
    n_genes, n_proteins, n_peaks
        Features of each modality.
    random_state
        Seed.

    Returns
    -------
    MuData (or AnnData) with raw counts in ``X`` of each modality (CSR float32), ``obsm["spatial"]`` (``(n_obs, 2)``
    float64), ``obs["ground_truth"]`` (categorical), ``obs["library_id"]`` (with several slices),
    ``var["factor"]`` (the domain each feature is high in) and ``uns["spatial"]``.

    Examples
    --------
    >>> mdata = bm.datasets.simulated()
    >>> mdata.obs["ground_truth"].nunique()
    5
    """
    from ._containers import require_mudata_package, to_anndata, to_mudata

    single = isinstance(modalities, str)
    names = [modalities] if isinstance(modalities, str) else [str(name) for name in modalities]
    if not single:
        require_mudata_package()
    parts = _brodmann.simulated(
        side=el.whole(side, "side"),
        random_state=el.seed_of(random_state),
        noise=float(noise),
        modalities=names,
        slices=el.whole(n_slices, "n_slices"),
        batch_effect=float(batch_effect),
        image=(float(image_strength), float(image_blur_px), float(stain_drift)) if image else None,
        n_genes=el.whole(n_genes, "n_genes"),
        n_proteins=el.whole(n_proteins, "n_proteins"),
        n_peaks=el.whole(n_peaks, "n_peaks"),
    )
    if not single:
        return to_mudata(parts)
    (modality,) = parts["modalities"].values()
    return to_anndata({**modality, "obs": parts["obs"], "obsm": parts["obsm"], "uns": parts["uns"]})
