#!/usr/bin/env python3
"""`spatialleiden` from Python, side by side: the package and ours on the very same AnnData.

    bash benches/run python --sides 100 316 --seeds 3

The tissue is simulated (side² spots, 1000 genes), its latent and spatial graphs are built once and kept in a file.
Every run is a fresh process that reads that file, clusters 50 spots to warm up, and then all of them by one call of
`spatialleiden(adata, random_state=seed)`; only that call is timed. Ours is called through `brodmann.spatialleiden`
(the drop-in) and through `bm.tl`; `overhead` is what a call takes beyond its time inside Rust, in percent of that, in
the quickest of five more calls. Memory is the peak of the process by the end of the call, the AnnData and all imports
included; `call MiB` is that peak less what was held before the call. Quality is computed for all results by the same
function, from the labels.
"""

import json
import os
import sys
import time
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPOSITORY / "benches"))
import common

PEER = ("spatialleiden", 1)
WAYS = [("drop-in", 1), ("drop-in", 2), ("tl", 1), PEER]


def prepare(side, path):
    """Runs in its own process: simulates, builds both graphs, writes them."""
    import anndata as ad
    import numpy as np

    import brodmann as bm

    adata = bm.datasets.simulated(side=side, modalities="rna", random_state=0)
    bm.pp.normalize_total(adata)
    bm.pp.log1p(adata)
    bm.pp.pca(adata, n_comps=30)
    bm.pp.neighbors(adata)
    bm.gr.spatial_neighbors(adata, coord_type="grid", n_neighs=8)
    graphs = ad.AnnData(np.zeros((adata.n_obs, 1), dtype=np.float32), obs=adata.obs[["ground_truth"]])
    for key in ("connectivities", "spatial_connectivities"):
        graphs.obsp[key] = adata.obsp[key]
    graphs.write_h5ad(path)


def held_bytes():
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def once(tool, path, seed, labels_path):
    """Runs in its own process; prints one JSON line."""
    import anndata as ad
    import numpy as np

    adata = ad.read_h5ad(path)
    rust = []
    if tool == "spatialleiden":
        from spatialleiden import spatialleiden as call
    else:
        from brodmann import _brodmann, tl
        from brodmann import spatialleiden as drop_in

        inner = _brodmann.leiden_multiplex

        def timed(*arguments, **options):
            partition = inner(*arguments, **options)
            rust.append(partition.seconds)
            return partition

        _brodmann.leiden_multiplex = timed
        call = drop_in.spatialleiden if tool == "drop-in" else tl.spatialleiden
    # What is made once in a process, threads and lazy imports, is no part of a call.
    call(adata[:50].copy())
    rust.clear()
    held = held_bytes()
    wall, cpu = time.perf_counter(), time.process_time()
    call(adata, random_state=seed)
    row = dict(tool=tool, n_obs=adata.n_obs, seed=seed, threads=int(os.environ.get("RAYON_NUM_THREADS", "1")))
    row.update(wall=time.perf_counter() - wall, cpu=time.process_time() - cpu)
    row.update(extra_mib=max(common.peak_mib() - held / 2**20, 0), peak_mib=common.peak_mib())
    row["n_clusters"] = int(adata.obs["spatialleiden"].nunique())
    if rust:
        # Of further calls the quickest: other work on the machine lengthens a call, it never shortens one.
        walls = []
        for _ in range(5):
            start = time.perf_counter()
            call(adata, key_added="again", random_state=seed)
            walls.append(time.perf_counter() - start)
        wall, inside = min(zip(walls, rust[1:], strict=True))
        row.update(rust=rust[0], overhead=100 * (wall - inside) / inside)
    np.save(labels_path, adata.obs["spatialleiden"].cat.codes.to_numpy())
    print(json.dumps(row))


