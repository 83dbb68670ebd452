# %% [markdown]
# # Slices that differ: STAIG
#
# STAIG trains a graph network by contrast: a spot, seen twice with parts of its graph left out, must be more like itself
# than like others. Slices of one tissue go through the same network, so that a domain has the same number in all of
# them. The same as a script: [staig.py](staig.py); as a command: `brodmann staig a.h5ad b.h5ad --out joined.h5ad -k 5`.

# %%
import pandas as pd

import brodmann as bm

# %% [markdown]
# ## Two slices with a batch effect
#
# The second slice was measured otherwise: its genes come out more or less often by chance. Your own slices are one AnnData with a
# column that tells them apart (`anndata.concat(..., label="library_id")`).

# %%
slices = bm.datasets.simulated(side=24, modalities="rna", n_slices=2, batch_effect=1.0, random_state=2)
truth = slices.obs["ground_truth"]
print(pd.crosstab(slices.obs["library_id"], truth).to_string())

# %% [markdown]
# Components and a mixture of Gaussians, without space, find the slices rather than the domains:

# %%
bm.tl.mixture(slices, n_clusters=5)
print(pd.crosstab(slices.obs["mixture"], slices.obs["library_id"]).to_string())
print(f"ARI {bm.metrics.adjusted_rand_index(truth, slices.obs['mixture']):.2f}")

# %% [markdown]
# ## Train on both
#
# `library_key` names the column: genes are scaled slice by slice, and no neighbours cross slices. The spots lie on a square
# grid, so each has four neighbours. `epochs` is kept small here; where nothing is said the preset decides.

# %%
bm.tl.staig(slices, n_clusters=5, library_key="library_id", n_neighbors=4, epochs=100)
print(pd.crosstab(slices.obs["staig"], slices.obs["library_id"]).to_string())
print(f"ARI {bm.metrics.adjusted_rand_index(truth, slices.obs['staig']):.2f}")
bm.pl.spatial(slices, color=["ground_truth", "staig"], library_key="library_id", ncols=2)

# %% [markdown]
# ## How well the slices mix
#
# iLISI is the effective number of slices among a spot's neighbours in the embedding: 1 where slices stand apart, 2 where
# two mix perfectly. It is measured in the principal components too, for comparison.

# %%
mixing = slices.uns["staig"]["integration"]
print(f"iLISI {mixing['ilisi_before']:.2f} in components, {mixing['ilisi']:.2f} in the embedding")

# %% [markdown]
# ## What was written
#
# The record repeats the run; `restarts=5` would train five networks and say where they agree (`obs["staig_stability"]`);
# `image="slide.tif"` lets the picture judge edges and negatives.

# %%
record = slices.uns["staig"]
print(f"{record['n_epochs']} epochs, {int(slices.var['staig_features'].sum())} genes, loss {record['loss']['loss'][-1]:.2f}")
print(slices.obsm["X_staig"].shape)
