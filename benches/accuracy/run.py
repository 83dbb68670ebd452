#!/usr/bin/env python3
"""Accuracy of `brodmann spatialleiden` over seeds on tissues whose domains are known.

    cargo build --release
    python3 benches/accuracy/run.py ../shared/data [--seeds 10] [--json out.json]

The same settings for every tissue (the defaults of the command, or the options given after --), the number of domains given.
Needs only Python's standard library and the data folder.
"""
import argparse
import json
import pathlib
import statistics
import subprocess
import sys
import tempfile

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
    parser.add_argument("--binary", default="target/release/brodmann")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--json", type=pathlib.Path)
    # What stands after -- is for brodmann.
    words = sys.argv[1:]
    split = words.index("--") if "--" in words else len(words)
    own, options = words[:split], words[split + 1 :]
    arguments = parser.parse_args(own)
    results = []
    print("| tissue | domains | ARI median [range] | NMI median [range] | seconds |")
    print("|---|---|---|---|---|")
    for name, file, k in TISSUES:
        path = arguments.data / file
        if not path.exists():
            print(f"| {name} | {k} | SKIPPED: {path} is absent | | |")
            continue
        reports = [run(arguments.binary, path, k, seed, options) for seed in range(arguments.seeds)]
        reached = sum(r["n_clusters_reached"] for r in reports)
        ari, nmi = ([r["metrics"][m] for r in reports] for m in ("ari", "nmi"))
        seconds = statistics.median(sum(r["seconds"].values()) for r in reports)
        text = [f"{statistics.median(v):.3f} [{min(v):.3f}–{max(v):.3f}]" for v in (ari, nmi)]
        missed = "" if reached == len(reports) else f" ({len(reports) - reached} runs missed it)"
        print(f"| {name} | {k}{missed} | {text[0]} | {text[1]} | {seconds:.2f} |", flush=True)
        results.append({"tissue": name, "n_domains": k, "ari": ari, "nmi": nmi, "seconds": seconds})
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
