"""Which spots belong together?

Raw counts in, or the neighbour graphs of :func:`brodmann.pp.neighbors` and :func:`brodmann.gr.spatial_neighbors`; one
label for each spot out.

* :func:`leiden`: clusters of one graph.
* :func:`spatialleiden`: domains in expression and space.
* :func:`spatialleiden_multimodal`: domains in any number of modalities and space.
* :func:`search_resolution`: the resolution that gives a number of clusters.
* :func:`spami`: one embedding of several omics, with attention, denoised expression and domains.
* :func:`staig`: an embedding of one omics, guided by the image if there is one, and domains; of many slices too.
* :func:`domains`: domains that several methods agree on, and how sure they are of each spot.
* :func:`banksy`: domains from expression beside that of the surroundings.
* :func:`smoothed_pca`: the simple baseline beside them; :func:`mixture`: the one without space.
* :func:`markers`: which genes tell a domain from the rest; :func:`enrich`: which known gene sets are behind them.
* :func:`gene_modules`: which genes rise and fall together, and where.
* :func:`links`: which peaks regulate which genes, and in which domain.
* :func:`kmeans`: compact clusters of an embedding.
* :func:`gmm`: clusters that have a shape: Gaussian mixtures as mclust's.
* :func:`select_n_clusters`: how many clusters?
* :func:`umap`: an embedding laid out in the plane.
* :func:`refine_labels`: labels smoothed by a vote of the nearest spots.
"""

from ._domains import domains
from ._explain import enrich, markers
from ._gene_modules import GeneModules, gene_modules
from ._gmm import NumberOfClusters, gmm, select_n_clusters
from ._kmeans import kmeans
from ._leiden import ResolutionSearch, leiden, search_resolution, spatialleiden, spatialleiden_multimodal
from ._links import links
from ._mixture import mixture
from ._refine import refine_labels
from ._spami import spami
from ._staig import banksy, smoothed_pca, staig
from ._umap import umap

__all__ = [
    "GeneModules",
    "NumberOfClusters",
    "ResolutionSearch",
    "banksy",
    "domains",
    "enrich",
    "gene_modules",
    "gmm",
    "kmeans",
    "leiden",
    "links",
    "markers",
    "mixture",
    "refine_labels",
    "search_resolution",
    "select_n_clusters",
    "smoothed_pca",
    "spami",
    "spatialleiden",
    "spatialleiden_multimodal",
    "staig",
    "umap",
]


def __dir__() -> list[str]:
    return list(__all__)
