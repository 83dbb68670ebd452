#!/usr/bin/env python3
"""SpaMI on tissues of two and three omics whose domains are known: its parts left out, and the methods beside it.

    bash benches/run integration DATA [--seeds 10] [--json out.json] [--epochs 1000]

Every row is one method with one setting for all tissues, the number of domains given (5). DATA holds
`sim_spatialglue_triplet`; the tissues of RNA and protein with growing noise are simulated here.
"""
import argparse
import json
import pathlib
import statistics
import subprocess
import tempfile

import mudata

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
}


def brodmann(binary, *words):
    done = subprocess.run([str(binary), *map(str, words)], capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(f"brodmann {' '.join(map(str, words))}\n{done.stderr}")
    return json.loads(done.stdout) if done.stdout.startswith("{") else None


def without(path, modalities, folder):
    """The tissue with some of its modalities only."""
    whole = mudata.read_h5mu(path)
    part = mudata.MuData({name: whole.mod[name] for name in modalities})
    part.obsm["spatial"] = whole.obsm["spatial"] if "spatial" in whole.obsm else whole[modalities[0]].obsm["spatial"]
    if "ground_truth" in whole.obs:
        part.obs["ground_truth"] = whole.obs["ground_truth"]
    out = folder / ("_".join([path.stem, *modalities]) + ".h5mu")
    part.write(out)
    return out


def tissues(binary, data, folder):
    for noise in (0.0, 1.0, 2.0):
        path = folder / f"simulated_noise_{noise:g}.h5mu"
        brodmann(binary, "simulate", "--out", path, "--modalities", "rna,adt", "--noise", noise, "--quiet")
        yield f"simulated RNA+ADT, noise sd {noise:g}", path
    triplet = data / TRIPLET
    if not triplet.exists():
        print(f"SKIPPED: {triplet} is absent")
        return
    names = list(mudata.read_h5mu(triplet).mod)
    for pair in ((0, 1), (0, 2), (1, 2)):
        chosen = [names[i] for i in pair]
        yield "triplet: " + "+".join(chosen), without(triplet, chosen, folder)
    yield "triplet: all three", triplet


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=pathlib.Path)
    parser.add_argument("--binary", default="target/release/brodmann")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--ablations", choices=["all", "none"], default="all")
    parser.add_argument("--json", type=pathlib.Path)
    arguments = parser.parse_args()
    training = ["--epochs", arguments.epochs] if arguments.epochs else []
    results = []
    print("| tissue | method | ARI median [range] | NMI | AMI | homogeneity | seconds |")
    print("|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        for tissue, path in tissues(arguments.binary, arguments.data, folder):
            rows = [
                (method, path, ["spami", *training, *words])
                for method, words in ABLATIONS.items()
                if arguments.ablations == "all" or not words
            ]
            rows.append(("SpatialLeiden", path, ["spatialleiden"]))
            for modality in mudata.read_h5mu(path).mod:
                alone = without(path, [modality], folder)
                rows.append((f"SpaMI, {modality} alone", alone, ["spami", *training]))
                rows.append((f"SpatialLeiden, {modality} alone", alone, ["spatialleiden"]))
            for method, input_path, (command, *words) in rows:
                out = folder / "out.h5mu"
                reports = [
                    brodmann(arguments.binary, command, input_path, "--out", out, "-k", 5, "--seed", seed, "--json",
                             "--quiet", *words)
                    for seed in range(arguments.seeds)
                ]
                values = {m: [r["metrics"][m] for r in reports] for m in METRICS}
                seconds = statistics.median(sum(r["seconds"].values()) for r in reports)
                ari = values["ari"]
                cells = [f"{statistics.median(ari):.3f} [{min(ari):.3f}–{max(ari):.3f}]"]
                cells += [f"{statistics.median(values[m]):.3f}" for m in METRICS[1:]]
                print(f"| {tissue} | {method} | {' | '.join(cells)} | {seconds:.1f} |", flush=True)
                results.append({"tissue": tissue, "method": method, "seconds": seconds, **values})
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
