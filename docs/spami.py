# %% [markdown]
# # One embedding of several omics: SpaMI
#
# RNA, proteins and chromatin of the same spots each show a part of a tissue. SpaMI trains one graph network on all of
# them: an embedding of each spot, how much each modality counted there, and expression with the noise taken out. The
# same as a script: [spami.py](spami.py); as a command: `brodmann spami tissue.h5mu --out spami.h5mu -k 5`.

# %%
import brodmann as bm

# %% [markdown]
# ## A tissue measured three ways
#
# 576 spots with counts of 1000 genes, 100 proteins and 1000 peaks. Each modality is blind to one or two of the five domains.
# Your own comes from `bm.read("tissue.h5mu")`, raw counts in each modality and coordinates in `obsm["spatial"]`.

# %%
mdata = bm.datasets.simulated(side=24, random_state=1)
print(mdata.obs["ground_truth"].value_counts(sort=False).to_string())

# %% [markdown]
# ## Train, and find the domains
#
# One call takes the counts, makes features of each modality, trains, and clusters the embedding. The same seed gives the
# same bits on any number of threads. Below the map is the loss of each part: what each modality's decoder misses
# (reconstruction), how badly spots are told from shuffled ones (contrast), how far apart the modalities are (cosine).

# %%
bm.tl.spami(mdata, n_clusters=5)
ari = bm.metrics.adjusted_rand_index(mdata.obs["ground_truth"], mdata.obs["spami"])
print(f"{mdata.obs['spami'].nunique()} domains, ARI {ari:.2f}")
bm.pl.spatial(mdata, color=["ground_truth", "spami"], titles=["the truth", "SpaMI"])

# %%
bm.pl.loss(mdata, key="spami", log=True)

# %% [markdown]
# ## Which modality counts where
#
# Attention is a number per spot and modality; those of a spot add up to 1.

# %%
print(mdata.obsm["spami_attention"].describe().loc[["mean", "std"]].round(2).to_string())
bm.pl.attention(mdata)

# %% [markdown]
# ## Expression without the noise
#
# The decoder's prediction of each feature is a layer of its modality. It is smoother than what was measured: compare
# markers in it, not differences between neighbouring spots.

# %%
rna = mdata["rna"]
named = rna.var.index[rna.var["spami_denoised"]]
measured = rna.to_df()[named]
gene = (measured.var() / measured.mean()).idxmax()
rna.obs["denoised"] = rna.to_df("spami_denoised")[gene]
rna.obsm["spatial"] = mdata.obsm["spatial"]
bm.pl.spatial(rna, color=[gene, "denoised"], titles=[f"{gene}, counts", f"{gene}, denoised"])

# %% [markdown]
# ## Beside what needs no training
#
# SpatialLeiden joins graphs of the same modalities in well under a second. Look at both: where they agree, a domain is no whim
# of a method.

# %%
for modality in mdata.mod.values():
    bm.pp.normalize_total(modality)
    bm.pp.log1p(modality)
    bm.pp.pca(modality)
    bm.pp.neighbors(modality)
bm.gr.spatial_neighbors(mdata, coord_type="grid", n_neighs=4)
bm.tl.spatialleiden_multimodal(mdata, n_clusters=5)
both = bm.metrics.adjusted_rand_index(mdata.obs["spami"], mdata.obs["spatialleiden"])
print(f"SpaMI and SpatialLeiden agree with ARI {both:.2f}")
