#!/usr/bin/env python3
"""Domains by the packages that users would take instead, on one tissue: ARI, NMI, seconds and memory of one run.

    python benches/accuracy/peers.py METHOD FILE K SEED

One setting for every tissue, and one way from counts to components: total 10,000, logarithm, the 3000 most variable genes, 30
components. Where a package clusters by Leiden, the resolution is bisected for K, and the seconds are those of the search.

pybanksy .2, .8      its matrix (that lambda, 15 neighbours, AGF), 20 components, scanpy's Leiden of 50 neighbours
squidpy utag         `calculate_niche`: means over neighbours, Leiden; takes no seed
squidpy cellcharter  `calculate_niche`: expression of 0 to 3 hops, components, mixture
cellcharter          components of 0 to 3 hops, its own mixture
scanpy leiden        expression alone
"""
import importlib
import pathlib
import sys
import warnings

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
import common

warnings.filterwarnings("ignore")
N_GENES, N_COMPONENTS = 3000, 30
# Most steps of a bisection.
STEPS = 20


def components(adata, scanpy):
    scanpy.pp.filter_genes(adata, min_cells=3)
    if adata.n_vars > N_GENES:
        scanpy.pp.highly_variable_genes(adata, n_top_genes=N_GENES, flavor="seurat_v3")
        adata = adata[:, adata.var["highly_variable"]].copy()
    scanpy.pp.normalize_total(adata, target_sum=1e4)
    scanpy.pp.log1p(adata)
    scanpy.pp.pca(adata, n_comps=min(N_COMPONENTS, adata.n_vars - 1, adata.n_obs - 1), random_state=0)
    return adata


def bisected(cluster, k):
    """The labels of the resolution that gives k clusters, else of the nearest number seen."""
    low, high, best = 0.01, 4.0, None
    for _ in range(STEPS):
        middle = (low * high) ** 0.5
        labels = cluster(middle)
        n = labels.nunique()
        if best is None or abs(n - k) < best[0]:
            best = (abs(n - k), labels)
        if n == k:
            break
        low, high = (middle, high) if n < k else (low, middle)
    return best[1]


def leiden(adata, scanpy, seed, k):
    def cluster(resolution):
        scanpy.tl.leiden(adata, resolution=resolution, random_state=seed, flavor="igraph", n_iterations=-1)
        return adata.obs["leiden"].copy()

    return bisected(cluster, k)


def pybanksy(adata, k, seed, scanpy, share):
    from banksy.embed_banksy import generate_banksy_matrix
    from banksy.initialize_banksy import initialize_banksy

    adata.obsm["xy"] = adata.obsm["spatial"][:, :2].astype(float)
    adata.obs["x"], adata.obs["y"] = adata.obsm["xy"].T
    quiet = dict(plt_edge_hist=False, plt_nbr_weights=False, plt_agf_angles=False, plt_theta=False)
    found = initialize_banksy(adata, ("x", "y", "xy"), num_neighbours=15, max_m=1, **quiet)
    _, matrix = generate_banksy_matrix(adata, found, [share], max_m=1, verbose=False)
    scanpy.pp.pca(matrix, n_comps=min(20, adata.n_obs - 1), random_state=0, key_added="banksy")
    scanpy.pp.neighbors(matrix, n_neighbors=50, use_rep="banksy", random_state=0)
    return leiden(matrix, scanpy, seed, k)


def neighborhood(adata, squidpy):
    if "spatial" in adata.uns:
        squidpy.gr.spatial_neighbors(adata)
    else:
        squidpy.gr.spatial_neighbors(adata, coord_type="generic", delaunay=True, percentile=99)


def niche(adata, calculate):
    """The one column that a call adds to obs."""
    before = set(adata.obs)
    calculate()
    return adata.obs[next(name for name in adata.obs if name not in before)].astype(str)


def squidpy_utag(adata, k, seed, scanpy):
    import squidpy

    neighborhood(adata, squidpy)

    def cluster(resolution):
        own = adata.copy()
        call = lambda: squidpy.gr.calculate_niche(own, flavor="utag", n_neighbors=15, resolutions=[resolution])
        return niche(own, call)

    return bisected(cluster, k)


def squidpy_cellcharter(adata, k, seed, scanpy):
    import squidpy

    neighborhood(adata, squidpy)
    call = lambda: squidpy.gr.calculate_niche(
        adata, flavor="cellcharter", distance=3, aggregation="mean", n_components=k, random_state=seed
    )
    return niche(adata, call)


def cellcharter(adata, k, seed, scanpy):
    import cellcharter as cc
    import pytorch_lightning
    import squidpy

    # `Cluster` takes a seed and leaves it unread.
    pytorch_lightning.seed_everything(seed)
    neighborhood(adata, squidpy)
    cc.gr.aggregate_neighbors(adata, n_layers=3, use_rep="X_pca", out_key="X_cellcharter")
    trainer = {"accelerator": "cpu", "enable_progress_bar": False, "logger": False}
    model = cc.tl.Cluster(n_clusters=k, random_state=seed, trainer_params=trainer)
    model.fit(adata, use_rep="X_cellcharter")
    labels = model.predict(adata, use_rep="X_cellcharter")
    return adata.obs.index.to_series().map(dict(zip(adata.obs_names, map(str, labels))))


def scanpy_leiden(adata, k, seed, scanpy):
    scanpy.pp.neighbors(adata, random_state=seed)
    return leiden(adata, scanpy, seed, k)


METHODS = {
    "pybanksy .2": lambda *given: pybanksy(*given, 0.2),
    "pybanksy .8": lambda *given: pybanksy(*given, 0.8),
    "squidpy utag": squidpy_utag,
    "squidpy cellcharter": squidpy_cellcharter,
    "cellcharter": cellcharter,
    "scanpy leiden": scanpy_leiden,
}
# What is imported before the clock starts, and of which package.
MODULES = {
    "pybanksy": ["banksy.embed_banksy", "banksy.initialize_banksy"],
    "squidpy": ["squidpy"],
    "cellcharter": ["cellcharter", "squidpy", "pytorch_lightning"],
    "scanpy": ["igraph"],
}


def main():
    method, path, k, seed = sys.argv[1], pathlib.Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
    import anndata
    import scanpy
    from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score

    package = method.split()[0]
    for module in MODULES[package]:
        importlib.import_module(module)
    adata = anndata.read_h5ad(path)
    truth = adata.obs["ground_truth"]
    with common.Clock() as clock:
        adata = components(adata, scanpy)
        labels = METHODS[method](adata, k, seed, scanpy).astype(str).to_numpy()
    known = truth.notna().to_numpy()
    pair = truth[known].astype(str), labels[known]
    quality = {"ARI": adjusted_rand_score(*pair), "NMI": normalized_mutual_info_score(*pair)}
    found = len(set(labels))
    common.say(clock.report(quality=quality, peak_mib=common.peak_mib(), found=found, versions=common.versions(package)))


if __name__ == "__main__":
    main()
