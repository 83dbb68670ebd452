#!/usr/bin/env python3
"""What a run says it will take beside what it took, method by method.

    bash benches/run forecasts [--sizes 1296 10000 100000 --methods spatialleiden staig --genes 2000 --density .05]

Simulated tissues of 2000 genes, 5 % non-zero unless told otherwise (SpaMI: with 30 proteins beside them), read from a file
and written to one; --json keeps the results of other ones apart. The
forecast is what the run itself said before it began; memory is the peak of the process. Networks are trained for a few
epochs: these are all alike.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPOSITORY / "benches"))
import common

MIB = 2**20
#: The words of each method beside its input and output.
METHODS = {
    "spatialleiden": ["-k", "5"],
    "smoothed-pca": ["-k", "5"],
    "banksy": ["-k", "5"],
    "domains": ["-k", "5"],
    "staig": ["-k", "5", "--epochs", "4"],
    "spami": ["-k", "5", "--epochs", "4"],
}


def tissue(folder, side, method, genes, density):
    """The input of a method, made once."""
    name = f"{side}" if (genes, density) == (2000, 0.05) else f"{side}-{genes}-{density}"
    if method != "spami":
        return common.simulate(folder / f"{name}.h5ad", side, genes, density)
    path = folder / f"{name}.h5mu"
    if not path.exists():
        words = ["simulate", "--out", path, "--side", side, "--genes", genes, "--density", density]
        words += ["--modalities", "rna,adt", "--n-proteins", 30]
        common.run([common.program(), *words, "--json", "--quiet"], 2)
    return path


def ours(method, path):
    """Runs in its own process; prints one JSON line."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / f"out{Path(path).suffix}"
        command = [common.program(), method, path, "--out", out, *METHODS[method], "--json", "--quiet"]
        done = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr)
    report = json.loads(done.stdout)
    seconds, said = sum(report["seconds"].values()), report["forecast_bytes"]
    quality = {"forecast, MiB": said / MIB, "peak by forecast": report["peak_rss_bytes"] / said}
    if report.get("forecast_seconds"):
        quality |= {"forecast, s": report["forecast_seconds"], "time by forecast": seconds / report["forecast_seconds"]}
    common.say({"seconds": seconds, "peak_mib": report["peak_rss_bytes"] / MIB, "quality": quality})


def main():
    parser = common.parser(__doc__, "forecasts", repeats=1)
    parser.add_argument("--sizes", type=int, nargs="+", default=[1296, 10_000, 100_000])
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    parser.add_argument("--genes", type=int, default=2000)
    parser.add_argument("--density", type=float, default=0.05, help="share of counts that are not 0")
    arguments = parser.parse_args()
    bench = common.Bench(
        "forecasts",
        "Forecasts",
        "What each run said it would take, and what it took: 1 is right, above 1 it took more than it said. "
        f"{arguments.genes} genes, {100 * arguments.density:g} % non-zero, input and output included; networks are trained for "
        "4 epochs.",
        arguments,
    )
    for size in arguments.sizes:
        side = round(size**0.5)
        for method in arguments.methods:
            path = tissue(common.tissues(), side, method, arguments.genes, arguments.density)
            bench.compare(f"{side * side:,} spots, {method}", side * side, [sys.executable, __file__, "--ours", method, path])
    bench.write()


if __name__ == "__main__":
    if sys.argv[1:2] == ["--ours"]:
        ours(*sys.argv[2:])
    else:
        main()
