# %% [markdown]
# # How do I …?
#
# Short answers, each a few lines that run. Like the [tutorial](tutorial.md), this page is a script,
# [`docs/howto.py`](howto.py), with its output (`python docs/render.py howto`); it needs `pip install "brodmann[mudata,plot]"` and
# uses simulated tissue, whose truth is known. On your own data the calls are the same.
#
# * [Bring data from Seurat](#bring-data-from-seurat), [from SpatialData](#bring-data-from-spatialdata),
#   [from an instrument](#bring-data-from-an-instrument)
# * [Find domains and see how sure they are](#find-domains-and-see-how-sure-they-are)
# * [Choose the number of domains](#choose-the-number-of-domains)
# * [Work on several slices](#work-on-several-slices)
# * [Join several modalities](#join-several-modalities)
# * [Say what is in a domain](#say-what-is-in-a-domain)
# * [Apply a trained network to another slice](#apply-a-trained-network-to-another-slice)
# * [Look at an embedding](#look-at-an-embedding)
# * [Work on a cluster](#work-on-a-cluster)

# %%
import tempfile
from pathlib import Path

import brodmann as bm
import numpy as np
import pandas as pd

folder = Path(tempfile.mkdtemp())

# %% [markdown]
# ## Bring data from Seurat
#
# Two tables are enough, and R needs no package for them. The names of spots must be the first column of both:
#
# ```r
# counts <- GetAssayData(object, layer = "counts")
# write.csv(t(as.matrix(counts)), "counts.csv")        # a row per spot
# places <- GetTissueCoordinates(object)
# if ("cell" %in% names(places)) rownames(places) <- places$cell
# write.csv(places[, 1:2], "places.csv")
# ```
#
# Here we write such tables ourselves. (For large data write a `.h5ad` from R, with `anndataR` or `zellkonverter`.)

# %%
tissue = bm.datasets.simulated(side=30, modalities="rna", random_state=1)
pd.DataFrame(tissue.X.toarray(), tissue.obs_names, tissue.var_names).to_csv(folder / "counts.csv")
pd.DataFrame(tissue.obsm["spatial"], tissue.obs_names, ["x", "y"]).to_csv(folder / "places.csv")

from_r = bm.read.tables(folder / "counts.csv", coordinates=folder / "places.csv")
print(from_r)

# %% [markdown]
# ## Bring data from SpatialData
#
# `bm.read("sample.zarr")` takes the table of a SpatialData store as AnnData, with the coordinates of what it describes; of
# several tables say which (`table_name="table_cells"`). On the command line results go back into the store's table:
#
# ```
# brodmann domains sample.zarr --in-place -k 7
# ```
#
# ## Bring data from an instrument
#
# `bm.read("outs/")` looks what it is: Visium, Visium HD, Xenium, CosMx, MERSCOPE, Stereo-seq, 10x matrices, tables. So does every
# command; `brodmann info outs/` says what was found.
#
# ## Find domains and see how sure they are
#
# Several cheap methods look at the tissue, and their maps are put to the vote. Spots on which they differ have a high entropy,
# from 0 (all agree) to 1.

# %%
bm.tl.domains(tissue, n_clusters=5)
bm.pl.spatial(tissue, color=["ground_truth", "domains", "domains_entropy"])
print(f"ARI with the truth: {bm.metrics.evaluate(tissue, pred='domains')['ari']:.2f}")

# %% [markdown]
# The probability of each domain is in `obsm["domains_probability"]`. Spots that are torn between two domains lie at borders:

# %%
sure = tissue.obsm["domains_probability"].max(axis=1)
print(f"{(sure < 0.6).sum()} of {tissue.n_obs} spots have no domain above 0.6")
print(f"mean entropy: {tissue.obs['domains_entropy'].mean():.2f}")
bm.pl.agreement(tissue)

