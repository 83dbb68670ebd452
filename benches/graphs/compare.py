#!/usr/bin/env python3
"""Graph builders beside their Python peers: the same points, the same number of threads.

    bash benches/run graphs [--spatial 100000 1000000]        bash benches/run knn [--latent 10000 50000 100000]

`graphs`: neighbours in the plane, beside squidpy, scikit-learn and scipy, on scattered points (the grid: on a hexagonal one in
random order). `knn`: 14 nearest neighbours in 30 dimensions, beside
pynndescent and scikit-learn's brute force, with the share of true neighbours found (recall, on 500 points), on clustered
points as components are and on one isotropic Gaussian, the worst case of every index; and the UMAP weights on top. Seconds
are those of the call; both peers that compile at their first call are warmed up.
"""
import math
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
    if kind == "hexagons":
        side = math.ceil(n**0.5)
        i = np.arange(n)
        row, column = i // side, i % side
        return rng.permutation(100 * np.stack([column + 0.5 * (row % 2), row * 0.75**0.5], 1))
    if kind == "unstructured":
        return rng.normal(size=(n, DIMENSIONS))
    spread = 3.0 / np.sqrt(1.0 + np.arange(DIMENSIONS))
    centres = 3.0 * rng.normal(size=(20, DIMENSIONS))
    return spread * (centres[rng.integers(20, size=n)] + rng.normal(size=(n, DIMENSIONS)))


def peer(tool, path, threads):
    import numpy as np

    points = np.load(path)
    n = len(points)
    quality, versions, edges = {}, {}, None
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
        edges = lambda found: found[0].nnz
        versions = common.versions("squidpy")
    elif tool == "scikit-learn k-d tree":
        from sklearn.neighbors import NearestNeighbors

        run = lambda: NearestNeighbors(n_neighbors=6, n_jobs=threads).fit(points).kneighbors()
        edges = lambda found: found[1].size
        versions = common.versions("scikit-learn")
    elif tool == "scipy cKDTree":
        from scipy.spatial import cKDTree

        run = lambda: cKDTree(points).query(points, k=7, workers=threads)
        # Each point finds itself too.
        edges = lambda found: found[1].size - n
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
    if edges:
        quality["edges"] = int(edges(result))
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
            for kind, graphs in (("spatial", ["Knn", "Delaunay", "Radius"]), ("hexagons", ["Grid"])):
                path = Path(folder) / f"{kind}.npy"
                common.aside(__file__, "--save", path, kind, n)
                tools = [] if arguments.no_peers else [tool for graph in graphs for tool in SPATIAL[graph]]
                commands = {"brodmann": [program, "file", path, "spatial"]}
                commands.update({tool: [sys.executable, __file__, "--peer", tool, path, arguments.threads] for tool in tools})
                gathered = bench.gather(f"{n:,} points", commands, ["brodmann"])
                for graph in graphs:
                    mine = []
                    for report in gathered["brodmann"]:
                        of = next(line for line in lines(report) if line["graph"] == graph)
                        # All graphs of ours are built in one process: no peak of its own.
                        mine.append({"seconds": of["seconds"], "quality": {"edges": of["edges"]}})
                    reports = {"brodmann": mine, **{tool: gathered[tool] for tool in SPATIAL[graph] if tool in gathered}}
                    for reported in reports.values():
                        for report in reported:
                            report.pop("peak_mib", None)
                    bench.add(f"{graph.lower()}, {n:,} points", n, commands, reports)


def latent(bench, arguments, program):
    for kind in arguments.kinds:
        for n in arguments.latent:
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder) / "points.npy"
                common.aside(__file__, "--save", path, kind, n)
                ours = {how: [program, "file", path, "latent", how] for how in ("exact", "approximate")}
                tools = ["pynndescent", *(["scikit-learn brute force"] if n <= arguments.brute_up_to else [])]
                peers = {tool: [sys.executable, __file__, "--peer", tool, path, arguments.threads] for tool in [*tools, "umap-learn"]}

                def one(report, tool):
                    if tool in ours:
                        of = lines(report)[-1]
                        report["quality"] = {"recall": 1.0 if of["recall"] is None else of["recall"]}

                def weights(report, tool):
                    if tool == "brodmann":
                        report["seconds"] = lines(report)[-1]["fuzzy_seconds"]

                # Every tool once a round: pynndescent, which compiles for long, serves both of ours.
                commands = {**ours, **({} if arguments.no_peers else {tool: peers[tool] for tool in tools})}
                gathered = bench.gather(f"{kind}, {n:,}", commands, ours, finish=one)
                for how in ours:
                    case = f"{how}, {kind}, {n:,}"
                    beside = tools if how == "exact" else tools[:1]
                    reports = {"brodmann": gathered[how], **{tool: gathered[tool] for tool in beside if tool in gathered}}
                    bench.add(case, n, {"brodmann": ours[how], **commands}, reports)
                    if how == "approximate" and lines(gathered[how][0])[-1]["recall"] is None:
                        bench.note(f"{case}: the search found itself slower than the exact one and gave way to it.")
                # The peer's neighbours are searched by brute force first.
                if kind == "clustered" and n <= arguments.brute_up_to:
                    bench.compare(f"UMAP weights, {n:,}", n, ours["exact"], {"umap-learn": peers["umap-learn"]}, finish=weights)


def main():
    name = "knn" if "--knn" in sys.argv else "graphs"
    parser = common.parser(__doc__, name)
    parser.add_argument("--knn", action="store_true", help="nearest neighbours in latent space (bash benches/run knn)")
    parser.add_argument("--bench", type=Path, default=common.program("bench_graphs"), help="path of the built example")
    parser.add_argument("--spatial", type=int, nargs="*", default=[100_000, 1_000_000])
    parser.add_argument("--latent", type=int, nargs="*", default=[10_000, 50_000, 100_000])
    parser.add_argument("--kinds", nargs="+", default=["clustered", "unstructured"])
    parser.add_argument("--brute-up-to", type=int, default=50_000, help="largest table for the brute-force peer and the UMAP weights")
    arguments = parser.parse_args()
    if arguments.knn:
        reading = (
            "14 neighbours in 30 dimensions. Recall is the share of true neighbours found: a quicker search with less of it is "
            "no win. The exact search of ours stands beside both peers, the approximate one beside pynndescent; its recall is what it "
            "finds itself, by exact recomputation of a sample. `UMAP weights` are those of the neighbours found."
        )
        bench = common.Bench(name, "Nearest neighbours in latent space", reading, arguments)
        latent(bench, arguments, arguments.bench.resolve())
    else:
        reading = (
            "About six neighbours of each point of the plane; `edges` counts the stored ones, which must agree (Delaunay triangulations "
            "may differ on the hull). Every graph of ours is built in one process, so memory is not compared."
        )
        bench = common.Bench(name, "Spatial graphs", reading, arguments)
        spatial(bench, arguments, arguments.bench.resolve())
    bench.write()


if __name__ == "__main__":
    if sys.argv[1:2] == ["--peer"]:
        peer(sys.argv[2], sys.argv[3], int(sys.argv[4]))
    elif sys.argv[1:2] == ["--save"]:
        save(sys.argv[2], sys.argv[3], int(sys.argv[4]))
    else:
        main()
