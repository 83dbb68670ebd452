#!/usr/bin/env python3
"""Scores and k-means, ours beside scikit-learn, on the same labels and 30-dimensional points.

    bash benches/run metrics [--sizes 5000 20000]

The fastest of three inside each process, and the median of processes. `value` is the score itself: both must agree on it, but
for k-means, where the lower inertia is the better result. scikit-learn has no LISI, Moran's I or Geary's C: ours stands alone there.
"""
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import common


def peer(folder):
    import numpy as np
    from sklearn import metrics
    from sklearn.cluster import KMeans

    x, labels, noisy = (np.load(Path(folder) / f"{name}.npy") for name in ("x", "labels", "noisy"))
    steps = {}

    def timed(name, work):
        clocks = []
        for _ in range(3):
            with common.Clock() as clock:
                value = work()
            clocks.append(clock)
        best = min(clocks, key=lambda c: c.seconds)
        steps[name] = best.report(quality={"value": float(value)})

    timed("ARI", lambda: metrics.adjusted_rand_score(labels, noisy))
    timed("AMI", lambda: metrics.adjusted_mutual_info_score(labels, noisy))
    timed("silhouette", lambda: metrics.silhouette_score(x, labels))
    timed("Davies-Bouldin", lambda: metrics.davies_bouldin_score(x, labels))
    timed("Calinski-Harabasz", lambda: metrics.calinski_harabasz_score(x, labels))
    timed("k-means, k = 10, 10 starts", lambda: KMeans(10, n_init=10, random_state=0).fit(x).inertia_)
    common.say({"steps": steps, "peak_mib": common.peak_mib(), "versions": common.versions("scikit-learn", "numpy")})


def ours(report, tool):
    if tool == "brodmann":
        for step in report["steps"].values():
            step["quality"] = {"value": step.pop("value")}


def main():
    parser = common.parser(__doc__, "metrics")
    parser.add_argument("--sizes", type=int, nargs="+", default=[5000, 20_000])
    arguments = parser.parse_args()
    bench = common.Bench(
        "metrics",
        "Scores and k-means",
        "Every score on the same labels and points; `value` is the score, which must agree (for k-means: the inertia, lower is "
        "better). One process measures all of a size, so memory is that of the most demanding one.",
        arguments,
    )
    for n in arguments.sizes:
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary) / "points"
            program = common.program("bench_metrics")
            subprocess.run([str(program), str(n), "--dump", folder], check=True, stdout=subprocess.DEVNULL)
            peers = {"scikit-learn": [sys.executable, __file__, "--peer", folder]}
            bench.compare(f"{n:,} × 30", n, [program, n, "--json"], peers, finish=ours)
    bench.write()


if __name__ == "__main__":
    if sys.argv[1:2] == ["--peer"]:
        peer(sys.argv[2])
    else:
        main()
