"""Pictures on matplotlib, with the colours, limits and titles of ``brodmann plot``.

* :func:`spatial`, :func:`embedding`: the tissue; a UMAP or principal components
* :func:`entropy`, :func:`agreement`: how sure :func:`brodmann.tl.domains` is, and who agrees
* :func:`attention`, :func:`loss`: modalities, and the training, of networks
* :func:`volcano`, :func:`dotplot`, :func:`heatmap`: markers of domains
* :func:`violin`, :func:`stacked_expression`: values by domain
* :func:`enrichment`: gene sets behind markers
* :func:`composition`, :func:`neighborhood`: what domains consist of, and what they lie beside

Every function returns axes, draws into those given (``ax=``), writes a file (``save=``) and shows the figure (``show=``).
"""

from __future__ import annotations

from ._charts import (
    agreement,
    composition,
    dotplot,
    enrichment,
    heatmap,
    loss,
    neighborhood,
    stacked_expression,
    violin,
    volcano,
)
from ._spatial import attention, embedding, entropy, spatial

__all__ = [
    "agreement",
    "attention",
    "composition",
    "dotplot",
    "embedding",
    "enrichment",
    "entropy",
    "heatmap",
    "loss",
    "neighborhood",
    "spatial",
    "stacked_expression",
    "violin",
    "volcano",
]


def __dir__() -> list[str]:
    return list(__all__)
