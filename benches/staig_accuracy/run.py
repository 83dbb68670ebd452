#!/usr/bin/env python3
"""Accuracy of `brodmann staig` over seeds, beside SpatialLeiden and the baseline without a network.

    bash benches/run staig_accuracy DATA [--seeds 10] [--only starmap dlpfc …]

Settings are those of the platform's preset, never of the slice; the number of domains is given to every method.
"refined" is the same run after the vote of the 15 nearest spots. What stands after -- is for `brodmann staig`.
Needs only Python's standard library, the program and the data folder.
"""
import argparse
import json
import pathlib
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
import common

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


class Bench:
    def __init__(self, binary, folder):
        self.binary, self.folder = str(binary), pathlib.Path(folder)

    def run(self, *words):
        done = subprocess.run([self.binary, *map(str, words)], capture_output=True, text=True)
        if done.returncode != 0:
            sys.exit(f"brodmann {' '.join(map(str, words))}\n{done.stderr}")
        if "--json" not in words:
            return None
        return {**json.loads(done.stdout), "command": [self.binary, *words]}

    def method(self, name, inputs, k, seed, options, library_key=None):
        """One run: the report, with `metrics` and, where labels were refined, `metrics_unrefined`."""
        out = self.folder / "out.h5ad"
        slices = ["--library-key", library_key] if library_key and len(inputs) == 1 else []
        common = ["--out", out, "-k", k, "--seed", seed, "--json", "--quiet", "--force", *slices]
        # Counts divided by the volume of the cell: neither counts nor logarithms.
        volumes = "merfish" in pathlib.Path(inputs[0]).name
        if name == "spatialleiden":
            return self.run("spatialleiden", *inputs, *common, *(["--normalized"] if volumes else []))
        if name == "smoothed-pca":
            values = ["--values", "counts"] if volumes else []
            return self.run("staig", *inputs, *common, "--method", "smoothed-pca", *values, *REFINE)
        return self.run("staig", *inputs, *common, *REFINE, *options)


def line(bench, tissue, method, reports):
    """A row before and one after the vote."""
    kinds = [("metrics_unrefined", ""), ("metrics", ", refined")] if reports[0].get("metrics_unrefined") else [("metrics", "")]
    for key, what in kinds:
        rows = []
        for report in reports:
            found = report.get(key) or {}
            quality = {name.upper(): found[name] for name in ("ari", "nmi") if name in found}
            mixing = report.get("integration") or {}
            for name, shown in (
                ("ilisi_before", "iLISI before"),
                ("ilisi", "iLISI"),
                ("batch_kl_before", "BatchKL before"),
                ("batch_kl", "BatchKL"),
            ):
                if mixing.get(name) is not None:
                    quality[shown] = mixing[name]
            rows.append({
                "seconds": sum(report["seconds"].values()),
                "quality": quality,
                "peak_mib": (report.get("peak_rss_bytes") or 0) / 2**20,
            })
        bench.add(f"{tissue}: {method}{what}", reports[0]["n_obs"], {"brodmann": reports[0]["command"]}, {"brodmann": rows})


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=pathlib.Path)
    parser.add_argument("--binary", default=common.program(), type=pathlib.Path)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--methods", nargs="*", default=["staig", "smoothed-pca", "spatialleiden"])
    parser.add_argument("--only", nargs="*", help="starmap dlpfc osmfish merfish integration paste platforms simulated")
    parser.add_argument("--json", type=pathlib.Path, default=common.RESULTS / "staig_accuracy.json")
    words = sys.argv[1:]
    split = words.index("--") if "--" in words else len(words)
    arguments, more = parser.parse_args(words[:split]), words[split + 1 :]
    wants = lambda name: not arguments.only or name in arguments.only
    arguments.threads = common.cores()
    results = common.Bench(
        "staig_accuracy",
        "Accuracy of `brodmann staig`",
        "ARI and NMI with the known domains over seeds, beside SpatialLeiden and the baseline without a network; `refined` is after "
        "the vote of the 15 nearest spots. Over several slices, iLISI (higher is better mixed) and BatchKL (lower is) before and after.",
        arguments,
    )
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
                bench.run("staig", *inputs, "--out", path, "-k", 2, "--method", "smoothed-pca", "--json", "--quiet", "--force")
            return path

        for name, tissue, file, k, options in SINGLE:
            path = arguments.data / file
            if wants(name) and path.exists():
                for method in arguments.methods:
                    line(results, tissue, method, [bench.method(method, [path], k, s, [*options, *more]) for s in range(arguments.seeds)])
            elif wants(name):
                results.note(f"{tissue}: skipped, {path.name} is absent.")
        for name, tissue, files, k, options in SEVERAL:
            paths = [arguments.data / f for f in files]
            if wants(name) and all(p.exists() for p in paths):
                compare(tissue, paths, k, options)
            elif wants(name):
                results.note(f"{tissue}: skipped, {paths[0].parent.name} is absent.")
        for effect in BATCH_EFFECTS if wants("simulated") else []:
            path = bench.folder / f"simulated-{effect}.h5ad"
            bench.run("simulate", "--out", path, "--slices", 2, "--batch-effect", effect, "--noise", 1, "--quiet", "--force")
            compare(f"simulated, batch effect {effect}", [path], 5, ["--preset", "integration", "--values", "log"], "library_id")
    results.write()


if __name__ == "__main__":
    main()
