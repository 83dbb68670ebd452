#!/usr/bin/env python3
"""Graph builders beside their Python peers: the same points, the same number of threads.

    bash benches/run graphs [--spatial 100000 1000000]        bash benches/run knn [--latent 10000 50000 100000]

`graphs`: neighbours in the plane, beside squidpy, scikit-learn and scipy. `knn`: 14 nearest neighbours in 30 dimensions, beside
pynndescent and scikit-learn's brute force, with the share of true neighbours found (recall, on 500 points), on clustered
points as components are and on one isotropic Gaussian, the worst case of every index; and the UMAP weights on top. Seconds
are those of the call; both peers that compile at their first call are warmed up.
"""
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import common

K, DIMENSIONS, SAMPLE = 15, 30, 500
# Our builder, and who builds the same.
SPATIAL = {"Knn": ["squidpy knn", "scikit-learn k-d tree", "scipy cKDTree"], "Delaunay": ["squidpy delaunay"], "Grid": ["squidpy grid"], "Radius": ["squidpy radius"]}


def points_of(kind, n):
    import numpy as np

    rng = np.random.default_rng(0)
    if kind == "spatial":
        return rng.uniform(0, 1000, size=(n, 2))
    if kind == "unstructured":
        return rng.normal(size=(n, DIMENSIONS))
    spread = 3.0 / np.sqrt(1.0 + np.arange(DIMENSIONS))
    centres = 3.0 * rng.normal(size=(20, DIMENSIONS))
    return spread * (centres[rng.integers(20, size=n)] + rng.normal(size=(n, DIMENSIONS)))


def peer(tool, path, threads):
    import numpy as np

    points = np.load(path)
    n = len(points)
    quality, versions = {}, {}
    if tool.startswith("squidpy"):
        import anndata
        import squidpy

        table = anndata.AnnData(np.zeros((n, 1), dtype=np.float32), obsm={"spatial": points})
        # About six neighbours: pi r^2 = 6 spacings^2.
        radius = float(np.sqrt(np.prod(np.ptp(points, axis=0)) / n * 6 / np.pi))
        words = {
            "squidpy knn": {"coord_type": "generic", "n_neighs": 6},
            "squidpy delaunay": {"coord_type": "generic", "delaunay": True},
            "squidpy grid": {"coord_type": "grid", "n_neighs": 6},
            "squidpy radius": {"coord_type": "generic", "radius": radius},
        }[tool]
        run = lambda: squidpy.gr.spatial_neighbors(table, copy=True, **words)
        versions = common.versions("squidpy")
    elif tool == "scikit-learn k-d tree":
        from sklearn.neighbors import NearestNeighbors

        run = lambda: NearestNeighbors(n_neighbors=6, n_jobs=threads).fit(points).kneighbors()
        versions = common.versions("scikit-learn")
    elif tool == "scipy cKDTree":
        from scipy.spatial import cKDTree

        run = lambda: cKDTree(points).query(points, k=7, workers=threads)
        versions = common.versions("scipy")
    elif tool == "scikit-learn brute force":
        from sklearn.neighbors import NearestNeighbors

        run = lambda: NearestNeighbors(n_neighbors=K, algorithm="brute", n_jobs=threads).fit(points).kneighbors(points)
        versions = common.versions("scikit-learn")
    elif tool == "pynndescent":
        from pynndescent import NNDescent

        search = lambda x: NNDescent(x, n_neighbors=K, random_state=0, n_jobs=threads).neighbor_graph
        single = points.astype(np.float32)
        search(single[:5000])
        run = lambda: search(single)[::-1]
        versions = common.versions("pynndescent")
    else:
        import scipy.sparse
        from sklearn.neighbors import NearestNeighbors
        from umap.umap_ import fuzzy_simplicial_set

        distances, indices = NearestNeighbors(n_neighbors=K, n_jobs=threads).fit(points).kneighbors(points)
        weigh = lambda i, d: fuzzy_simplicial_set(scipy.sparse.coo_matrix((len(i), 1)), K, None, None, knn_indices=i, knn_dists=d)
        few = min(n, 2000)
        weigh(indices[:few] % few, distances[:few])
        run = lambda: weigh(indices, distances)
        versions = common.versions("umap-learn")
    with common.Clock() as clock:
        result = run()
    peak = common.peak_mib()
    if tool in ("scikit-learn brute force", "pynndescent"):
        from sklearn.neighbors import NearestNeighbors

        sample = np.random.default_rng(1).choice(n, min(SAMPLE, n), replace=False)
        truth = NearestNeighbors(n_neighbors=K, algorithm="brute").fit(points).kneighbors(points[sample])[0]
        quality["recall"] = float((result[0][sample, 1:K] <= truth[:, -1:] * (1 + 1e-5)).mean())
    common.say({**clock.report(quality=quality), "peak_mib": peak, "versions": versions})


