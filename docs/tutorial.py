# %% [markdown]
# # Domains of a tissue measured three ways
#
# One section, three measurements of the same spots: transcripts, proteins and open chromatin. Each of them tells
# some domains apart and is blind to others. Here we look at what each sees alone, and then cluster all three
# together with the positions of the spots: SpatialLeiden is Leiden clustering of several graphs at once, one for
# each modality and one for space.
#
# This page is a script, [`docs/tutorial.py`](tutorial.py), with its output; `python docs/render.py` executes it and
# writes the page. All it needs is `pip install "brodmann[mudata,plot]"`.

# %%
import brodmann as bm

# %% [markdown]
# ## A tissue whose truth is known
#
# A simulated section of 36 × 36 spots: four domains on a background. Counts follow the usual distributions of RNA,
# protein and chromatin, with cells of several types scattered over the section, so that neighbouring spots of one
# domain differ. Data of your own come with `anndata.read_h5ad`, `mudata.read_h5mu` or `bm.read`.

# %%
mdata = bm.datasets.simulated(random_state=42)
print(mdata)

# %%
bm.pl.spatial(mdata, color="ground_truth", titles=["the truth"])

# %% [markdown]
# Each modality was given features of some domains alone:

# %%
for name, modality in mdata.mod.items():
    print(f"{name:>4} has features of", ", ".join(sorted(modality.var["factor"].dropna().astype(str).unique())))

# %% [markdown]
# ## From counts to one graph for each modality
#
# RNA and protein: every spot scaled to the same total, logarithm, every feature to the same variance, the first
# principal components. Chromatin: TF-IDF and its singular vectors. The functions have the names, options and
# results of scanpy's, so the same graphs may as well come from there.

# %%
for name in ("rna", "adt"):
    modality = mdata[name]
    bm.pp.normalize_total(modality)
    bm.pp.log1p(modality)
    bm.pp.scale(modality)
    bm.pp.pca(modality, n_comps=30 if name == "rna" else 10)
    bm.pp.neighbors(modality)

bm.pp.tfidf_lsi(mdata["atac"], n_comps=10)
bm.pp.neighbors(mdata["atac"], use_rep="X_lsi")

# %% [markdown]
# ## The graph of space
#
# The spots lie on a square grid, so each has four neighbours.

# %%
bm.gr.spatial_neighbors(mdata, coord_type="grid", n_neighs=4)
graph = mdata.obsp["spatial_connectivities"]
print(f"{graph.shape[0]} spots, {graph.nnz / graph.shape[0]:.2f} neighbours each")

# %% [markdown]
# ## What each modality sees alone
#
# Ordinary Leiden clustering of one modality knows nothing of space. SpatialLeiden of one modality adds the spatial
# graph. We ask both for five clusters; `n_clusters` searches the resolution that gives them. Agreement with the
# truth is the adjusted Rand index (ARI): 1 for the same partition, about 0 for a random one.

# %%
truth = mdata.obs["ground_truth"]
for name, modality in mdata.mod.items():
    modality.obsp["spatial_connectivities"] = graph
    bm.tl.leiden(modality, n_clusters=5)
    bm.tl.spatialleiden(modality, n_clusters=5)
    for key in ("leiden", "spatialleiden"):
        labels = modality.obs[key]
        mdata.obs[f"{name}: {key}"] = labels.to_numpy()
        ari = bm.metrics.adjusted_rand_index(truth, labels)
        print(f"{name:>4} alone, {key:>13}: {labels.nunique()} clusters, ARI {ari:.2f}")

# %%
alone = [f"{name}: {key}" for key in ("leiden", "spatialleiden") for name in mdata.mod]
bm.pl.spatial(mdata, color=alone, ncols=3, legend=False)

# %% [markdown]
# With space (lower row) the domains that a modality can see come out clean. But what it has no feature of it cannot
# find: those domains it joins, and to arrive at five divides them along types of cells, where there is no border.

# %% [markdown]
# ## All of them together
#
# One call clusters the four graphs. `resolution` is one number for all layers or a mapping with one for each, and
# so are `layer_weights`: how much each graph counts. Space is given the most here, protein, which has few features,
# the least.

# %%
bm.tl.spatialleiden_multimodal(
    mdata,
    resolution=1,
    layer_weights={"rna": 1.5, "adt": 1, "atac": 1.5, "spatial": 2.5},
    random_state=42,
)
labels = mdata.obs["spatialleiden"]
ari = bm.metrics.adjusted_rand_index(truth, labels)
print(f"all together, spatialleiden: {labels.nunique()} domains, ARI {ari:.2f}")

# %%
bm.pl.spatial(mdata, color=["ground_truth", "spatialleiden"], titles=["the truth", "all modalities and space"])

# %% [markdown]
# All five domains are found, and nothing but single spots is out of place.
#
# ## What was written
#
# Labels are in `mdata.obs`, numbered by size. `mdata.uns` holds all that is needed to do it again, so the same
# call, on any number of threads, gives the same labels.

# %%
record = mdata.uns["spatialleiden"]
for option, value in record["params"].items():
    print(f"{option:>22}: {value}")

again = bm.tl.spatialleiden_multimodal(mdata, **record["params"], copy=True)
assert (again.obs["spatialleiden"] == labels).all()

# %% [markdown]
# ## From a script for the package `spatialleiden`
#
# `brodmann.spatialleiden` has the names, arguments and results of that package: change the import, or call
# `bm.spatialleiden.install()` once, and every `import spatialleiden`, that of squidpy too, is answered by brodmann.
# There clusters are integers, and graphs are directed unless told otherwise.

# %%
from brodmann.spatialleiden import spatialleiden_multimodal

spatialleiden_multimodal(
    mdata,
    resolution=1,
    layer_weights={"rna": 1.5, "adt": 1, "atac": 1.5, "spatial": 2.5},
    key_added="same",
    random_state=42,
)
ari = bm.metrics.adjusted_rand_index(labels, mdata.obs["same"])
print(f"{mdata.obs['same'].nunique()} domains, ARI {ari:.2f} with those above")
