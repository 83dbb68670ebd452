#!/usr/bin/env python3
"""Raw counts to spatial domains: `brodmann spatialleiden` beside the same road in scanpy, squidpy and spatialleiden.

    bash benches/run end_to_end [--sizes 10000 100000 1000000] [--peer-limit 100000] [--peer-repeats 1]

Both read the same simulated `.h5ad` (2000 genes, 5 % non-zero, five domains), normalise, reduce to 30 components, find 15
latent neighbours and the neighbours on the grid, cluster both graphs by multiplex Leiden at resolution 1, and write a
`.h5ad`. Seconds are those after imports and after graphs of 5000 other points, which pay for what numba compiles; ARI is that with
the simulated truth. The script scales genes as ours does, which in scanpy makes the matrix dense; --no-scale leaves that out of the
script. From --once-from spots on ours is run once.
"""
import math
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import common

STEPS = ("read", "preprocess", "graph", "cluster", "write")


def peer(source, out, seed, scaled):
    """Runs in its own process; one JSON line."""
    import numpy as np
    import scanpy as sc
    import squidpy as sq
    from sklearn.metrics import adjusted_rand_score
    from spatialleiden import spatialleiden

    steps = {}

    def timed(name, work):
        with common.Clock() as clock:
            result = work()
        before = steps.get(name, {"seconds": 0.0, "cpu_seconds": 0.0})
        steps[name] = {k: before[k] + v for k, v in clock.report().items()}
        return result

    def warm_up():
        """Compiles what is compiled at the first call, on other data of the same kind."""
        # Above 4096 points scanpy searches by pynndescent, which compiles most.
        few = sc.AnnData(np.random.default_rng(0).normal(size=(5000, 30)).astype(np.float32))
        few.obsm["X_pca"] = few.X
        few.obsm["spatial"] = np.stack([np.arange(5000) % 100, np.arange(5000) // 100], 1).astype(float)
        sc.pp.neighbors(few, n_neighbors=15, use_rep="X_pca")
        sq.gr.spatial_neighbors(few, coord_type="grid", n_neighs=4)

    warm_up()
    adata = timed("read", lambda: sc.read_h5ad(source))

    def preprocess():
        sc.pp.filter_genes(adata, min_cells=3)
        sc.pp.normalize_total(adata, target_sum=1e4)
        sc.pp.log1p(adata)
        if adata.n_vars > 3000:
            sc.pp.highly_variable_genes(adata, n_top_genes=3000)
        if scaled:
            sc.pp.scale(adata, max_value=10)
        sc.pp.pca(adata, n_comps=30)

    timed("preprocess", preprocess)
    timed("graph", lambda: sc.pp.neighbors(adata, n_neighbors=15, use_rep="X_pca"))
    timed("graph", lambda: sq.gr.spatial_neighbors(adata, coord_type="grid", n_neighs=4))
    timed("cluster", lambda: spatialleiden(adata, random_state=seed))
    timed("write", lambda: adata.write_h5ad(out))
    whole = {k: sum(step[k] for step in steps.values()) for k in ("seconds", "cpu_seconds")}
    labels = adata.obs["spatialleiden"]
    whole["quality"] = {
        "ARI": adjusted_rand_score(adata.obs["ground_truth"], labels),
        "clusters": int(labels.nunique()),
    }
    common.say({
        "steps": {"all": whole, **steps},
        "peak_mib": common.peak_mib(),
        "versions": common.versions("scanpy", "squidpy", "spatialleiden", "leidenalg", "anndata"),
    })


def ours(report, tool):
    """The report of `brodmann spatialleiden` as steps."""
    if tool != "brodmann":
        return
    seconds = report.pop("seconds")
    quality = {"clusters": report["n_clusters"]}
    if report.get("metrics"):
        quality = {"ARI": report["metrics"]["ari"], **quality}
    if report.get("forecast_bytes"):
        quality["forecast MiB"] = report["forecast_bytes"] / 2**20
    report["steps"] = {"all": {"seconds": sum(seconds.values()), "quality": quality}}
    report["steps"].update({step: {"seconds": seconds[step]} for step in STEPS if step in seconds})


def slopes(bench, per_size):
    """Exponents of N between successive sizes: 1 is linear."""
    sizes = sorted(per_size)
    for small, large in zip(sizes, sizes[1:]):
        found = []
        for step in ("all", *STEPS):
            low, high = (per_size[n].get(step, {}).get("median", 0) for n in (small, large))
            # Below a twentieth of a second it is the clock that grows.
            if low >= 0.05:
                found.append(f"{step} {math.log(high / low) / math.log(large / small):.2f}")
        if found:
            bench.note(f"Seconds of ours grow from {small:,} to {large:,} spots as N to the power of: {', '.join(found)}.")


def main():
    parser = common.parser(__doc__, "end_to_end")
    parser.add_argument("--sizes", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--genes", type=int, default=2000)
    parser.add_argument("--density", type=float, default=0.05)
    parser.add_argument("--peer-limit", type=int, default=100_000, help="largest tissue given to the script")
    parser.add_argument("--peer-repeats", type=int, default=1, help="runs of the script from 50,000 spots on: minutes each")
    parser.add_argument("--once-from", type=int, default=500_000, help="tissues that ours runs on once")
    parser.add_argument("--seed", type=int, default=42)
    parser.add_argument("--no-scale", action="store_true", help="leave the scaling of genes out of the script")
    arguments = parser.parse_args()
    bench = common.Bench(
        "end_to_end",
        "End to end: raw counts to spatial domains",
        "One `.h5ad` in, one `.h5ad` with domains out, beside the same road in Python. `all` is the sum of the stages below it; "
        "memory is the peak of the process. ARI is agreement with the simulated domains (1 is perfect).",
        arguments,
    )
    per_size = {}
    for size in arguments.sizes:
        side = round(size**0.5)
        n = side * side
        name = f"{n}-{arguments.genes}-{arguments.density}.h5ad"
        source = common.simulate(common.tissues() / name, side, arguments.genes, arguments.density, arguments.seed, arguments.threads)
        with tempfile.TemporaryDirectory() as folder:
            mine, theirs = Path(folder) / "ours.h5ad", Path(folder) / "theirs.h5ad"
            command = [common.program(), "spatialleiden", source, "--out", mine, "--seed", arguments.seed, "--json", "--quiet"]
            peers = {"scanpy + squidpy + spatialleiden": [sys.executable, __file__, "--peer", source, theirs, arguments.seed, int(not arguments.no_scale)]}
            reports = bench.compare(
                f"{n:,} spots",
                n,
                command,
                peers if size <= arguments.peer_limit else {},
                repeats=1 if size >= arguments.once_from else None,
                peer_repeats=arguments.peer_repeats if size >= 50_000 else None,
                finish=ours,
            )
        steps = reports["brodmann"][0]["steps"]
        per_size[n] = {step: common.spread(common.numbers(reports["brodmann"], step, "seconds")) for step in steps}
    slopes(bench, per_size)
    bench.write()


if __name__ == "__main__":
    if sys.argv[1:2] == ["--peer"]:
        peer(sys.argv[2], sys.argv[3], int(sys.argv[4]), sys.argv[5] != "0")
    else:
        main()
