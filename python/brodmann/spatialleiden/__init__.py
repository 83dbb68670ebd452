"""The public interface of the package `spatialleiden` (0.3 to 0.4), computed by brodmann.

Names, signatures, defaults, keys and categories are those of the package, so that

>>> from brodmann.spatialleiden import spatialleiden

is the only line of a script to change; or none, after

>>> import brodmann as bm
>>> bm.spatialleiden.install()

which makes ``import spatialleiden`` mean this module, for squidpy's ``gr.calculate_niche(flavor="spatialleiden")`` too.

Differences
-----------
* ``partition_type`` takes the classes of this module, those of leidenalg (by name: leidenalg need not be installed), or
  a name; ``SignificanceVertexPartition`` and ``SurpriseVertexPartition`` are refused.
* Of the keyword arguments of a partition, ``resolution_parameter`` and ``initial_membership`` are known.
* A search that does not reach its number returns the resolution that came nearest, not the last one tried.
* Graphs with NaN or negative weights, names of layers that do not exist, and modalities that differ in their
  observations are refused.

New code has :mod:`brodmann.tl`, which records its parameters and searches resolutions better.
"""

from .._brodmann import __version__
from ._distances import distance2connectivity
from ._install import Installation, install, uninstall
from ._multiplex import leiden, multiplex_leiden, spatialleiden, spatialleiden_multimodal
from ._partition_types import (
    CPMVertexPartition,
    ModularityVertexPartition,
    RBConfigurationVertexPartition,
    RBERVertexPartition,
)
from ._search import search_resolution, search_resolution_latent, search_resolution_spatial

__all__ = [
    "CPMVertexPartition",
    "Installation",
    "ModularityVertexPartition",
    "RBConfigurationVertexPartition",
    "RBERVertexPartition",
    "__version__",
    "distance2connectivity",
    "install",
    "leiden",
    "multiplex_leiden",
    "search_resolution",
    "search_resolution_latent",
    "search_resolution_spatial",
    "spatialleiden",
    "spatialleiden_multimodal",
    "uninstall",
]
