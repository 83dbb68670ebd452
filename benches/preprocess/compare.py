#!/usr/bin/env python3
"""Preprocessing step by step, ours beside scanpy, on the same simulated counts (5 % non-zero).

    bash benches/run preprocess [FILE.h5ad] [--sizes 10000 100000] [--genes 2000]

Steps that only one of both has are left out of the other. `highly_variable_genes(flavor="seurat_v3")` needs scikit-misc,
which the peers' environment has; where it has not, that step is left out on both sides. scanpy's route to our PCA is
`scale` (dense) and then `pca`; ours scales inside the products. `variance` is the sum of the variances of the 30
components: both routes agree on it. A small table first pays for what numba compiles.
"""
import importlib.util
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import common

# Our step, and what it is called in scanpy.
HVG = "highly_variable_genes seurat_v3"
STEPS = {
    "filter_genes": "filter_genes",
    HVG: HVG,
    "normalize_total": "normalize_total",
    "log1p": "log1p",
    "scale (measured, not written)": "scale + pca",
    "pca 30": "scale + pca",
}


def peer(source):
    import scanpy as sc

    adata = sc.read_h5ad(source)

    def every(adata):
        steps = {}

        def timed(what, work):
            with common.Clock() as clock:
                work()
            before = steps.get(what, {"seconds": 0.0, "cpu_seconds": 0.0})
            steps[what] = {k: before[k] + v for k, v in clock.report().items()}

        timed("filter_genes", lambda: sc.pp.filter_genes(adata, min_cells=3, inplace=False))
        few = min(2000, adata.n_vars)
        hvg = lambda: sc.pp.highly_variable_genes(adata, flavor="seurat_v3", n_top_genes=few, inplace=False)
        if has_misc():
            timed(HVG, hvg)
        timed("normalize_total", lambda: sc.pp.normalize_total(adata, target_sum=1e4))
        timed("log1p", lambda: sc.pp.log1p(adata))
        timed("scale + pca", lambda: sc.pp.scale(adata, max_value=10))
        timed("scale + pca", lambda: sc.pp.pca(adata, n_comps=30, mask_var=None))
        return steps

    every(adata[:500, adata[:500].X.sum(0).A1 > 0].copy())
    steps = every(adata)
    steps["scale + pca"]["quality"] = {"variance": float(adata.uns["pca"]["variance"].sum())}
    steps["all"] = {"seconds": sum(step["seconds"] for step in steps.values())}
    common.say({
        "steps": steps,
        "peak_mib": common.peak_mib(),
        "versions": common.versions("scanpy", "scikit-learn", "scikit-misc"),
    })


def has_misc():
    return importlib.util.find_spec("skmisc") is not None


def ours(report, tool):
    if tool != "brodmann":
        return
    steps = {}
    for mine, name in STEPS.items():
        if mine in report["steps"]:
            into = steps.setdefault(name, {"seconds": 0.0})
            into["seconds"] += report["steps"][mine]["seconds"]
    steps["scale + pca"]["quality"] = {"variance": report["variance"]}
    # A whole of the same parts as the peer's.
    steps["all"] = {"seconds": sum(step["seconds"] for name, step in steps.items() if name != HVG or has_misc())}
    report["steps"] = steps


def main():
    parser = common.parser(__doc__, "preprocess")
    parser.add_argument("counts", nargs="?", type=Path, help="a .h5ad of counts instead of simulated ones")
    parser.add_argument("--sizes", type=int, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--genes", type=int, default=2000)
    parser.add_argument("--density", type=float, default=0.05)
    arguments = parser.parse_args()
    bench = common.Bench(
        "preprocess",
        "Preprocessing and PCA",
        "Raw counts to 30 principal components, step by step; `all` is their sum. `variance` says that both find the same "
        "components. Memory is the peak of the whole process, the matrix read included.",
        arguments,
    )
    sources = [(None, arguments.counts)] if arguments.counts else []
    for size in [] if arguments.counts else arguments.sizes:
        side = round(size**0.5)
        path = common.tissues() / f"{side * side}-{arguments.genes}-{arguments.density}.h5ad"
        common.simulate(path, side, arguments.genes, arguments.density, threads=arguments.threads)
        sources.append((side * side, path))
    for n, source in sources:
        command = [common.program("bench_preprocess"), source, "--json"]
        peers = {"scanpy": [sys.executable, __file__, "--peer", source]}
        bench.compare(f"{n:,} × {arguments.genes}" if n else source.name, n, command, peers, finish=ours)
    if not has_misc() and not arguments.no_peers:
        bench.note("scikit-misc is not installed: scanpy cannot find genes by seurat_v3, and `all` is without that step on both sides.")
    bench.write()


if __name__ == "__main__":
    if sys.argv[1:2] == ["--peer"]:
        peer(sys.argv[2])
    else:
        main()
