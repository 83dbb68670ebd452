#!/usr/bin/env python3
"""Accuracy of `brodmann spatialleiden` over seeds on tissues whose domains are known.

    bash benches/run accuracy DATA [--seeds 10] [-- --layer-ratio 1.8]

The same settings for every tissue (the defaults of the command, or the options given after --), the number of domains given.
Needs only Python's standard library and the data folder.
"""
import argparse
import json
import pathlib
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
import common

TISSUES = [
    ("STARmap V1, 1207 cells", "starmap_v1_1k/starmap_v1_1k.h5ad", 7),
    ("DLPFC 151673, 3639 spots", "dlpfc_151673/dlpfc_151673.h5ad", 7),
    ("DLPFC 151674, 3673 spots", "dlpfc_151674/dlpfc_151674.h5ad", 7),
    ("osmFISH cortex, 4839 cells", "osmfish_cortex/osmfish_cortex.h5ad", 11),
    ("simulated RNA+ADT+ATAC, 1296 spots", "sim_spatialglue_triplet/sim_spatialglue_triplet.h5mu", 5),
]


def run(binary, path, k, seed, options):
    with tempfile.TemporaryDirectory() as folder:
        out = pathlib.Path(folder) / ("out" + path.suffix)
        command = [binary, "spatialleiden", path, "--out", out, "-k", k, "--seed", seed, "--json", "--quiet", *options]
        done = subprocess.run([str(c) for c in command], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=pathlib.Path)
    parser.add_argument("--binary", default=common.program())
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--json", type=pathlib.Path, default=common.RESULTS / "accuracy.json")
    # What stands after -- is for brodmann.
    words = sys.argv[1:]
    split = words.index("--") if "--" in words else len(words)
    own, options = words[:split], words[split + 1 :]
    arguments = parser.parse_args(own)
    arguments.threads = common.cores()
    bench = common.Bench(
        "accuracy",
        "Accuracy of `brodmann spatialleiden`",
        "ARI and NMI with the domains an expert drew, over seeds; the same settings for every tissue, the number of domains given.",
        arguments,
    )
    for name, file, k in TISSUES:
        path = arguments.data / file
        if not path.exists():
            bench.note(f"{name}: skipped, {path.name} is absent.")
            continue
        reports = [run(arguments.binary, path, k, seed, options) for seed in range(arguments.seeds)]
        reached = sum(r["n_clusters_reached"] for r in reports)
        missed = len(reports) - reached
        if missed:
            bench.note(f"{name}: {missed} of {len(reports)} runs did not reach {k} domains.")
        for report in reports:
            report["quality"] = {"ARI": report["metrics"]["ari"], "NMI": report["metrics"]["nmi"]}
            report["seconds"] = sum(report["seconds"].values())
            report["peak_mib"] = (report["peak_rss_bytes"] or 0) / 2**20
        command = ["brodmann", "spatialleiden", path.name, "--out", "out" + path.suffix, "-k", k, "--seed", f"0..{len(reports) - 1}", *options]
        bench.add(f"{name}, {k} domains", reports[0]["n_obs"], {"brodmann": command}, {"brodmann": reports})
    bench.write()


if __name__ == "__main__":
    main()
