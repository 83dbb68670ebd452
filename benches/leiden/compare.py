#!/usr/bin/env python3
"""Multiplex Leiden side by side: brodmann, leidenalg and igraph's C Leiden on the very same planted graphs.

    bash benches/run leiden [--sizes 10000 100000 --seeds 3 --peer-seeds 1]

Every run is a fresh process, so that its peak memory is its own: that from the start of the clustering on, the graphs
included; reading them is neither timed nor weighed. Ours is measured on one thread and on all; the peers have one, and
the same runs of theirs stand beside both of ours.
"""

import json
import subprocess
import sys
import time
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPOSITORY / "benches"))
import common


def read_graph(directory, name):
    import igraph
    import numpy as np

    indptr = np.fromfile(directory / f"{name}.indptr.u64", dtype=np.uint64).astype(np.int64)
    indices = np.fromfile(directory / f"{name}.indices.u32", dtype=np.uint32).astype(np.int64)
    data = np.fromfile(directory / f"{name}.data.f32", dtype=np.float32).astype(np.float64)
    n = len(indptr) - 1
    rows = np.repeat(np.arange(n), np.diff(indptr))
    # Each undirected edge once: half the work for the peers, and the form in which igraph's Leiden takes it.
    upper = rows < indices
    graph = igraph.Graph(n=n, edges=np.column_stack([rows[upper], indices[upper]]), directed=False)
    graph.es["weight"] = data[upper]
    return graph


def peer(tool, directory, layers, iterations, seed):
    """Runs in its own process; prints one JSON line."""
    directory = Path(directory)
    graphs = [read_graph(directory, name) for name in ("latent", "spatial")[:layers]]
    # As ours: from here on the peak counts anew.
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        pass
    wall, cpu = time.perf_counter(), time.process_time()
    if tool == "leidenalg":
        import leidenalg

        kind = leidenalg.RBConfigurationVertexPartition
        partitions = [kind(g, weights="weight", resolution_parameter=1.0) for g in graphs]
        optimiser = leidenalg.Optimiser()
        optimiser.set_rng_seed(seed)
        optimiser.optimise_partition_multiplex(partitions, layer_weights=[1.0] * layers, n_iterations=iterations)
        seconds = (time.perf_counter() - wall, time.process_time() - cpu)
        quality = sum(p.quality() for p in partitions)
        n_clusters = len(set(partitions[0].membership))
    else:
        import random

        random.seed(seed)
        found = graphs[0].community_leiden(
            objective_function="modularity", weights="weight", resolution=1.0, n_iterations=iterations
        )
        seconds = (time.perf_counter() - wall, time.process_time() - cpu)
        total = 2 * sum(graphs[0].es["weight"])
        # Un-normalised, as leidenalg and brodmann count.
        quality = graphs[0].modularity(found.membership, weights="weight") * total
        n_clusters = len(set(found.membership))
    peak = common.peak_mib()
    row = dict(tool=tool, n=graphs[0].vcount(), layers=layers, iterations=iterations, seed=seed, threads=1)
    row.update(wall=seconds[0], cpu=seconds[1], quality=quality, n_clusters=n_clusters, peak_mib=peak)
    row["versions"] = common.versions("leidenalg" if tool == "leidenalg" else "igraph")
    print(json.dumps(row))


def judged(report, tool):
    report["seconds"], report["cpu_seconds"] = report["wall"], report["cpu"]
    report["quality"] = {"quality": report["quality"], "clusters": report["n_clusters"]}
    if "bytes_per_entry" in report:
        report["quality"]["bytes per stored edge"] = report["bytes_per_entry"]


def main():
    parser = common.parser(__doc__, "leiden")
    parser.add_argument("--sizes", type=int, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--seeds", type=int, default=None, help="repeats, each with a seed of its own")
    parser.add_argument("--peer-limit", type=int, default=100_000, help="largest graph given to the peers")
    parser.add_argument("--peer-seeds", type=int, default=None)
    parser.add_argument("--graphs", type=Path, default=REPOSITORY / "target" / "bench-leiden")
    parser.add_argument("--binary", type=Path, default=common.program("bench_leiden"))
    parser.add_argument("--layers", type=int, nargs="+", default=[2, 1])
    parser.add_argument("--iterations", type=int, nargs="+", default=[2, -1])
    arguments = parser.parse_args()
    binary = arguments.binary.resolve()
    seeds = arguments.seeds or arguments.repeats
    bench = common.Bench(
        "leiden",
        "Leiden and multiplex Leiden",
        "The very same planted graphs and quality function; `quality` is what is maximised, un-normalised, so the higher one "
        "is the better partition, and time for a worse one is no win. Each repeat has a seed of its own. Peers run on one thread, "
        "the only number they have. Memory is the peak while clustering, the graphs included.",
        arguments,
    )
    for n in arguments.sizes:
        directory = arguments.graphs / str(n)
        if not (directory / "truth.u32").exists():
            subprocess.run([str(binary), "generate", str(n), str(directory)], check=True)
        for layers in arguments.layers:
            for iterations in arguments.iterations:
                tools = ["leidenalg", *(["igraph"] if layers == 1 else [])] if n <= arguments.peer_limit else []
                if arguments.no_peers:
                    tools = []
                ends = "to the end" if iterations < 0 else f"{iterations} iterations"
                words = [binary, "run", directory, "--layers", layers, "--iterations", iterations]
                ours = {threads: f"{threads} thread{'s' if threads > 1 else ''}" for threads in sorted({1, arguments.threads})}
                commands = {
                    name: lambda seed, threads=threads: [*words, "--seed", seed, "--threads", threads]
                    for threads, name in ours.items()
                }
                for tool in tools:
                    script = [sys.executable, __file__, "--peer", tool, directory, layers, iterations]
                    commands[tool] = lambda seed, script=script: [*script, seed]
                case = f"{n:,} nodes, {layers} layer{'s' if layers > 1 else ''}, {ends}"
                gathered = bench.gather(case, commands, list(ours.values()), None, seeds, arguments.peer_seeds, judged)
                first = {tool: command(0) for tool, command in commands.items()}
                for name in ours.values():
                    reports = {"brodmann": gathered[name], **{tool: gathered[tool] for tool in tools if tool in gathered}}
                    bench.add(f"{case}, {name}", n, {"brodmann": first[name], **first}, reports)
    bench.write()


if __name__ == "__main__":
    if sys.argv[1:2] == ["--peer"]:
        tool, directory, layers, iterations, seed = sys.argv[2:]
        peer(tool, directory, int(layers), int(iterations), int(seed))
    else:
        main()
