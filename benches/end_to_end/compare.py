#!/usr/bin/env python3
"""Raw counts to spatial domains: `brodmann spatialleiden` beside the same road in scanpy, squidpy and spatialleiden.

    bash benches/run end_to_end [--sizes 10000 100000 1000000] [--peer-limit 100000] [--peer-repeats 1]

Both read the same simulated `.h5ad` (2000 genes, 5 % non-zero, five domains), normalise, reduce to 30 components, find 15
latent neighbours and the four neighbours on the grid, cluster both graphs by multiplex Leiden at resolution 1, and write a
`.h5ad`. Seconds are those after imports and after a small tissue, which pays for what numba compiles; ARI is that with the
simulated truth. The script scales genes as ours does, which in scanpy makes the matrix dense; since many leave that out,
its whole without scaling stands beside ours too (--scaling sets which scripts run). Above --peer-limit spots ours runs
alone, from --once-from spots on it runs once.
"""
import math
import re
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import common

NORMALISED = "read to normalised"
# In the order of the road.
STEPS = ("read", "HVG + normalise", NORMALISED, "PCA", "kNN graph", "spatial graph", "SpatialLeiden", "write")
SCRIPTS = {"scaled": "script", "unscaled": "script, genes not scaled"}


def peer(source, out, seed, scaled):
    """Runs in its own process; one JSON line."""
    import time

    import numpy as np
    import scanpy as sc
    import scipy.sparse
    import squidpy as sq
    from sklearn.metrics import adjusted_rand_score
    from spatialleiden import spatialleiden

    # pynndescent 0.7 hands scanpy 1.11 an array where it expects a matrix.
    if not hasattr(scipy.sparse.csr_array, "getnnz"):
        scipy.sparse.csr_array.getnnz = scipy.sparse.csr_array._getnnz
    steps = {}

    def timed(name, work):
        with common.Clock() as clock:
            result = work()
        steps[name] = clock.report()
        return result

    def normalise(adata):
        sc.pp.filter_genes(adata, min_cells=3)
        few = min(3000, adata.n_vars)
        if adata.n_vars > few:
            sc.pp.highly_variable_genes(adata, flavor="seurat_v3", n_top_genes=few)
        sc.pp.normalize_total(adata, target_sum=1e4)
        sc.pp.log1p(adata)

    def components(adata):
        if scaled:
            sc.pp.scale(adata, max_value=10)
        sc.pp.pca(adata, n_comps=30)

    def warm_up():
        """Compiles what is compiled at the first call, on other data of the same kind."""
        counts = scipy.sparse.random(300, 200, 0.2, "csr", dtype=np.float32, random_state=0)
        counts.data = np.ceil(9 * counts.data)
        few = sc.AnnData(counts)
        normalise(few)
        components(few)
        # Above 8192 points scanpy searches by pynndescent, which compiles most.
        few = sc.AnnData(np.random.default_rng(0).normal(size=(8200, 30)).astype(np.float32))
        few.obsm["X_pca"] = few.X
        few.obsm["spatial"] = np.stack([np.arange(8200) % 100, np.arange(8200) // 100], 1).astype(float)
        sc.pp.neighbors(few, n_neighbors=15, use_rep="X_pca")
        sq.gr.spatial_neighbors(few, coord_type="grid", n_neighs=4)

    began = time.perf_counter()
    warm_up()
    began = time.perf_counter() - began
    adata = timed("read", lambda: sc.read_h5ad(source))
    timed("HVG + normalise", lambda: normalise(adata))
    timed("PCA", lambda: components(adata))
    timed("kNN graph", lambda: sc.pp.neighbors(adata, n_neighbors=15, use_rep="X_pca"))
    timed("spatial graph", lambda: sq.gr.spatial_neighbors(adata, coord_type="grid", n_neighs=4))
    timed("SpatialLeiden", lambda: spatialleiden(adata, random_state=seed))
    timed("write", lambda: adata.write_h5ad(out))
    both = ("seconds", "cpu_seconds")
    whole = {k: sum(step[k] for step in steps.values()) for k in both}
    steps[NORMALISED] = {k: steps["read"][k] + steps["HVG + normalise"][k] for k in both}
    labels = adata.obs["spatialleiden"]
    whole["quality"] = {
        "ARI": adjusted_rand_score(adata.obs["ground_truth"], labels),
        "clusters": int(labels.nunique()),
    }
    common.say({
        "steps": {"all": whole, **(steps if scaled else {})},
        "warm_up_seconds": began,
        "peak_mib": common.peak_mib(),
        "versions": common.versions("scanpy", "squidpy", "spatialleiden", "leidenalg", "pynndescent", "anndata"),
    })


def stages(log):
    """When each stage of the last run in the log began."""
    found = {}
    for line in log.read_text().splitlines():
        if begins := re.match(r"\[\s*([0-9.]+)s\] (.*)$", line):
            if begins.group(2) == "reading":
                found = {}
            found.setdefault(begins.group(2).split(": ")[-1], float(begins.group(1)))
    return found


def finished(log):
    """What turns a report into steps."""

    def finish(report, tool):
        whole = report["process_seconds"] - report.get("warm_up_seconds", 0)
        if tool != "brodmann":
            report["steps"]["all"]["quality"]["with start-up, s"] = whole
            return
        seconds = report.pop("seconds")
        began = stages(log)
        # The report counts both graphs together and the components with the counts; the log says when each began.
        components = began["latent neighbours"] - began["principal components"]
        spatial = began["reading and preprocessing"] - began["spatial neighbours"]
        steps = {
            "read": seconds["read"],
            "HVG + normalise": max(seconds["preprocess"] - components, 0.0),
            NORMALISED: max(seconds["read"] + seconds["preprocess"] - components, 0.0),
            "PCA": components,
            "kNN graph": max(seconds["graph"] - spatial, 0.0),
            "spatial graph": spatial,
            "SpatialLeiden": seconds["cluster"],
            "write": seconds["write"],
        }
        quality = {"ARI": report["metrics"]["ari"]} if report.get("metrics") else {}
        quality.update({"clusters": report["n_clusters"], "with start-up, s": whole})
        forecast = {}
        if report.get("forecast_bytes"):
            forecast = {"forecast MiB": report["forecast_bytes"] / 2**20, "forecast s": report["forecast_seconds"]}
        whole = {"seconds": sum(seconds.values()), "cpu_seconds": report["process_cpu_seconds"]}
        report["steps"] = {"all": {**whole, "quality": {**quality, **forecast}}}
        report["steps"].update({step: {"seconds": steps[step]} for step in STEPS})
        for step in ("read", "HVG + normalise"):
            report["steps"][step]["apart"] = True

    return finish


def slopes(bench, per_size):
    """Exponents of N between successive sizes: 1 is linear."""
    sizes = sorted(per_size)
    for small, large in zip(sizes, sizes[1:]):
        found = []
        for step in ("all", *STEPS[2:]):
            low, high = (per_size[n][step]["median"] for n in (small, large))
            # Stages are told apart to a hundredth of a second: below five of them it is the clock that grows.
            if low >= 0.05:
                found.append(f"{step} {math.log(high / low) / math.log(large / small):.2f}")
            else:
                found.append(f"{step} – (under 0.05 s)")
        bench.note(f"Slope of ours from {small:,} to {large:,} spots (seconds grow as N to this power; 1 is linear): {', '.join(found)}.")


def forecasts(bench, n, reports):
    """The forecast of memory beside the truth, of the run in the middle."""
    pairs = sorted((r["forecast_bytes"] / 2**20, r["peak_mib"]) for r in reports if r.get("forecast_bytes") and r.get("peak_mib"))
    if pairs:
        forecast, peak = pairs[len(pairs) // 2]
        bench.note(f"{n:,} spots: {forecast:,.0f} MiB were forecast, {peak:,.0f} MiB were used ({100 * (forecast / peak - 1):+.0f} %).")


def main():
    parser = common.parser(__doc__, "end_to_end")
    parser.add_argument("--sizes", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--genes", type=int, default=2000)
    parser.add_argument("--density", type=float, default=0.05)
    parser.add_argument("--peer-limit", type=int, default=100_000, help="largest tissue given to the script")
    parser.add_argument("--peer-repeats", type=int, default=1, help="runs of the script from 50,000 spots on: minutes each")
    parser.add_argument("--once-from", type=int, default=2_000_000, help="tissues that ours runs on once")
    parser.add_argument("--seed", type=int, default=42)
    parser.add_argument("--scaling", nargs="+", choices=list(SCRIPTS), default=list(SCRIPTS), help="scripts that run")
    arguments = parser.parse_args()
    bench = common.Bench(
        "end_to_end",
        "End to end: raw counts to spatial domains",
        "One `.h5ad` in, one `.h5ad` with domains out, beside a script of the same steps and settings in scanpy, squidpy and "
        "spatialleiden. `all` is the sum of the stages below it, and `with start-up` the whole process, imports included; memory is "
        "the peak of the process. Ours reads the counts block by block while it normalises them, so `read` and `HVG + normalise` "
        f"are compared as one, `{NORMALISED}` (with 2000 genes there is nothing for HVG to leave out, on either side). Scaling, which in "
        "scanpy makes the matrix dense, is counted with the PCA; `script, genes not scaled` does without it. ARI is agreement with "
        "the simulated domains (1 is perfect).",
        arguments,
    )
    per_size = {}
    for size in sorted(arguments.sizes):
        side = round(size**0.5)
        n = side * side
        name = f"{n}-{arguments.genes}-{arguments.density}.h5ad"
        source = common.simulate(common.tissues() / name, side, arguments.genes, arguments.density, threads=arguments.threads)
        with tempfile.TemporaryDirectory() as folder:
            mine, theirs, log = (Path(folder) / name for name in ("ours.h5ad", "theirs.h5ad", "ours.log"))
            command = [common.program(), "spatialleiden", source, "--out", mine, "--spatial", "grid", "--n-spatial", 4]
            command += ["--seed", arguments.seed, "--log", log, "--json", "--quiet", "--force"]
            script = [sys.executable, __file__, "--peer", source, theirs, arguments.seed]
            peers = {SCRIPTS[how]: [*script, how] for how in arguments.scaling}
            reports = bench.compare(
                f"{n:,} spots",
                n,
                command,
                peers if size <= arguments.peer_limit else {},
                repeats=1 if size >= arguments.once_from else None,
                # The second script is the same but for its PCA: once says enough.
                peer_repeats={
                    SCRIPTS["scaled"]: arguments.peer_repeats if size >= 50_000 else None,
                    SCRIPTS["unscaled"]: 1,
                },
                finish=finished(log),
            )
        ours = reports["brodmann"]
        forecasts(bench, n, ours)
        per_size[n] = {step: common.spread(common.numbers(ours, step, "seconds")) for step in ours[0]["steps"]}
    slopes(bench, per_size)
    bench.write()


if __name__ == "__main__":
    if sys.argv[1:2] == ["--peer"]:
        peer(sys.argv[2], sys.argv[3], int(sys.argv[4]), sys.argv[5] == "scaled")
    else:
        main()