def save(path, kind, n):
    import numpy as np

    np.save(path, points_of(kind, n))


def lines(report):
    import json

    return [json.loads(line) for line in report["stdout"].splitlines() if line.startswith("{")]


def spatial(bench, arguments, program):
    for n in arguments.spatial:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "points.npy"
            save(path, "spatial", n)
            command = [program, "file", path, "spatial"]
            gathered = {"brodmann": []}
            commands = {"brodmann": command}
            tools = [] if arguments.no_peers else [tool for tools in SPATIAL.values() for tool in tools]
            for turn in range(arguments.repeats):
                gathered["brodmann"].append(common.run(command, arguments.threads))
                for tool in tools:
                    commands[tool] = [sys.executable, __file__, "--peer", tool, path, arguments.threads]
                    report = common.run(commands[tool], arguments.threads)
                    bench.versions.update(report.get("versions", {}))
                    gathered.setdefault(tool, []).append(report)
            for graph, peers in SPATIAL.items():
                mine = []
                for report in gathered["brodmann"]:
                    of = next(line for line in lines(report) if line["graph"] == graph)
                    # All graphs of ours are built in one process: no peak of its own.
                    mine.append({"seconds": of["seconds"]})
                reports = {"brodmann": mine, **{tool: gathered[tool] for tool in peers if tool in gathered}}
                bench.add(f"{graph}, {n:,} points", n, commands, reports)


def latent(bench, arguments, program):
    for kind in arguments.kinds:
        for n in arguments.latent:
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder) / "points.npy"
                save(path, kind, n)
                peers = lambda *tools: {
                    tool: [sys.executable, __file__, "--peer", tool, path, arguments.threads] for tool in tools
                }

                def one(report, tool):
                    if tool == "brodmann":
                        of = lines(report)[-1]
                        report["quality"] = {"recall": 1.0 if of["recall"] is None else of["recall"]}

                def weights(report, tool):
                    if tool == "brodmann":
                        report["seconds"] = lines(report)[-1]["fuzzy_seconds"]

                brute = ["scikit-learn brute force"] if n <= arguments.brute_up_to else []
                for how in ("exact", "approximate"):
                    tools = peers("pynndescent", *(brute if how == "exact" else []))
                    command = [program, "file", path, "latent", how]
                    case = f"{how}, {kind}, {n:,}"
                    reports = bench.compare(case, n, command, tools, finish=one)
                    if how == "approximate" and lines(reports["brodmann"][0])[-1]["recall"] is None:
                        bench.note(f"{case}: the search found itself slower than the exact one and gave way to it.")
                if kind == "clustered":
                    command = [program, "file", path, "latent", "exact"]
                    bench.compare(f"UMAP weights, {n:,}", n, command, peers("umap-learn"), finish=weights)


def main():
    name = "knn" if "--knn" in sys.argv else "graphs"
    parser = common.parser(__doc__, name)
    parser.add_argument("--knn", action="store_true", help="nearest neighbours in latent space (bash benches/run knn)")
    parser.add_argument("--bench", type=Path, default=common.program("bench_graphs"), help="path of the built example")
    parser.add_argument("--spatial", type=int, nargs="*", default=[100_000, 1_000_000])
    parser.add_argument("--latent", type=int, nargs="*", default=[10_000, 50_000, 100_000])
    parser.add_argument("--kinds", nargs="+", default=["clustered", "unstructured"])
    parser.add_argument("--brute-up-to", type=int, default=50_000, help="largest table for the brute-force peer")
    arguments = parser.parse_args()
    if arguments.knn:
        reading = (
            "14 neighbours in 30 dimensions. Recall is the share of true neighbours found: a quicker search with less of it is "
            "no win. The exact search of ours stands beside both peers, the approximate one beside pynndescent."
        )
        bench = common.Bench(name, "Nearest neighbours in latent space", reading, arguments)
        latent(bench, arguments, arguments.bench.resolve())
    else:
        reading = "About six neighbours of each point of the plane. squidpy's graphs hold the same edges."
        bench = common.Bench(name, "Spatial graphs", reading, arguments)
        spatial(bench, arguments, arguments.bench.resolve())
    bench.write()


if __name__ == "__main__":
    if sys.argv[1:2] == ["--peer"]:
        peer(sys.argv[2], sys.argv[3], int(sys.argv[4]))
    else:
        main()
