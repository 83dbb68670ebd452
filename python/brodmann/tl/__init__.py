"""Which spots belong together?

Neighbour graphs in (:func:`brodmann.pp.neighbors`, :func:`brodmann.gr.spatial_neighbors`), or raw counts for the
methods that train a network; one label for each spot out.

* :func:`leiden`: clusters of one graph.
* :func:`spatialleiden`: domains in expression and space.
* :func:`spatialleiden_multimodal`: domains in any number of modalities and space.
* :func:`search_resolution`: the resolution that gives a number of clusters.
* :func:`spami`: one embedding of several omics, with attention, denoised expression and domains.
* :func:`kmeans`: compact clusters of an embedding.
"""

from ._kmeans import kmeans
from ._leiden import ResolutionSearch, leiden, search_resolution, spatialleiden, spatialleiden_multimodal
from ._spami import spami

__all__ = [
    "ResolutionSearch",
    "kmeans",
    "leiden",
    "search_resolution",
    "spami",
    "spatialleiden",
    "spatialleiden_multimodal",
]
