#!/usr/bin/env python3
"""Accuracy of `brodmann staig` over seeds, beside SpatialLeiden and the baseline without a network.

    cargo build --release
    python3 benches/staig_accuracy/run.py ../shared/data [--seeds 10] [--only starmap dlpfc …] [--json out.json]

Settings are those of the platform's preset, never of the slice; the number of domains is given to every method.
"refined" is the same run after the vote of the 15 nearest spots. What stands after -- is for `brodmann staig`.
Needs only Python's standard library, the program and the data folder.
"""
import argparse
import json
import pathlib
import statistics
import subprocess
import sys
import tempfile

# Name, files, domains, options of STAIG. The order of the table in the README.
SINGLE = [
    ("starmap", "STARmap V1, 1207 cells", "starmap_v1_1k/starmap_v1_1k.h5ad", 7, ["--preset", "starmap"]),
    ("dlpfc", "DLPFC 151673, 3639 spots", "dlpfc_151673/dlpfc_151673.h5ad", 7, ["--preset", "visium"]),
    ("dlpfc", "DLPFC 151674, 3673 spots", "dlpfc_151674/dlpfc_151674.h5ad", 7, ["--preset", "visium"]),
    ("osmfish", "osmFISH cortex, 4839 cells", "osmfish_cortex/osmfish_cortex.h5ad", 11, ["--preset", "merfish"]),
    ("merfish", "MERFISH POA, 6509 cells (cell types)", "merfish_poa_m029/merfish_poa_m029.h5ad", 15, ["--preset", "merfish"]),
]
SEVERAL = [
    (
        "integration",
        "DLPFC 151673 + 151674, one donor",
        ["dlpfc_151673/dlpfc_151673.h5ad", "dlpfc_151674/dlpfc_151674.h5ad"],
        7,
        ["--preset", "integration"],
    ),
    ("paste", "PASTE breast cancer, 4 slices", [f"paste_breast_st/slice{k}.h5ad" for k in (1, 2, 3, 4)], 6, ["--preset", "integration"]),
    # Truth is named differently on both sides: only the mixing and the slices one by one can be judged.
    (
        "platforms",
        "STARmap V1 + osmFISH cortex, 19 shared genes",
        ["starmap_v1_1k/starmap_v1_1k.h5ad", "osmfish_cortex/osmfish_cortex.h5ad"],
        9,
        ["--preset", "integration", "--values", "log"],
    ),
]
# Two slices of 36 x 36 spots whose expression is shifted ever further apart; 5 domains.
BATCH_EFFECTS = [0, 0.5, 1, 2, 4]
REFINE = ["--refine", "15"]


def median(values, digits=3):
    values = [v for v in values if v is not None]
    if not values:
        return "–"
    middle = f"{statistics.median(values):.{digits}f}"
    return middle if len(values) == 1 else f"{middle} [{min(values):.{digits}f}–{max(values):.{digits}f}]"


class Bench:
    def __init__(self, binary, folder):
        self.binary, self.folder = str(binary), pathlib.Path(folder)

    def run(self, *words):
        done = subprocess.run([self.binary, *map(str, words)], capture_output=True, text=True)
        if done.returncode != 0:
            sys.exit(f"brodmann {' '.join(map(str, words))}\n{done.stderr}")
        return json.loads(done.stdout) if "--json" in words else None

    def method(self, name, inputs, k, seed, options, library_key=None):
        """One run: the report, with `metrics` and, where labels were refined, `metrics_unrefined`."""
        out = self.folder / "out.h5ad"
        slices = ["--library-key", library_key] if library_key and len(inputs) == 1 else []
        common = ["--out", out, "-k", k, "--seed", seed, "--json", "--quiet", *slices]
        if name == "spatialleiden":
            return self.run("spatialleiden", *inputs, *common)
        if name == "smoothed-pca":
            return self.run("staig", *inputs, *common, "--method", "smoothed-pca", *REFINE)
        return self.run("staig", *inputs, *common, *REFINE, *options)


def scores(reports, key, metric):
    return [r[key][metric] for r in reports if r.get(key)]


def line(out, tissue, method, reports):
    """A row before and one after the vote."""
    seconds = statistics.median(sum(r["seconds"].values()) for r in reports)
    kinds = [("metrics_unrefined", ""), ("metrics", ", refined")] if reports[0].get("metrics_unrefined") else [("metrics", "")]
    for key, what in kinds:
        ari, nmi = scores(reports, key, "ari"), scores(reports, key, "nmi")
        mixing = [r["integration"] for r in reports if r.get("integration")]
        mixed = [median([m[v] for m in mixing]) for v in ("ilisi_before", "ilisi", "batch_kl_before", "batch_kl")]
        print(f"| {tissue} | {method}{what} | {median(ari)} | {median(nmi)} | {mixed[0]} → {mixed[1]} | {mixed[2]} → {mixed[3]} | {seconds:.1f} |", flush=True)
        out.append({"tissue": tissue, "method": method + what, "ari": ari, "nmi": nmi, "mixing": mixing, "seconds": seconds})


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=pathlib.Path)
    parser.add_argument("--binary", default="target/release/brodmann", type=pathlib.Path)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--methods", nargs="*", default=["staig", "smoothed-pca", "spatialleiden"])
    parser.add_argument("--only", nargs="*", help="starmap dlpfc osmfish merfish integration paste platforms simulated")
    parser.add_argument("--json", type=pathlib.Path)
    words = sys.argv[1:]
    split = words.index("--") if "--" in words else len(words)
    arguments, more = parser.parse_args(words[:split]), words[split + 1 :]
    wants = lambda name: not arguments.only or name in arguments.only
    results = []
    print("| tissue | method | ARI median [range] | NMI median [range] | iLISI before → after | BatchKL before → after | seconds |")
    print("|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(arguments.binary.resolve(), folder)

        def compare(tissue, inputs, k, options, library_key=None):
            for method in arguments.methods:
                reports = []
                for seed in range(arguments.seeds):
                    given = inputs
                    if method == "spatialleiden" and len(inputs) > 1:
                        # It takes one file: the one the slices were joined in.
                        given = [joined(inputs)]
                    reports.append(bench.method(method, given, k, seed, [*options, *more], library_key or "library_id"))
                line(results, tissue, method, reports)

        def joined(inputs):
            path = bench.folder / ("joined-" + "-".join(p.stem for p in inputs) + ".h5ad")
            if not path.exists():
                bench.run("staig", *inputs, "--out", path, "-k", 2, "--method", "smoothed-pca", "--json", "--quiet")
            return path

        for name, tissue, file, k, options in SINGLE:
            path = arguments.data / file
            if wants(name) and path.exists():
                for method in arguments.methods:
                    line(results, tissue, method, [bench.method(method, [path], k, s, [*options, *more]) for s in range(arguments.seeds)])
            elif wants(name):
                print(f"| {tissue} | SKIPPED: {path} is absent | | | | | |")
        for name, tissue, files, k, options in SEVERAL:
            paths = [arguments.data / f for f in files]
            if wants(name) and all(p.exists() for p in paths):
                compare(tissue, paths, k, options)
            elif wants(name):
                print(f"| {tissue} | SKIPPED: {paths[0].parent} is absent | | | | | |")
        for effect in BATCH_EFFECTS if wants("simulated") else []:
            path = bench.folder / f"simulated-{effect}.h5ad"
            bench.run("simulate", "--out", path, "--slices", 2, "--batch-effect", effect, "--noise", 1, "--quiet")
            compare(f"simulated, batch effect {effect}", [path], 5, ["--preset", "integration", "--values", "log"], "library_id")
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
