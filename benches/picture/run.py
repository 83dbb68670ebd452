#!/usr/bin/env python3
"""What the picture is worth: STAIG and `domains` without it and with it, over seeds.

    bash benches/run picture DATA [--seeds 10] [--only dlpfc her2st simulated]

The number of domains is given. STAIG's ablation is the paper's: no image, edges judged by it, negatives without its
classes, both. `k-means of the picture` is the picture alone. Simulated slides show their domains at five strengths, from 0
(the stain knows nothing of them) to 1, with drifting stain and blur.
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

# Name, file, domains, options of STAIG; the slide where it is not in the file, with its pixels per unit of the
# coordinates where its name does not tell.
TISSUES = [
    ("dlpfc", "DLPFC 151673, low-resolution picture", "dlpfc_151673/dlpfc_151673.h5ad", 7, ["--preset", "visium"], ("spatial/tissue_lowres_image.png", None)),
    ("dlpfc", "DLPFC 151674, low-resolution picture", "dlpfc_151674/dlpfc_151674.h5ad", 7, ["--preset", "visium"], ("spatial/tissue_lowres_image.png", None)),
    ("her2st", "her2st A1, breast tumour", "her2st_A1/her2st_A1.h5ad", 5, [], ("A1_HE_2000px.jpg", 2000 / 6954)),
]
STRENGTHS = [0, 0.25, 0.5, 0.75, 1]
STAIG = {
    "no image": None,
    "edges": ["--image-classes", "0"],
    "negatives": ["--edge-rule", "expression"],
    "both": [],
}
DOMAINS = {"no image": None, "with the image": []}


def run(*words):
    words = [str(common.program()), *map(str, words), "--json", "--quiet"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(words)}\n{done.stderr}")
    return {**json.loads(done.stdout), "command": words} if done.stdout.strip() else None


def row(report):
    quality = {name.upper(): report["metrics"][name] for name in ("ari", "nmi")}
    return {
        "seconds": sum(report["seconds"].values()),
        "quality": quality,
        "peak_mib": (report.get("peak_rss_bytes") or 0) / 2**20,
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=pathlib.Path)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--side", type=int, default=36, help="spots along the edge of a simulated slide")
    parser.add_argument("--only", nargs="*", choices=["dlpfc", "her2st", "simulated"])
    parser.add_argument("--json", type=pathlib.Path, default=common.RESULTS / "picture.json")
    arguments = parser.parse_args()
    arguments.threads = common.cores()
    wants = lambda name: not arguments.only or name in arguments.only
    bench = common.Bench(
        "picture",
        "What the picture is worth",
        "ARI and NMI with the known domains over seeds, by texture features of the picture (`--image file`). `edges` and "
        "`negatives` are STAIG's two uses of it, alone. Where the picture does not help, the row without it is the better one.",
        arguments,
    )
    with tempfile.TemporaryDirectory() as folder:
        out = pathlib.Path(folder) / "out.h5ad"

        def compare(name, path, k, options, slide=None):
            image = ["--image", "file"]
            if slide:
                image = ["--image", path.parent / slide[0], *(["--image-scale", slide[1]] if slide[1] else [])]
            seen = lambda more: [] if more is None else [*image, *more]
            methods = [("k-means of the picture", None, None)]
            methods += [(f"domains, {what}", "domains", seen(more)) for what, more in DOMAINS.items()]
            methods += [(f"STAIG, {what}", "staig", [*options, *seen(more)]) for what, more in STAIG.items()]
            features = pathlib.Path(folder) / "features.h5ad"
            run("image-features", path, "--out", features, *image)
            for what, method, more in methods:
                reports = []
                for seed in range(arguments.seeds):
                    if method is None:
                        words = ["cluster", features, "--use-rep", "X_image", "--method", "kmeans"]
                    else:
                        words = [method, path, *more]
                    reports.append(run(*words, "--out", out, "-k", k, "--seed", seed))
                command = {"brodmann": reports[0]["command"]}
                bench.add(f"{name}: {what}", reports[0]["n_obs"], command, {"brodmann": [row(r) for r in reports]})

        for kind, name, file, k, options, slide in TISSUES:
            path = arguments.data / file
            if not wants(kind):
                continue
            if path.exists():
                compare(name, path, k, options, slide)
            else:
                bench.note(f"{name}: skipped, {path.name} is absent.")
        for strength in STRENGTHS if wants("simulated") else []:
            path = pathlib.Path(folder) / "simulated.h5ad"
            slide = ["--image", "--image-strength", strength, "--stain-drift", 0.5, "--image-blur-px", 1]
            run("simulate", "--out", path, "--side", arguments.side, "--modalities", "rna", "--noise", 1, *slide)
            compare(f"simulated slide, strength {strength}", path, 5, [])
    bench.write()


if __name__ == "__main__":
    main()
