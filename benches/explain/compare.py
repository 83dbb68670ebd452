#!/usr/bin/env python3
"""What is in a domain: markers, spatial genes, contacts and co-occurrence, beside scanpy and squidpy.

    bash benches/run explain [--sizes 10000 100000 1000000 --peer-limit 100000]

A simulated tissue of 2000 genes, 5 % non-zero, its counts log-normalised in the file, cut into 15 groups (5 domains, each
in 3 strips). Ours is the command, of which the stage that computes is timed; the peers are the same function on the object
in memory, of which the call is timed. Reading is left out on both sides. Numbers that must agree stand under quality.
"""
import json
import subprocess
import sys
import time
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPOSITORY / "benches"))
import common

STEPS = ("markers", "svg", "neighborhood", "co-occurrence")
PEERS = {"markers": "scanpy", "svg": "squidpy", "neighborhood": "squidpy", "co-occurrence": "squidpy"}
#: Distances that co-occurrence is looked at, in pitches of the grid, at few enough of which a peer ends.
DISTANCES, FARTHEST = 20, 10


def prepare(side, path):
    """Runs in its own process: simulates by the command, normalises, groups, writes."""
    import anndata as ad
    import numpy as np
    import pandas as pd
    import scipy.sparse as sp

    raw = Path(path).with_suffix(".raw.h5ad")
    common.simulate(raw, side)
    adata = ad.read_h5ad(raw)
    x = sp.csr_matrix(adata.X, dtype=np.float32)
    x.data *= np.repeat(1e4 / np.maximum(np.asarray(x.sum(1)).ravel(), 1), np.diff(x.indptr)).astype(np.float32)
    np.log1p(x.data, out=x.data)
    # Strips of equal size within each domain, so that no group is too small to be tested.
    domain, y = adata.obs["ground_truth"].cat.codes.to_numpy(), adata.obsm["spatial"][:, 1]
    group = np.empty(adata.n_obs, dtype=int)
    for code in np.unique(domain):
        own = np.flatnonzero(domain == code)
        group[own] = code * 3 + np.argsort(np.argsort(y[own], kind="stable")) * 3 // own.size
    names = [f"g{k}" for k in range(group.max() + 1)]
    obs = pd.DataFrame({"group": pd.Categorical.from_codes(group, names)}, index=adata.obs_names)
    new = ad.AnnData(x, obs=obs, var=adata.var[[]], obsm={"spatial": np.asarray(adata.obsm["spatial"], float)})
    # Six nearest by the grid: a knn graph that both sides read.
    n = side * side
    row, column = np.divmod(np.arange(n), side)
    edges = []
    for down, right in [(0, 1), (1, 0), (1, 1)]:
        inside = (row + down < side) & (column + right < side)
        a = np.arange(n)[inside]
        edges.append((a, a + down * side + right))
    i, j = (np.concatenate([e[k] for e in edges]) for k in (0, 1))
    graph = sp.coo_matrix((np.ones(i.size), (i, j)), shape=(n, n))
    new.obsp["spatial_connectivities"] = (graph + graph.T).tocsr()
    new.uns["spatial_neighbors"] = {"connectivities_key": "spatial_connectivities", "params": {}}
    new.write_h5ad(path)
    raw.unlink()


def longest(side, path):
    """The largest distance of co-occurrence, in units of the file."""
    import anndata as ad
    import numpy as np

    spatial = ad.read_h5ad(path, backed="r").obsm["spatial"]
    return FARTHEST * float(np.ptp(spatial[:, 0])) / max(side - 1, 1)


def ours(step, path, distance):
    """Runs in its own process; prints one JSON line."""
    command = [common.program(), "neighborhood" if step == "co-occurrence" else step, path, "--json", "--quiet"]
    command += {
        "markers": ["--groupby", "group", "--normalized"],
        "svg": ["--normalized"],
        "neighborhood": ["--groupby", "group"],
        "co-occurrence": ["--groupby", "group", "--co-occurrence", str(DISTANCES), "--max-distance", distance],
    }[step]
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr)
    report = json.loads(done.stdout)
    quality = {}
    if step == "markers":
        first = [group["top"][0]["score"] for group in report["modalities"][0]["groups"] if group["top"]]
        quality["mean first score"] = sum(first) / len(first)
    elif step == "svg":
        quality["largest I"] = report["modalities"][0]["top"][0]["statistic"]
    elif step == "neighborhood":
        quality["mean z of own"] = sum(g["z_own"] for g in report["groups"]) / len(report["groups"])
    print(json.dumps({
        "seconds": report["seconds"]["cluster"], "peak_mib": report["peak_rss_bytes"] / 2**20, "quality": quality,
    }))  # fmt: skip