def judge(path, *labels):
    """Runs in its own process: quality and ARI with the truth, by one function for all."""
    import anndata as ad
    import numpy as np

    import brodmann as bm
    from brodmann import _brodmann

    adata = ad.read_h5ad(path)
    graphs = [adata.obsp[key] for key in ("connectivities", "spatial_connectivities")]
    layers = [(graph, "directed", True, "rb", 1.0, 1.0) for graph in graphs]
    found = []
    for file in labels:
        of = np.load(file)
        quality = _brodmann.leiden_quality(layers, of.astype(np.int32))[0]
        found.append({"quality": quality, "ARI": float(bm.metrics.adjusted_rand_index(adata.obs["ground_truth"], of))})
    print(json.dumps(found))


def main():
    parser = common.parser(__doc__, "python")
    parser.add_argument("--sides", type=int, nargs="+", default=[100, 316])
    parser.add_argument("--seeds", type=int, default=None, help="repeats, each with a seed of its own")
    parser.add_argument("--peer-seeds", type=int, default=None)
    parser.add_argument("--graphs", type=Path, default=REPOSITORY / "target" / "bench-python")
    parser.add_argument("--tools", nargs="+", default=["drop-in", "tl", "spatialleiden"])
    arguments = parser.parse_args()
    arguments.graphs.mkdir(parents=True, exist_ok=True)
    seeds = arguments.seeds or arguments.repeats
    bench = common.Bench(
        "python",
        "`spatialleiden` from Python",
        "One call on an AnnData whose graphs are there already, by the package and by its drop-in of ours; only the call is "
        "timed. `quality` is what is maximised; `overhead %` is what a call takes beyond its time inside Rust. Each repeat has a seed of "
        "its own; the peer has one thread.",
        arguments,
    )
    for side in arguments.sides:
        path = arguments.graphs / f"{side}.h5ad"
        if not path.exists():
            common.aside(__file__, "--prepare", side, path)
        ways = [(tool, threads) for tool, threads in WAYS if tool in arguments.tools]
        ways = [way for way in ways if not (way == PEER and arguments.no_peers)]
        gathered, commands = {way: [] for way in ways}, {}
        labels = arguments.graphs / "labels"
        labels.mkdir(exist_ok=True)
        for seed in range(seeds):
            for tool, threads in common.in_turn(ways, seed):
                if (tool, threads) == PEER and arguments.peer_seeds is not None and seed >= arguments.peer_seeds:
                    continue
                file = labels / f"{side}-{tool}-{threads}-{seed}.npy"
                command = [sys.executable, __file__, "--once", tool, path, seed, file]
                commands.setdefault((tool, threads), command)
                gathered[tool, threads].append({**common.run(command, threads), "labels": file})
        rows = [row for rows in gathered.values() for row in rows]
        for row, judged in zip(rows, common.aside(__file__, "--judge", path, *(row["labels"] for row in rows)), strict=True):
            row["seconds"], row["cpu_seconds"] = row["wall"], row["cpu"]
            row["quality"] = {**judged, "clusters": row["n_clusters"], "call MiB": row["extra_mib"]}
            if "overhead" in row:
                row["quality"]["overhead %"] = row["overhead"]
        for (tool, threads), rows in gathered.items():
            if (tool, threads) == PEER:
                continue
            beside = {"spatialleiden": gathered[PEER]} if gathered.get(PEER) else {}
            case = f"{rows[0]['n_obs']:,} spots, {tool}, {threads} thread{'s' if threads > 1 else ''}"
            words = {"brodmann": commands[tool, threads], "spatialleiden": commands.get(PEER)}
            bench.add(case, rows[0]["n_obs"], words, {"brodmann": rows, **beside})
    bench.versions.update(common.versions("spatialleiden", "leidenalg"))
    bench.write()


if __name__ == "__main__":
    if sys.argv[1:2] == ["--prepare"]:
        prepare(int(sys.argv[2]), sys.argv[3])
    elif sys.argv[1:2] == ["--judge"]:
        judge(*sys.argv[2:])
    elif sys.argv[1:2] == ["--once"]:
        once(sys.argv[2], sys.argv[3], int(sys.argv[4]), sys.argv[5])
    else:
        main()
