#!/usr/bin/env python3
"""Domains by the packages that users would take instead, on one tissue: ARI, NMI, seconds and memory of one run.

    python benches/accuracy/peers.py METHOD FILE K SEED

Each as its own tutorial does it, with one way from counts to components for all: total 10,000, logarithm, the 3000 most
variable genes, 30 components. Where a package clusters by Leiden, the resolution is bisected for K.

pybanksy             its matrix (lambda .2, 18 neighbours, AGF), 20 components, Leiden of 50 neighbours
squidpy utag         `calculate_niche`: means over neighbours, Leiden
squidpy cellcharter  `calculate_niche`: components of 0 to 3 hops, mixture
cellcharter          components of 0 to 3 hops, its own mixture
scanpy leiden        expression alone
"""
import pathlib
import sys
import warnings

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
import common

warnings.filterwarnings("ignore")
N_GENES, N_COMPONENTS = 3000, 30
# What a bisection may take.
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


def pybanksy(adata, k, seed, scanpy):
    import numpy
    from banksy.embed_banksy import generate_banksy_matrix
    from banksy.initialize_banksy import initialize_banksy

    adata.obs["x"], adata.obs["y"] = numpy.asarray(adata.obsm["spatial"], dtype=float)[:, :2].T
    adata.obsm["xy"] = numpy.asarray(adata.obsm["spatial"], dtype=float)[:, :2]
    quiet = dict(plt_edge_hist=False, plt_nbr_weights=False, plt_agf_angles=False, plt_theta=False)
    found = initialize_banksy(adata, ("x", "y", "xy"), num_neighbours=18, max_m=1, **quiet)
    _, matrix = generate_banksy_matrix(adata, found, [0.2], max_m=1, verbose=False)
    scanpy.pp.pca(matrix, n_comps=min(20, adata.n_obs - 1), random_state=0, key_added="banksy")
    scanpy.pp.neighbors(matrix, n_neighbors=50, use_rep="banksy", random_state=0)
    return leiden(matrix, scanpy, seed, k)


def neighborhood(adata, squidpy):
    if "spatial" in adata.uns:
        squidpy.gr.spatial_neighbors(adata)
    else:
        squidpy.gr.spatial_neighbors(adata, coord_type="generic", delaunay=True, percentile=99)


def niche(adata, column_of):
    """The one column that a call adds to obs."""
    before = set(adata.obs)
    column_of()
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
        adata, flavor="cellcharter", distance=3, aggregation="mean", n_components=k, random_state=seed, use_rep="X_pca"
    )
    return niche(adata, call)


def cellcharter(adata, k, seed, scanpy):
    import cellcharter as cc
    import squidpy

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
    "pybanksy": pybanksy,
    "squidpy utag": squidpy_utag,
    "squidpy cellcharter": squidpy_cellcharter,
    "cellcharter": cellcharter,
    "scanpy leiden": scanpy_leiden,
}


def main():
    method, path, k, seed = sys.argv[1], pathlib.Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
    import anndata
    import scanpy
    from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score

    adata = anndata.read_h5ad(path)
    truth = adata.obs["ground_truth"]
    with common.Clock() as clock:
        adata = components(adata, scanpy)
        labels = METHODS[method](adata, k, seed, scanpy).astype(str).to_numpy()
    known = truth.notna().to_numpy()
    pair = truth[known].astype(str), labels[known]
    quality = {"ARI": adjusted_rand_score(*pair), "NMI": normalized_mutual_info_score(*pair)}
    package = {"pybanksy": "pybanksy", "cellcharter": "cellcharter", "scanpy leiden": "scanpy"}.get(method, "squidpy")
    found = len(set(labels))
    common.say(clock.report(quality=quality, peak_mib=common.peak_mib(), found=found, versions=common.versions(package)))


if __name__ == "__main__":
    main()
