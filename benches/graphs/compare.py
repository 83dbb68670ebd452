"""Graph builders beside their Python peers: same points, same machine, same number of threads.

    cargo build --release -p brodmann --example bench_graphs
    python benches/graphs/compare.py --bench target/release/examples/bench_graphs --threads 1

Needs numpy, scipy, scikit-learn, pynndescent, umap-learn, squidpy, anndata. Prints a Markdown table: seconds, and
for nearest neighbours the share of true ones on 500 points (brodmann states its own; the peers are measured here).
"""

import argparse
import json
import os
import subprocess
import tempfile
import time
import warnings
from pathlib import Path

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--bench", required=True, help="path of the built example bench_graphs")
parser.add_argument("--threads", type=int, default=1)
parser.add_argument("--spatial", type=int, nargs="*", default=[1_000_000])
parser.add_argument("--latent", type=int, nargs="*", default=[10_000, 50_000, 100_000])
parser.add_argument("--brute-up-to", type=int, default=50_000, help="largest table for the brute-force peer")
options = parser.parse_args()
for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS", "RAYON_NUM_THREADS"):
    os.environ[name] = str(options.threads)
warnings.filterwarnings("ignore")

import numpy as np  # noqa: E402  (after the thread counts are set)

K, DIMENSIONS, SAMPLE = 15, 30, 500
rows = []


def timed(run):
    start = time.perf_counter()
    result = run()
    return time.perf_counter() - start, result


def report(task, n, tool, seconds, recall=None):
    rows.append((task, n, tool, seconds, recall))
    share = "" if recall is None else f"  recall {recall:.4f}"
    print(f"{task:<24} {n:>8}  {tool:<36} {seconds:8.2f} s{share}", flush=True)


def ours(points, *words):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "points.npy"
        np.save(path, points)
        output = subprocess.run([options.bench, "file", path, *words], check=True, capture_output=True, text=True)
    return [json.loads(line) for line in output.stdout.splitlines()]


def embedding(kind, n):
    rng = np.random.default_rng(0)
    if kind == "unstructured":
        return rng.normal(size=(n, DIMENSIONS))
    spread = 3.0 / np.sqrt(1.0 + np.arange(DIMENSIONS))
    centres = 3.0 * rng.normal(size=(20, DIMENSIONS))
    return spread * (centres[rng.integers(20, size=n)] + rng.normal(size=(n, DIMENSIONS)))


def compare_spatial(n):
    import anndata
    import squidpy
    from scipy.spatial import cKDTree
    from sklearn.neighbors import NearestNeighbors

    points = np.random.default_rng(0).uniform(0, 1000, size=(n, 2))
    for line in ours(points, "spatial"):
        report("spatial", n, f"brodmann {line['graph']}", line["seconds"])
    seconds, _ = timed(lambda: NearestNeighbors(n_neighbors=6, n_jobs=options.threads).fit(points).kneighbors())
    report("spatial", n, "scikit-learn k-d tree, k = 6", seconds)
    seconds, _ = timed(lambda: cKDTree(points).query(points, k=7, workers=options.threads))
    report("spatial", n, "scipy cKDTree, k = 6", seconds)
    table = anndata.AnnData(np.zeros((n, 1), dtype=np.float32), obsm={"spatial": points})
    for name, words in (
        ("knn", {"coord_type": "generic", "n_neighs": 6}),
        ("delaunay", {"coord_type": "generic", "delaunay": True}),
        ("grid", {"coord_type": "grid", "n_neighs": 6}),
    ):
        seconds, _ = timed(lambda words=words: squidpy.gr.spatial_neighbors(table, copy=True, **words))
        report("spatial", n, f"squidpy {name}", seconds)


def compare_latent(kind, n):
    import scipy.sparse
    from pynndescent import NNDescent
    from sklearn.neighbors import NearestNeighbors
    from umap.umap_ import fuzzy_simplicial_set

    points = embedding(kind, n)
    sample = np.random.default_rng(1).choice(n, SAMPLE, replace=False)
    truth = NearestNeighbors(n_neighbors=K, algorithm="brute").fit(points).kneighbors(points[sample])[0]

    def recall(distances):
        return float((distances[sample, 1:K] <= truth[:, -1:] * (1 + 1e-5)).mean())

    for line in ours(points, "latent"):
        how = line["graph"] if line["recall"] is not None or line["graph"] == "exact" else "approximate → exact"
        report(kind, n, f"brodmann {how}", line["seconds"], 1.0 if line["recall"] is None else line["recall"])
        if line["graph"] == "exact":
            report(kind, n, "brodmann UMAP weights", line["fuzzy_seconds"])
    if n <= options.brute_up_to:
        brute = NearestNeighbors(n_neighbors=K, algorithm="brute", n_jobs=options.threads)
        seconds, (distances, _) = timed(lambda: brute.fit(points).kneighbors(points))
        report(kind, n, "scikit-learn brute force", seconds, recall(distances))
    single = points.astype(np.float32)
    # Both peers compile at their first call: that is not timed.
    first = NNDescent(single[:5000], n_neighbors=K, random_state=0, n_jobs=options.threads).neighbor_graph
    fuzzy_simplicial_set(scipy.sparse.coo_matrix((5000, 1)), K, None, None, knn_indices=first[0], knn_dists=first[1])
    seconds, (indices, distances) = timed(
        lambda: NNDescent(single, n_neighbors=K, random_state=0, n_jobs=options.threads).neighbor_graph
    )
    report(kind, n, "pynndescent", seconds, recall(distances))
    seconds, _ = timed(
        lambda: fuzzy_simplicial_set(
            scipy.sparse.coo_matrix((n, 1)), K, None, None, knn_indices=indices, knn_dists=distances
        )
    )
    report(kind, n, "umap-learn weights", seconds)


for n in options.spatial:
    compare_spatial(n)
for kind in ("clustered", "unstructured"):
    for n in options.latent:
        compare_latent(kind, n)
print(f"\n{options.threads} thread(s)\n\n| task | n | tool | seconds | recall |\n|---|---|---|---|---|")
for task, n, tool, seconds, recall in rows:
    print(f"| {task} | {n} | {tool} | {seconds:.2f} | {'' if recall is None else f'{recall:.4f}'} |")
