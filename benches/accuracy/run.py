#!/usr/bin/env python3
"""Accuracy over seeds on tissues whose domains are known: `brodmann domains`, its members, and the other methods.

    bash benches/run accuracy DATA [--seeds 10] [--methods domains spatialleiden staig] [--only starmap dlpfc] [-- OPTIONS]
    bash benches/run accuracy DATA --methods domains --peers "pybanksy .2" cellcharter [--peer-seeds 3]

The same settings for every tissue and method (the defaults, with the options given after --), the number of domains given.
Members are run alone, as `domains --members NAME`. Needs only Python's standard library and the data folder. Peers (peers.py)
need their packages; they stand beside the first of the methods on the tissues of one modality.
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
# What peers.py knows, here without its imports.
PEERS = ["pybanksy .2", "pybanksy .8", "squidpy utag", "squidpy cellcharter", "cellcharter", "scanpy leiden"]
# Takes no seed.
WITHOUT_SEED = {"squidpy utag"}
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


def beside(bench, label, path, k, command, reports, peers):
    """Rows of ours beside each peer, whose means go into `peers`. A peer that fails is noted and left out."""
    script = pathlib.Path(__file__).with_name("peers.py")
    of_peer = lambda peer, seed: [sys.executable, script, peer, path, k, seed]
    commands, all_reports = {"brodmann": command}, {"brodmann": reports}
    for peer in peers:
        try:
            seeds = range(1 if peer in WITHOUT_SEED else max(1, bench.arguments.peer_seeds))
            all_reports[peer] = [common.run(of_peer(peer, seed), bench.arguments.threads) for seed in seeds]
        except RuntimeError as failed:
            bench.note(f"{label}, {peer}: left out. {common.reason(failed)}")
            continue
        commands[peer] = of_peer(peer, f"0..{len(seeds) - 1}")
        bench.versions.update(all_reports[peer][0].get("versions", {}))
        missed = sum(report["found"] != k for report in all_reports[peer])
        if missed:
            bench.note(f"{label}, {peer}: {missed} of {len(seeds)} runs did not reach {k} domains.")
        of = lambda tool: statistics.mean(report["quality"]["ARI"] for report in all_reports[tool])
        peers[peer].append((of("brodmann"), of(peer)))
    bench.add(label, reports[0]["n_obs"], commands, all_reports)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=pathlib.Path)
    parser.add_argument("--binary", default=common.program())
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--methods", nargs="+", choices=list(METHODS), default=["spatialleiden"])
    parser.add_argument("--peers", nargs="*", choices=PEERS, default=[])
    parser.add_argument("--peer-seeds", type=int, default=3)
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
    peers = {peer: [] for peer in arguments.peers}
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
            if method == arguments.methods[0] and path.suffix == ".h5ad" and peers:
                beside(bench, label, path, k, command, reports, peers)
            else:
                bench.add(label, reports[0]["n_obs"], {"brodmann": command}, {"brodmann": reports})
    for method, of in means.items():
        if len(arguments.methods) > 1 and len(of) > 1:
            bench.note(f"Mean ARI over {len(of)} tissues, {method}: {statistics.mean(of):.3f}.")
    for peer, of in peers.items():
        if len(of) > 1:
            ours, theirs = (statistics.mean(side) for side in zip(*of))
            bench.note(f"Mean ARI over {len(of)} tissues of one modality: {peer} {theirs:.3f}, ours {ours:.3f}.")
    bench.write()


if __name__ == "__main__":
    main()