# %% [markdown]
# Where members agree little (below .3 or so) a warning says that the map is in doubt. Then another number of domains, another
# filter of genes, or no domains at all may be the answer.
#
# ## Choose the number of domains
#
# Without `n_clusters` the number is taken on which the members agree best. Look at the whole curve: its other peaks are maps of
# another grain, and as real. (Here the truth has five domains, the second peak.)

# %%
bm.tl.domains(tissue, max_clusters=8, key_added="auto")
curve = tissue.uns["auto"]["agreement_by_number"]
print(pd.Series(curve["agreement"], index=curve["n_clusters"]).round(2).to_string())
print(f"chosen: {tissue.obs['auto'].nunique()}")

# %% [markdown]
# ## Work on several slices
#
# Concatenate them and say which column tells them apart; genes are scaled slice by slice, and no neighbours cross slices.

# %%
slices = bm.datasets.simulated(side=24, modalities="rna", n_slices=2, batch_effect=1, random_state=2)
bm.tl.domains(slices, n_clusters=5, library_key="library_id")
print(pd.crosstab(slices.obs["domains"], slices.obs["library_id"]).to_string())

# %%
bm.pl.spatial(slices, color="domains", library_key="library_id")

# %% [markdown]
# A domain of one slice alone is warned of. Where slices were measured very differently, `integrate="harmony"` takes more of
# the difference out, for every method that starts from counts; it costs a little where there is none. STAIG is made for slices, too:

# %%
bm.tl.staig(slices, n_clusters=5, library_key="library_id", preset="integration", epochs=100)
print(f"ARI of STAIG with the truth: {bm.metrics.evaluate(slices, pred='staig')['ari']:.2f}")

# %% [markdown]
# ## Join several modalities
#
# `bm.tl.domains` takes MuData as it is, as `brodmann spatialleiden` does (the [tutorial](tutorial.md) shows its steps in
# Python). SpaMI gives an embedding of all, and says what each spot attends to.

# %%
mdata = bm.datasets.simulated(side=30, random_state=3)
bm.tl.spami(mdata, n_clusters=5)
bm.pl.attention(mdata)
print(f"ARI of SpaMI with the truth: {bm.metrics.evaluate(mdata, pred='spami')['ari']:.2f}")

# %% [markdown]
# ## Say what is in a domain
#
# Markers want log-normalised values; the counts stay in a layer.

# %%
tissue.layers["counts"] = tissue.X.copy()
bm.pp.normalize_total(tissue, target_sum=1e4)
bm.pp.log1p(tissue)
bm.tl.markers(tissue, groupby="domains")
bm.pl.dotplot(tissue, groupby="domains")

# %% [markdown]
# `bm.tl.enrich` finds gene sets behind them, `bm.tl.gene_modules` genes that rise and fall together,
# `bm.gr.neighborhood_enrichment` who lies beside whom, and `brodmann report` puts all of it on one page.
#
# ## Apply a trained network to another slice
#
# The model keeps its domains: another slice gets the same ones, under the same numbers, and is told where it is like none of them.

# %%
first = slices[slices.obs["library_id"] == slices.obs["library_id"].iloc[0]].copy()
second = slices[slices.obs["library_id"] != slices.obs["library_id"].iloc[0]].copy()
bm.tl.staig(first, n_clusters=5, epochs=100, save_model=folder / "model.safetensors")
bm.tl.staig(second, load_model=folder / "model.safetensors")
print(f"ARI on the other slice: {bm.metrics.evaluate(second, pred='staig')['ari']:.2f}")

# %% [markdown]
# ## Look at an embedding

# %%
bm.tl.umap(slices, use_rep="X_staig")
bm.pl.embedding(slices, basis="umap", color=["staig", "library_id"])

# %% [markdown]
# ## Work on a cluster
#
# `bm.dist.staig` and `bm.dist.spami` train on slices that lie on the workers of a Dask cluster, with the bits of one machine:
# see [dist.md](dist.md).
