#!/usr/bin/env python3
"""`bm.pp.pca` beside scanpy's `pp.pca` on the very same AnnData, small tissues among them.

    bash benches/run pca DATA [--sizes 1296 10000 100000] [--threads 1]

Log-normalised values of STARmap and DLPFC 151673 (its 3,000 most variable genes) from DATA, and of simulated tissues;
1,296 spots have 1,000 genes, larger ones 2,000. Every run is a fresh process that reads its file, makes the matrix dense
where that is asked, finds the components of 100 spots to warm up, and then 30 components of all: only that call is timed.
The peer is called with each solver that takes the matrix; `variance` is the sum of the 30 variances, which says how much
of what there is was found. Dense tables of more than 20,000 spots are left out, and peers on such have one repeat.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import common

REAL = {
    "STARmap": "starmap_v1_1k/starmap_v1_1k.h5ad",
    "DLPFC 151673": "dlpfc_151673/dlpfc_151673.h5ad",
}
N_GENES = 3000
N_COMPONENTS = 30
SOLVERS = {"sparse": ["arpack", "covariance_eigh"], "dense": ["arpack", "randomized", "covariance_eigh"]}
LARGE = 20_000


def prepare(source, path):
    """Runs in its own process: log-normalised values of the most variable genes, no more."""
    import anndata as ad
    import scipy.sparse as sp

    import brodmann as bm

    adata = bm.read(source)
    if adata.n_vars > N_GENES:
        bm.pp.highly_variable_genes(adata, n_top_genes=N_GENES, flavor="seurat_v3")
        adata = adata[:, adata.var["highly_variable"].to_numpy()].copy()
    bm.pp.normalize_total(adata)
    bm.pp.log1p(adata)
    ad.AnnData(sp.csr_matrix(adata.X).astype("float32")).write_h5ad(path)


def once(tool, form, path):
    """Runs in its own process; prints one JSON line. `tool`: brodmann, or a solver of scanpy."""
    import anndata as ad

    adata = ad.read_h5ad(path)
    if form == "dense":
        adata.X = adata.X.toarray()
    if tool == "brodmann":
        import brodmann as bm

        call = lambda adata: bm.pp.pca(adata, n_comps=N_COMPONENTS)
        versions = {}
    else:
        import scanpy as sc

        call = lambda adata: sc.pp.pca(adata, n_comps=N_COMPONENTS, svd_solver=tool)
        versions = common.versions("scanpy", "scikit-learn", "scipy")
    call(adata[:100].copy())
    with common.Clock() as clock:
        call(adata)
    variance = float(adata.uns["pca"]["variance"].sum())
    common.say(clock.report(quality={"variance": variance}, peak_mib=common.peak_mib(), versions=versions))


def main():
    parser = common.parser(__doc__, "pca")
    parser.add_argument("data", type=Path)
    parser.add_argument("--sizes", type=int, nargs="*", default=[1296, 10_000, 100_000])
    arguments = parser.parse_args()
    bench = common.Bench(
        "pca",
        "Principal components of small and large tables",
        "30 components of log-normalised values, ours and each solver of scanpy by one call on the same AnnData. `variance` "
        "is the sum of the components' variances: less of it is found by a solver that stops early.",
        arguments,
    )
    folder = common.tissues()
    folder.mkdir(parents=True, exist_ok=True)
    sources = {}
    for name, file in REAL.items():
        if (arguments.data / file).exists():
            sources[name] = arguments.data / file
        else:
            bench.note(f"{name}: skipped, {Path(file).name} is absent.")
    for size in arguments.sizes:
        side, genes = round(size**0.5), 1000 if size < 2000 else 2000
        path = folder / f"{side * side}-{genes}-0.05.h5ad"
        sources[f"simulated {side * side:,}"] = common.simulate(path, side, genes, 0.05)
    for name, source in sources.items():
        path = folder / f"pca-{source.stem}.h5ad"
        if not path.exists():
            common.aside(__file__, "--prepare", source, path)
        n_obs, n_vars = common.aside(__file__, "--shape", path)
        for form, solvers in SOLVERS.items():
            if form == "dense" and n_obs > LARGE:
                continue
            command = lambda tool: [sys.executable, __file__, "--once", tool, form, path]
            peers = {f"scanpy, {solver}": command(solver) for solver in solvers}
            case = f"{name}, {n_obs:,} × {n_vars:,}, {form}"
            bench.compare(case, n_obs, command("brodmann"), peers, peer_repeats=1 if n_obs > LARGE else None)
    bench.write()


def shape(path):
    import json

    import h5py

    with h5py.File(path) as file:
        print(json.dumps([int(n) for n in file["X"].attrs["shape"]]))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--prepare"]:
        prepare(sys.argv[2], sys.argv[3])
    elif sys.argv[1:2] == ["--shape"]:
        shape(sys.argv[2])
    elif sys.argv[1:2] == ["--once"]:
        once(*sys.argv[2:])
    else:
        main()
