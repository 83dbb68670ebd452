"""Multiplex Leiden side by side: brodmann, leidenalg and igraph's C Leiden on the very same planted graphs.

    cargo build --release -p brodmann --example bench_leiden
    python benches/leiden/compare.py --sizes 10000 100000 --seeds 3 --json leiden.json

Every run is a fresh process, so that its peak memory is its own; graph reading is not timed. One thread unless a
row says otherwise. The peers come from the package index: pip install leidenalg igraph scipy numpy
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]


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
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    row = dict(tool=tool, n=graphs[0].vcount(), layers=layers, iterations=iterations, seed=seed, threads=1)
    row.update(wall=seconds[0], cpu=seconds[1], quality=quality, n_clusters=n_clusters, peak_mib=peak)
    print(json.dumps(row))


def measure(command):
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{command} failed:\n{done.stderr}")
    return json.loads(done.stdout.strip().splitlines()[-1])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--peer-limit", type=int, default=100_000, help="largest graph given to the peers")
    parser.add_argument("--peer-seeds", type=int, default=None)
    parser.add_argument("--graphs", type=Path, default=REPOSITORY / "target" / "bench-leiden")
    parser.add_argument("--binary", type=Path, default=None)
    parser.add_argument("--json", type=Path, default=None)
    arguments = parser.parse_args()
    target = Path(os.environ.get("CARGO_TARGET_DIR", REPOSITORY / "target"))
    binary = (arguments.binary or target / "release" / "examples" / "bench_leiden").resolve()
    rows = []
    for n in arguments.sizes:
        directory = arguments.graphs / str(n)
        if not (directory / "truth.u32").exists():
            subprocess.run([str(binary), "generate", str(n), str(directory)], check=True)
        for layers in (2, 1):
            for iterations in (2, -1):
                runs = [("brodmann", threads) for threads in (1, 2)]
                if n <= arguments.peer_limit:
                    runs += [("leidenalg", 1)] + ([("igraph", 1)] if layers == 1 else [])
                for tool, threads in runs:
                    seeds = arguments.seeds
                    if tool != "brodmann" and arguments.peer_seeds is not None:
                        seeds = arguments.peer_seeds
                    for seed in range(seeds):
                        if tool == "brodmann":
                            command = [binary, "run", directory, "--layers", layers, "--iterations", iterations]
                            command += ["--seed", seed, "--threads", threads]
                        else:
                            command = [sys.executable, __file__, "--peer", tool, directory, layers, iterations, seed]
                        rows.append(measure(command))
                    show(rows[-seeds:], rows)
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=1))


def show(group, rows):
    """One table line: medians over seeds; the speed-up is of CPU time, against one thread of brodmann."""
    median = lambda key: statistics.median(r[key] for r in group)
    first = group[0]
    if len(rows) == len(group):
        print(f"{'n':>8} layers iter {'tool':>10} thr    wall     cpu  cpu/ours   quality(mean)  quality(best) k  peak MiB")
    same = [
        r["cpu"] for r in rows
        if r["tool"] == "brodmann" and r["threads"] == 1
        and all(r[k] == first[k] for k in ("n", "layers", "iterations"))
    ]
    ratio = median("cpu") / statistics.median(same)
    print(
        f"{first['n']:>8} {first['layers']:>6} {first['iterations']:>4} {first['tool']:>10} {first['threads']:>3}"
        f" {median('wall'):>7.3f} {median('cpu'):>7.3f} {ratio:>8.1f}x {statistics.mean(r['quality'] for r in group):>15.2f}"
        f" {max(r['quality'] for r in group):>14.2f} {median('n_clusters'):>3.0f} {max(r['peak_mib'] for r in group):>7}",
        flush=True,
    )


if __name__ == "__main__":
    if sys.argv[1:2] == ["--peer"]:
        tool, directory, layers, iterations, seed = sys.argv[2:]
        peer(tool, directory, int(layers), int(iterations), int(seed))
    else:
        main()
