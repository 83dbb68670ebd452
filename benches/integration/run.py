#!/usr/bin/env python3
"""SpaMI on tissues of two and three omics whose domains are known: its parts left out, and the methods beside it.

    bash benches/run integration DATA [--seeds 10] [--ablation-seeds 3] [--epochs 100]

Every row is one method with one setting for all tissues, the number of domains given (5). DATA holds
`sim_spatialglue_triplet`; the tissues of RNA and protein with growing noise are simulated here. The parts of SpaMI are
left out one at a time on two of the tissues. Two runs at a time, each on one thread.
"""
import argparse
import json
import pathlib
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
import common

METRICS = ("ari", "nmi", "ami", "homogeneity")
TRIPLET = "sim_spatialglue_triplet/sim_spatialglue_triplet.h5mu"
# The paper's ablations, one removed component each, and all of them together.
ABLATIONS = {
    "SpaMI": [],
    "SpaMI without contrast": ["--no-contrast"],
    "SpaMI without cosine": ["--no-cosine"],
    "SpaMI, concatenation for attention": ["--fusion", "concat"],
    "SpaMI, mean for attention": ["--fusion", "mean"],
    "SpaMI, reconstruction alone, mean": ["--no-contrast", "--no-cosine", "--fusion", "mean"],
    "SpaMI, features on the scales they come with": ["--balance", "false"],
}
ABLATED = ("noise sd 1", "all three")


def brodmann(binary, *words):
    done = subprocess.run([str(binary), *map(str, words)], capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(f"brodmann {' '.join(map(str, words))}\n{done.stderr}")
    return json.loads(done.stdout) if done.stdout.startswith("{") else None


def names_of(path):
    """The modalities of a tissue."""
    return common.aside(__file__, "--names", path)


def without(path, modalities, folder):
    """The tissue with some of its modalities only."""
    out = folder / ("_".join([pathlib.Path(path).stem, *modalities]) + ".h5mu")
    common.aside(__file__, "--without", path, out, *modalities)
    return out


def aside(what, path, *words):
    """What needs mudata, in a process of its own: a child's peak of memory begins at the size of its parent."""
    import mudata

    whole = mudata.read_h5mu(path)
    if what == "--names":
        print(json.dumps(list(whole.mod)))
        return
    out, *modalities = words
    part = mudata.MuData({name: whole.mod[name] for name in modalities})
    part.obsm["spatial"] = whole.obsm["spatial"] if "spatial" in whole.obsm else whole[modalities[0]].obsm["spatial"]
    if "ground_truth" in whole.obs:
        part.obs["ground_truth"] = whole.obs["ground_truth"]
    part.write(out)


def tissues(binary, data, folder):
    for noise in (0.0, 1.0, 2.0):
        path = folder / f"simulated_noise_{noise:g}.h5mu"
        brodmann(binary, "simulate", "--out", path, "--modalities", "rna,adt", "--noise", noise, "--quiet")
        yield f"simulated RNA+ADT, noise sd {noise:g}", path
    triplet = data / TRIPLET
    if not triplet.exists():
        print(f"SKIPPED: {triplet} is absent")
        return
    names = names_of(triplet)
    for pair in ((0, 1), (0, 2), (1, 2)):
        chosen = [names[i] for i in pair]
        yield "triplet: " + "+".join(chosen), without(triplet, chosen, folder)
    yield "triplet: all three", triplet


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=pathlib.Path)
    parser.add_argument("--binary", default=common.program())
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--ablation-seeds", type=int, default=3, help="0 leaves the ablations out")
    parser.add_argument("--only", default="", help="tissues whose name holds this")
    parser.add_argument("--json", type=pathlib.Path, default=common.RESULTS / "integration.json")
    arguments = parser.parse_args()
    training = ["--epochs", arguments.epochs] if arguments.epochs else []
    arguments.threads = 1
    bench = common.Bench(
        "integration",
        "Several omics: SpaMI, its parts, and SpatialLeiden",
        "Agreement with the known domains over seeds, the number of domains given (5). Two runs at a time, each on one thread: "
        "seconds say how methods compare, not how quick they are alone.",
        arguments,
    )
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        for tissue, path in tissues(arguments.binary, arguments.data, folder):
            if arguments.only not in tissue:
                continue
            rows = [("SpaMI", path, ["spami", *training], arguments.seeds)]
            rows.append(("SpatialLeiden", path, ["spatialleiden"], arguments.seeds))
            if arguments.ablation_seeds and tissue.endswith(ABLATED):
                for method, words in ABLATIONS.items():
                    if words:
                        rows.append((method, path, ["spami", *training, *words], arguments.ablation_seeds))
                for modality in names_of(path):
                    alone = without(path, [modality], folder)
                    rows.append((f"SpaMI, {modality} alone", alone, ["spami", *training], arguments.ablation_seeds))
                    rows.append((f"SpatialLeiden, {modality} alone", alone, ["spatialleiden"], arguments.seeds))
            for method, input_path, (command, *words), seeds in rows:

                def one(seed, method=method, input_path=input_path, command=command, words=words):
                    out = folder / f"out-{seed}.h5mu"
                    return brodmann(
                        arguments.binary, command, input_path, "--out", out, "-k", 5, "--seed", seed, "--json", "--quiet", "--force",
                        "--threads", 1, *words,
                    )

                with ThreadPoolExecutor(2) as pool:
                    reports = list(pool.map(one, range(seeds)))
                for report in reports:
                    report["quality"] = {m.upper() if len(m) == 3 else m: report["metrics"][m] for m in METRICS}
                    report["seconds"] = sum(report["seconds"].values())
                    report["peak_mib"] = (report["peak_rss_bytes"] or 0) / 2**20
                written = ["brodmann", command, pathlib.Path(input_path).name, "--out", "out.h5mu", "-k", 5]
                written += ["--seed", f"0..{seeds - 1}", "--threads", 1, *words]
                bench.add(f"{tissue}: {method}", reports[0]["n_obs"], {"brodmann": written}, {"brodmann": reports})
    bench.write()


if __name__ == "__main__":
    if sys.argv[1:2] in (["--names"], ["--without"]):
        aside(*sys.argv[1:])
    else:
        main()
