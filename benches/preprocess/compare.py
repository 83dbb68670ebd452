"""Time scanpy on the counts that `bench_preprocess --dump DIR` wrote.

    cargo run --release -p brodmann --example bench_preprocess -- 100000 2000 0.05 --dump /tmp/counts
    python benches/preprocess/compare.py /tmp/counts

Needs scanpy; `highly_variable_genes(flavor="seurat_v3")` needs scikit-misc too and is skipped without it.
scanpy's route to the same PCA is `scale` (dense) and then `pca`; both are timed.
"""

import resource
import sys
import time
import warnings

import anndata
import numpy as np
import scanpy as sc
from scipy import sparse

warnings.filterwarnings("ignore")
folder = sys.argv[1]
load = lambda name: np.load(f"{folder}/{name}.npy")
shape = tuple(int(v) for v in load("shape"))
x = sparse.csr_matrix((load("data"), load("indices"), load("indptr")), shape=shape)
a = anndata.AnnData(x)
total = 0.0


def timed(what, f):
    global total
    start = time.perf_counter()
    try:
        f()
    except ImportError as missing:
        print(f"{what:<34}  skipped: {missing}")
        return
    seconds = time.perf_counter() - start
    total += seconds
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(f"{what:<34} {seconds:8.3f} s   peak {peak:6} MB", flush=True)


print(f"scanpy {sc.__version__}, {shape[0]} spots x {shape[1]} genes, {x.nnz} stored")
timed("filter_genes", lambda: sc.pp.filter_genes(a, min_cells=3, inplace=False))
timed("highly_variable_genes seurat_v3", lambda: sc.pp.highly_variable_genes(a, flavor="seurat_v3", n_top_genes=2000))
timed("normalize_total", lambda: sc.pp.normalize_total(a, target_sum=1e4))
timed("log1p", lambda: sc.pp.log1p(a))
timed("highly_variable_genes seurat", lambda: sc.pp.highly_variable_genes(a, n_top_genes=shape[1] // 2, inplace=False))
timed("scale", lambda: sc.pp.scale(a, max_value=10))
timed("pca 30", lambda: sc.pp.pca(a, n_comps=30, mask_var=None))
print("  variances", np.round(a.uns["pca"]["variance"][:3], 4))
print(f"steps together {total:.3f} s")