def peer(step, path, distance):
    """Runs in its own process; prints one JSON line."""
    import warnings

    warnings.filterwarnings("ignore")
    import anndata as ad
    import numpy as np

    adata = ad.read_h5ad(path)
    adata.uns["log1p"] = {"base": None}
    quality = {}
    if step == "markers":
        import scanpy as sc

        start = time.perf_counter()
        sc.tl.rank_genes_groups(adata, "group", method="wilcoxon", pts=True)
        seconds = time.perf_counter() - start
        found = [sc.get.rank_genes_groups_df(adata, g, log2fc_min=0.25) for g in adata.obs["group"].cat.categories]
        first = [f.scores.iloc[0] for f in found if len(f) and f.pvals_adj.iloc[0] < 0.05]
        quality["mean first score"] = float(np.mean(first))
    else:
        import squidpy as sq

        start = time.perf_counter()
        if step == "svg":
            sq.gr.spatial_autocorr(adata, mode="moran", genes=list(adata.var_names), n_jobs=1, show_progress_bar=False)
        elif step == "neighborhood":
            sq.gr.nhood_enrichment(adata, "group", n_perms=1000, seed=0, show_progress_bar=False)
        else:
            interval = np.linspace(0, float(distance), DISTANCES + 1)
            sq.gr.co_occurrence(adata, "group", interval=interval, n_splits=1, show_progress_bar=False)
        seconds = time.perf_counter() - start
        if step == "svg":
            quality["largest I"] = float(adata.uns["moranI"]["I"].max())
        elif step == "neighborhood":
            quality["mean z of own"] = float(np.diag(adata.uns["group_nhood_enrichment"]["zscore"]).mean())
    print(json.dumps({
        "seconds": seconds, "peak_mib": common.peak_mib(), "quality": quality,
        "versions": common.versions("scanpy", "squidpy"),
    }))  # fmt: skip


def main():
    parser = common.parser(__doc__, "explain")
    parser.add_argument("--sizes", type=int, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--steps", nargs="+", choices=STEPS, default=list(STEPS))
    parser.add_argument("--peer-limit", type=int, default=100_000, help="more spots are ours alone")
    parser.add_argument("--peer-repeats", type=int, default=None)
    parser.add_argument("--folder", type=Path, default=REPOSITORY / "target" / "bench-explain")
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    bench = common.Bench(
        "explain",
        "What is in a domain",
        "15 groups, 2000 genes, 5 % non-zero. The stage that computes against the call; reading is left out on both sides. "
        "`svg` is Moran's I of every gene; contacts are ours with exact moments, the peer's with 1000 permutations.",
        arguments,
    )
    for size in arguments.sizes:
        side = round(size**0.5)
        path = arguments.folder / f"{side}.h5ad"
        if not path.exists():
            common.aside(__file__, "--prepare", side, path)
        distance = common.aside(__file__, "--longest", side, path)["longest"]
        for step in arguments.steps:
            words = [step, path, distance]
            peers = {}
            if size <= arguments.peer_limit:
                peers[PEERS[step]] = [sys.executable, __file__, "--peer", *words]
            bench.compare(
                f"{side * side:,} spots, {step}", side * side, [sys.executable, __file__, "--ours", *words], peers,
                peer_repeats=arguments.peer_repeats,
            )  # fmt: skip
    bench.write()


if __name__ == "__main__":
    if sys.argv[1:2] == ["--prepare"]:
        prepare(int(sys.argv[2]), sys.argv[3])
        print(json.dumps({}))
    elif sys.argv[1:2] == ["--longest"]:
        print(json.dumps({"longest": longest(int(sys.argv[2]), sys.argv[3])}))
    elif sys.argv[1:2] == ["--ours"]:
        ours(*sys.argv[2:5])
    elif sys.argv[1:2] == ["--peer"]:
        peer(*sys.argv[2:5])
    else:
        main()
