"""qc.npz: scanpy 1.11.5's metrics of 120 spots x 30 genes, and z-scores among 12 neighbours by scipy and scikit-learn."""
import numpy as np
from _common import check, save, hide_script_dir
hide_script_dir()
import anndata  # noqa: E402
import pandas as pd  # noqa: E402
import scanpy as sc  # noqa: E402
import scipy.sparse as sp  # noqa: E402
from scipy.stats import median_abs_deviation  # noqa: E402
from sklearn.neighbors import NearestNeighbors  # noqa: E402

rng = np.random.default_rng(21)
N, G, K = 120, 30, 12
depth = rng.lognormal(0, 0.6, N)
counts = rng.poisson(depth[:, None] * rng.gamma(0.7, 3.0, G)).astype(np.float32)
counts[[7, 80]] = 0  # no counts: no percentage
mito = np.arange(G) < 4
coordinates = rng.uniform(0, 100, (N, 2))
slices = (np.arange(N) % 5 < 2).astype(float)

adata = anndata.AnnData(sp.csr_matrix(counts), var=pd.DataFrame({"mt": mito}))
spots, genes = sc.pp.calculate_qc_metrics(adata, qc_vars=["mt"], percent_top=None, log1p=False)
pct = spots["pct_counts_mt"].to_numpy(float)
check("total_counts", spots["total_counts"], counts.sum(1))
check("n_genes_by_counts", spots["n_genes_by_counts"], (counts > 0).sum(1))


def z_scores(x):
    z = np.full(N, np.nan)
    for s in (0, 1):
        rows = np.flatnonzero(slices == s)
        near = NearestNeighbors(n_neighbors=K).fit(coordinates[rows]).kneighbors(return_distance=False)
        for i, others in zip(rows, rows[near]):
            around = x[others][np.isfinite(x[others])]
            z[i] = (x[i] - np.median(around)) / median_abs_deviation(around) * 0.6745
    return z


total, n_genes = (spots[c].to_numpy(float) for c in ("total_counts", "n_genes_by_counts"))
save("qc", {
    "counts": counts.astype(float),
    "mito": mito,
    "coordinates": coordinates,
    "slices": slices,
    "total_counts": total,
    "n_genes_by_counts": n_genes,
    "pct_counts_mt": pct,
    "n_cells_by_counts": genes["n_cells_by_counts"].to_numpy(float),
    "total_counts_of_genes": genes["total_counts"].to_numpy(float),
    "z_total_counts": z_scores(np.log1p(total)),
    "z_n_genes_by_counts": z_scores(np.log1p(n_genes)),
    "z_pct_counts_mt": z_scores(pct),
})
