#!/usr/bin/env python3
"""Accuracy over seeds on tissues whose domains are known: `brodmann domains`, its members, and the other methods.

    bash benches/run accuracy DATA [--seeds 10] [--methods domains spatialleiden staig] [--only starmap dlpfc] [-- OPTIONS]

The same settings for every tissue and method (the defaults, with the options given after --), the number of domains given.
Members are run alone, as `domains --members NAME`. Needs only Python's standard library and the data folder.
"""
import argparse
import pathlib
import statistics
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
import common

# Group, name, file, domains.
TISSUES = [
    ("starmap", "STARmap V1, 1207 cells", "starmap_v1_1k/starmap_v1_1k.h5ad", 7),
    ("dlpfc", "DLPFC 151673, 3639 spots", "dlpfc_151673/dlpfc_151673.h5ad", 7),
    ("dlpfc", "DLPFC 151674, 3673 spots", "dlpfc_151674/dlpfc_151674.h5ad", 7),
    ("osmfish", "osmFISH cortex, 4839 cells", "osmfish_cortex/osmfish_cortex.h5ad", 11),
    ("her2st", "her2st A1, 346 spots", "her2st_A1/her2st_A1.h5ad", 5),
    ("her2st", "her2st F1, 691 spots", "her2st_F1/her2st_F1.h5ad", 3),
    ("simulated", "simulated RNA+ADT+ATAC, 1296 spots", "sim_spatialglue_triplet/sim_spatialglue_triplet.h5mu", 5),
]
METHODS = {
    "domains": ["domains"],
    "smoothed": ["domains", "--members", "smoothed"],
    "banksy.2": ["domains", "--members", "banksy.2"],
    "hops": ["domains", "--members", "hops"],
    "spatialleiden": ["spatialleiden"],
    "staig": ["staig"],
    "spami": ["spami"],
}
# Of one modality; of several the RNA is taken.
SINGLE = {"staig"}


def run(binary, path, method, k, seed, options):
    """The report of one run, under a command without places of this machine."""
    words = list(METHODS[method])
    if method in SINGLE and path.suffix == ".h5mu":
        words += ["--modality", "rna"]
    given = [words[0], path, *words[1:], "-k", k, "--seed", seed, *options, "--out"]
    with tempfile.TemporaryDirectory() as folder:
        report = common.brodmann(*given, pathlib.Path(folder) / ("out" + path.suffix), binary=binary)
    kept = {"n_obs": report["n_obs"], "reached": report["n_clusters_reached"]}
    return {**common.judged(report), **kept, "command": [binary, *given, "out" + path.suffix]}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=pathlib.Path)
    parser.add_argument("--binary", default=common.program())
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--methods", nargs="+", choices=list(METHODS), default=["spatialleiden"])
    parser.add_argument("--only", nargs="*", choices=sorted({group for group, *_ in TISSUES}))
    parser.add_argument("--json", type=pathlib.Path, default=common.RESULTS / "accuracy.json")
    # What stands after -- is for brodmann.
    words = sys.argv[1:]
    split = words.index("--") if "--" in words else len(words)
    own, options = words[:split], words[split + 1 :]
    arguments = parser.parse_args(own)
    arguments.threads = common.cores()
    bench = common.Bench(
        "accuracy",
        "Accuracy",
        "ARI and NMI with the domains an expert drew, over seeds; the same settings for every tissue, the number of domains given. "
        "Members of `domains` (smoothed, banksy.2, hops) are run alone.",
        arguments,
    )
    means = {method: [] for method in arguments.methods}
    for group, name, file, k in TISSUES:
        path = arguments.data / file
        if arguments.only and group not in arguments.only:
            continue
        if not path.exists():
            bench.note(f"{name}: skipped, {path.name} is absent.")
            continue
        for method in arguments.methods:
            try:
                reports = [run(arguments.binary, path, method, k, seed, options) for seed in range(arguments.seeds)]
            except RuntimeError as failed:
                bench.note(f"{name}, {method}: {failed}")
                continue
            missed = sum(not report["reached"] for report in reports)
            if missed:
                bench.note(f"{name}, {method}: {missed} of {len(reports)} runs did not reach {k} domains.")
            means[method].append(statistics.mean(report["quality"]["ARI"] for report in reports))
            command = [f"0..{len(reports) - 1}" if before == "--seed" else word for before, word in zip([None, *reports[0]["command"]], reports[0]["command"])]
            label = f"{name}, {k} domains" + (f": {method}" if len(arguments.methods) > 1 else "")
            bench.add(label, reports[0]["n_obs"], {"brodmann": command}, {"brodmann": reports})
    for method, of in means.items():
        if len(arguments.methods) > 1 and len(of) > 1:
            bench.note(f"Mean ARI over {len(of)} tissues, {method}: {statistics.mean(of):.3f}.")
    bench.write()


if __name__ == "__main__":
    main()
